"""The contract of storage pool types: subclass `StoragePoolContract` and supply three fixtures.

Example::

    class TestAcmePool(StoragePoolContract):
        @pytest.fixture
        def provides(self):
            return ACME_RECORD.provides

        @pytest.fixture
        def pool_host(self):
            ...  # a PoolHost that the pool can work on

        @pytest.fixture
        def new_pool(self):
            return lambda: AcmePool(PoolConfig(...), context)  # the same empty pool each time
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hawkfish.domain.storage import BlockDevice, FilePath, NetworkDisk, VolumeFacts, VolumeFormat, VolumeSpec
from hawkfish.errors import Aborted, AlreadyExists, HawkFishError, NotFound
from hawkfish.plugins.compute import PoolHost
from hawkfish.plugins.control import OperationControl
from hawkfish.plugins.storage import (
    POOL_CAPABILITY_INTERFACES,
    PoolCapability,
    StoragePool,
    SupportsClone,
    SupportsContent,
    SupportsResize,
)
from hawkfish.testing.gates import needs_pool
from hawkfish.testing.volume_machine import VolumeMachine, Volumes, run_machine
from hawkfish.testing.volumes import MIB, assert_content, empty_qcow2, random_bytes

Capability = PoolCapability
NewPool = Callable[[], StoragePool]


class StoragePoolContract:
    """What every pool type must do, and what it must do if it provides more."""

    @pytest.fixture
    def provides(self) -> frozenset[PoolCapability]:
        """Supply this: the capabilities of the plugin's record."""
        pytest.fail("The subclass of StoragePoolContract must have a fixture provides.")

    @pytest.fixture
    def pool_host(self) -> PoolHost:
        """Supply this: a host that the pool can work on."""
        pytest.fail("The subclass of StoragePoolContract must have a fixture pool_host.")

    @pytest.fixture
    def new_pool(self) -> NewPool:
        """Supply this: a callable that gives an object for the one pool of this test, which is empty and not prepared."""
        pytest.fail("The subclass of StoragePoolContract must have a fixture new_pool.")

    @pytest.fixture
    def volume_bytes(self) -> int:
        """A capacity that the pool gives exactly."""
        return 8 * MIB

    @pytest.fixture
    def pool_examples(self) -> int:
        """How many random orders of calls are tried; fewer where a call takes long."""
        return 40

    @pytest.fixture
    def made_volumes(self) -> list[str]:
        """Names of volumes that may have been made."""
        return ["one", "copy", "source", "a" * 36]

    @pytest.fixture
    def pool(self, new_pool: NewPool, pool_host: PoolHost, made_volumes: list[str]) -> Iterator[StoragePool]:
        """The pool, prepared; afterwards it is emptied and released."""
        pool = new_pool()
        pool.prepare(pool_host)
        yield pool
        pool.prepare(pool_host)
        for name in made_volumes:
            pool.disconnect(pool_host, name)
            pool.delete(pool_host, name)
        pool.release(pool_host)

    @pytest.fixture
    def spec(self, pool: StoragePool, volume_bytes: int) -> VolumeSpec:
        """A volume in a format of the pool."""
        best = VolumeFormat.QCOW2 if VolumeFormat.QCOW2 in pool.formats else min(pool.formats)
        return VolumeSpec(name="one", capacity_bytes=volume_bytes, format=best)

    def test_the_record_provides_what_the_code_can(
        self, pool: StoragePool, provides: frozenset[PoolCapability]
    ) -> None:
        can = {item for item, interface in POOL_CAPABILITY_INTERFACES.items() if isinstance(pool, interface)}
        assert can == provides & set(POOL_CAPABILITY_INTERFACES)
        assert pool.formats

    def test_preparing_and_releasing_twice_is_harmless(
        self, pool: StoragePool, pool_host: PoolHost, spec: VolumeSpec
    ) -> None:
        made = pool.create(pool_host, spec)
        pool.prepare(pool_host)
        for _ in range(2):
            pool.release(pool_host)
        pool.prepare(pool_host)
        assert pool.find(pool_host, spec.name) == made

    def test_sizes_make_sense(self, pool: StoragePool, pool_host: PoolHost) -> None:
        stats = pool.stats(pool_host)
        assert stats.capacity_bytes > 0
        assert 0 <= stats.available_bytes <= stats.capacity_bytes
        assert 0 <= stats.allocated_bytes <= stats.capacity_bytes

    def test_a_volume_of_each_format_is_made_and_deleted(
        self, pool: StoragePool, pool_host: PoolHost, spec: VolumeSpec
    ) -> None:
        for kind in sorted(pool.formats):
            wanted = replace(spec, format=kind)
            assert pool.find(pool_host, spec.name) is None
            made = pool.create(pool_host, wanted)
            assert (made.name, made.capacity_bytes, made.format) == (spec.name, spec.capacity_bytes, kind)
            assert pool.create(pool_host, wanted) == made
            assert pool.find(pool_host, spec.name) == made
            assert made in pool.list_volumes(pool_host)
            for _ in range(2):
                pool.delete(pool_host, spec.name)

    def test_a_different_volume_of_that_name_is_refused(
        self, pool: StoragePool, pool_host: PoolHost, spec: VolumeSpec
    ) -> None:
        made = pool.create(pool_host, spec)
        with pytest.raises(AlreadyExists):
            pool.create(pool_host, replace(spec, capacity_bytes=2 * spec.capacity_bytes))
        assert pool.find(pool_host, spec.name) == made

    def test_every_object_for_the_pool_sees_the_same(
        self, pool: StoragePool, pool_host: PoolHost, spec: VolumeSpec, new_pool: NewPool
    ) -> None:
        made = pool.create(pool_host, spec)
        assert new_pool().find(pool_host, spec.name) == made

    @pytest.mark.parametrize("name", ["../escape", "a/b", "", "..", "line\nfeed"])
    def test_names_that_leave_the_pool_are_refused(
        self, pool: StoragePool, pool_host: PoolHost, spec: VolumeSpec, name: str
    ) -> None:
        with pytest.raises(HawkFishError):
            pool.create(pool_host, replace(spec, name=name))
        with pytest.raises(HawkFishError):
            pool.delete(pool_host, name)

    def test_a_format_that_is_not_offered_is_refused(
        self, pool: StoragePool, pool_host: PoolHost, spec: VolumeSpec
    ) -> None:
        for kind in set(VolumeFormat) - pool.formats:
            with pytest.raises(HawkFishError):
                pool.create(pool_host, replace(spec, format=kind))
            assert pool.find(pool_host, spec.name) is None

    def test_a_volume_is_connected_as_often_as_asked(
        self, pool: StoragePool, pool_host: PoolHost, spec: VolumeSpec
    ) -> None:
        pool.create(pool_host, spec)
        first = pool.connect(pool_host, spec.name)
        assert isinstance(first, FilePath | BlockDevice | NetworkDisk)
        assert pool.connect(pool_host, spec.name) == first
        for _ in range(2):
            pool.disconnect(pool_host, spec.name)
        assert pool.find(pool_host, spec.name) is not None

    def test_an_absent_volume_cannot_be_connected(self, pool: StoragePool, pool_host: PoolHost) -> None:
        with pytest.raises(NotFound):
            pool.connect(pool_host, "one")

    @needs_pool(Capability.RESIZE)
    def test_a_volume_grows_and_never_shrinks(self, pool: Any, pool_host: PoolHost, spec: VolumeSpec) -> None:
        pool.create(pool_host, spec)
        for _ in range(2):
            grown = pool.resize(pool_host, spec.name, 2 * spec.capacity_bytes)
            assert grown.capacity_bytes == 2 * spec.capacity_bytes
        with pytest.raises(HawkFishError):
            pool.resize(pool_host, spec.name, spec.capacity_bytes)
        assert pool.find(pool_host, spec.name) == grown

    @needs_pool(Capability.CONTENT)
    def test_what_is_written_is_read_back(self, pool: Any, pool_host: PoolHost, spec: VolumeSpec) -> None:
        for kind in sorted(pool.formats & {VolumeFormat.RAW, VolumeFormat.QCOW2}):
            raw = kind is VolumeFormat.RAW
            content = random_bytes(spec.capacity_bytes) if raw else empty_qcow2(spec.capacity_bytes)
            pool.create(pool_host, replace(spec, format=kind))
            done: list[int] = []
            pool.upload(pool_host, spec.name, io.BytesIO(content), len(content), OperationControl(progress=done.append))
            assert_content(b"".join(pool.download(pool_host, spec.name))[: len(content)], content)
            assert done[-1] == len(content)
            pool.delete(pool_host, spec.name)

    @needs_pool(Capability.CLONE)
    def test_a_clone_has_a_life_of_its_own(self, pool: Any, pool_host: PoolHost, spec: VolumeSpec) -> None:
        pool.create(pool_host, replace(spec, name="source"))
        for _ in range(2):
            copy = pool.clone(pool_host, "source", replace(spec, name="copy"))
            assert (copy.name, copy.capacity_bytes) == ("copy", spec.capacity_bytes)
        pool.delete(pool_host, "source")
        assert pool.find(pool_host, "copy") == copy

    @needs_pool(Capability.THIN)
    def test_what_is_not_written_takes_no_room(self, pool: Any, pool_host: PoolHost, spec: VolumeSpec) -> None:
        large = replace(spec, capacity_bytes=8 * spec.capacity_bytes)
        assert pool.create(pool_host, large).allocated_bytes < large.capacity_bytes / 2

    @needs_pool(Capability.BULK)
    def test_many_volumes_are_made_and_connected_as_one_by_one(
        self, pool: Any, pool_host: PoolHost, spec: VolumeSpec
    ) -> None:
        specs = [spec, replace(spec, name="copy")]
        first = pool.create(pool_host, specs[1])
        for _ in range(2):
            made = pool.create_many(pool_host, specs)
            assert made == tuple(pool.find(pool_host, one.name) for one in specs)
        assert made[1] == first
        connected = pool.connect_many(pool_host, ["copy", "one"])
        assert connected == (pool.connect(pool_host, "copy"), pool.connect(pool_host, "one"))
        with pytest.raises(NotFound):
            pool.connect_many(pool_host, ["one", "source"])

    @needs_pool(Capability.ONLINE_RESIZE)
    def test_a_pool_that_grows_volumes_in_use_grows_others_too(
        self, pool: Any, provides: frozenset[PoolCapability]
    ) -> None:
        assert Capability.RESIZE in provides

    @needs_pool(Capability.CLONE)
    def test_a_clone_smaller_than_its_source_is_refused(self, pool: Any, pool_host: PoolHost, spec: VolumeSpec) -> None:
        pool.create(pool_host, replace(spec, name="source", capacity_bytes=2 * spec.capacity_bytes))
        with pytest.raises(HawkFishError):
            pool.clone(pool_host, "source", replace(spec, name="copy"))
        assert pool.find(pool_host, "copy") is None

    @needs_pool(Capability.CONTENT)
    def test_a_content_that_ends_early_is_an_error(self, pool: Any, pool_host: PoolHost, spec: VolumeSpec) -> None:
        pool.create(pool_host, spec)
        with pytest.raises(HawkFishError):
            pool.upload(pool_host, spec.name, io.BytesIO(b"too short"), spec.capacity_bytes)

    @needs_pool(Capability.CONTENT)
    def test_an_upload_ends_when_nobody_wants_it(self, pool: Any, pool_host: PoolHost, spec: VolumeSpec) -> None:
        def check() -> None:
            raise Aborted("nobody wants it")

        pool.create(pool_host, spec)
        content = empty_qcow2(spec.capacity_bytes) if spec.format is VolumeFormat.QCOW2 else random_bytes(MIB)
        with pytest.raises(Aborted):
            pool.upload(pool_host, spec.name, io.BytesIO(content), len(content), OperationControl(check=check))

    def test_any_order_of_calls_ends_as_expected(
        self, pool: StoragePool, pool_host: PoolHost, new_pool: NewPool, volume_bytes: int, pool_examples: int
    ) -> None:
        formats = pool.formats
        run_machine(lambda: VolumeMachine(_PoolVolumes(new_pool, pool_host), formats, volume_bytes), pool_examples)


class _PoolVolumes(Volumes):
    def __init__(self, new_pool: NewPool, host: PoolHost) -> None:
        self._new_pool = new_pool
        self._host = host
        self._pool: Any = new_pool()
        self.can_resize = isinstance(self._pool, SupportsResize)
        self.can_clone = isinstance(self._pool, SupportsClone)
        self.can_write = isinstance(self._pool, SupportsContent)

    def create(self, spec: VolumeSpec) -> VolumeFacts:
        facts: VolumeFacts = self._pool.create(self._host, spec)
        return facts

    def delete(self, name: str) -> None:
        self._pool.delete(self._host, name)

    def find(self, name: str) -> VolumeFacts | None:
        facts: VolumeFacts | None = self._pool.find(self._host, name)
        return facts

    def list(self) -> Sequence[VolumeFacts]:
        facts: Sequence[VolumeFacts] = self._pool.list_volumes(self._host)
        return facts

    def restart(self) -> None:
        self._pool.release(self._host)
        self._pool = self._new_pool()
        self._pool.prepare(self._host)

    def resize(self, name: str, capacity_bytes: int) -> VolumeFacts:
        facts: VolumeFacts = self._pool.resize(self._host, name, capacity_bytes)
        return facts

    def clone(self, source: str, spec: VolumeSpec) -> VolumeFacts:
        facts: VolumeFacts = self._pool.clone(self._host, source, spec)
        return facts

    def write(self, name: str, content: io.BytesIO, length: int) -> None:
        self._pool.upload(self._host, name, content, length)

    def read(self, name: str) -> bytes:
        return b"".join(self._pool.download(self._host, name))
