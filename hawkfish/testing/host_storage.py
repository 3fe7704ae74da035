"""The contract of a host's storage manager: subclass `HostStorageContract` and supply one fixture.

A driver whose record provides `HOST_STORAGE` fills it besides `ComputeDriverContract`::

    class TestAcmeHostStorage(HostStorageContract):
        @pytest.fixture
        def new_storage(self, new_driver):
            return new_driver  # a callable that gives another object for the same host
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from hawkfish.domain.storage import PoolDefinition, VolumeFacts, VolumeFormat, VolumeSpec
from hawkfish.errors import Aborted, AlreadyExists, ForeignObject, HawkFishError
from hawkfish.plugins.compute import HostStorage, SupportsBulkVolumes
from hawkfish.plugins.control import OperationControl
from hawkfish.testing.volume_machine import VolumeMachine, Volumes, run_machine
from hawkfish.testing.volumes import MIB, PoolFixtures, assert_content, empty_qcow2, random_bytes

NewStorage = Callable[[], HostStorage]
HOSTILE_NAMES = ["../escape", "a/b", ".", "..", "", "/etc/passwd", "line\nfeed", "nul\0byte", "-rf", "x" * 300]


class HostStorageContract(PoolFixtures):
    """What the `HostStorage` of a driver must do."""

    @pytest.fixture
    def new_storage(self) -> NewStorage:
        """Supply this: a callable that gives another object for the storage of one host, which has none of our pools."""
        pytest.fail("The subclass of HostStorageContract must have a fixture new_storage.")

    @pytest.fixture
    def storage_examples(self) -> int:
        """How many random orders of calls are tried; fewer where a call takes long."""
        return 20

    @pytest.fixture
    def storage(self, new_storage: NewStorage) -> HostStorage:
        """The storage under test."""
        return new_storage()

    @pytest.fixture
    def pool(self, storage: HostStorage, pool_definition: PoolDefinition) -> Iterator[str]:
        """The name of a started empty pool; it is emptied and forgotten afterwards."""
        name = pool_definition.name
        storage.define_pool(pool_definition)
        storage.start_pool(name)
        yield name
        storage.define_pool(pool_definition)
        storage.start_pool(name)
        for volume in storage.list_volumes(name):
            storage.delete_volume(name, volume.name)
        storage.stop_pool(name)
        storage.remove_pool(name)

    # --- pools -------------------------------------------------------------------------------------------------------

    def test_a_pool_is_defined_and_started_twice_as_once(
        self, storage: HostStorage, pool: str, pool_definition: PoolDefinition
    ) -> None:
        storage.define_pool(pool_definition)
        storage.start_pool(pool)
        assert storage.pool_path(pool) == str(pool_definition.target)
        stats = storage.pool_stats(pool)
        assert stats.capacity_bytes > 0
        assert 0 <= stats.available_bytes <= stats.capacity_bytes
        assert storage.list_volumes(pool) == ()

    def test_a_pool_of_that_name_elsewhere_is_left_alone(
        self, storage: HostStorage, pool: str, pool_definition: PoolDefinition
    ) -> None:
        with pytest.raises(ForeignObject):
            storage.define_pool(replace(pool_definition, target=pool_definition.target.with_name("elsewhere")))
        assert storage.pool_path(pool) == str(pool_definition.target)

    def test_a_pool_is_stopped_and_forgotten_and_its_volumes_stay(
        self, storage: HostStorage, pool: str, pool_definition: PoolDefinition
    ) -> None:
        made = storage.create_volume(pool, VolumeSpec(name="stays", capacity_bytes=MIB))
        for _ in range(2):
            storage.stop_pool(pool)
        for _ in range(2):
            storage.remove_pool(pool)
        storage.define_pool(pool_definition)
        storage.start_pool(pool)
        assert storage.find_volume(pool, "stays") == made

    def test_absent_pools_are_stopped_and_removed_with_success(self, storage: HostStorage) -> None:
        storage.stop_pool("hf-contract-absent")
        storage.remove_pool("hf-contract-absent")

    @pytest.mark.parametrize("kind", [VolumeFormat.RAW, VolumeFormat.QCOW2])
    def test_a_volume_is_made_found_and_listed(self, storage: HostStorage, pool: str, kind: VolumeFormat) -> None:
        spec = VolumeSpec(name="one", capacity_bytes=8 * MIB, format=kind)
        assert storage.find_volume(pool, "one") is None
        made = storage.create_volume(pool, spec)
        assert (made.name, made.capacity_bytes, made.format) == ("one", 8 * MIB, kind)
        assert PurePosixPath(made.path).parent == PurePosixPath(storage.pool_path(pool))
        assert storage.create_volume(pool, spec) == made
        assert storage.find_volume(pool, "one") == made
        assert storage.list_volumes(pool) == (made,)

    @pytest.mark.parametrize(
        "change", [{"capacity_bytes": 9 * MIB}, {"format": VolumeFormat.RAW}], ids=["size", "format"]
    )
    def test_a_different_volume_of_that_name_is_refused(
        self, storage: HostStorage, pool: str, change: dict[str, Any]
    ) -> None:
        spec = VolumeSpec(name="taken", capacity_bytes=8 * MIB)
        made = storage.create_volume(pool, spec)
        with pytest.raises(AlreadyExists):
            storage.create_volume(pool, replace(spec, **change))
        assert storage.find_volume(pool, "taken") == made

    def test_volumes_are_found_by_every_object_for_the_host(
        self, storage: HostStorage, pool: str, new_storage: NewStorage
    ) -> None:
        other = new_storage()
        made = storage.create_volume(pool, VolumeSpec(name="seen", capacity_bytes=MIB))
        assert other.find_volume(pool, "seen") == made
        other.delete_volume(pool, "seen")
        assert storage.find_volume(pool, "seen") is None

    def test_deleting_is_success_also_for_the_absent(self, storage: HostStorage, pool: str) -> None:
        storage.create_volume(pool, VolumeSpec(name="gone", capacity_bytes=MIB))
        for _ in range(2):
            storage.delete_volume(pool, "gone")
            assert storage.find_volume(pool, "gone") is None

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_names_that_leave_the_pool_are_refused(self, storage: HostStorage, pool: str, name: str) -> None:
        source = storage.create_volume(pool, VolumeSpec(name="source", capacity_bytes=MIB))
        for attempt in (
            lambda: storage.create_volume(pool, VolumeSpec(name=name, capacity_bytes=MIB)),
            lambda: storage.clone_volume(pool, "source", VolumeSpec(name=name, capacity_bytes=MIB)),
            lambda: storage.resize_volume(pool, name, 2 * MIB),
            lambda: storage.upload_volume(pool, name, io.BytesIO(b"x"), 1),
            lambda: list(storage.download_volume(pool, name)),
        ):
            with pytest.raises(HawkFishError):
                attempt()
        assert storage.list_volumes(pool) == (source,)

    @pytest.mark.parametrize("capacity", [0, -1, 2**63, 2**80])
    def test_sizes_without_sense_are_refused(self, storage: HostStorage, pool: str, capacity: int) -> None:
        with pytest.raises(HawkFishError):
            storage.create_volume(pool, VolumeSpec(name="absurd", capacity_bytes=capacity))
        assert storage.find_volume(pool, "absurd") is None

    def test_what_is_not_there_is_not_worked_on(self, storage: HostStorage, pool: str) -> None:
        for attempt in (
            lambda: storage.resize_volume(pool, "absent", MIB),
            lambda: storage.clone_volume(pool, "absent", VolumeSpec(name="copy", capacity_bytes=MIB)),
            lambda: storage.upload_volume(pool, "absent", io.BytesIO(b"x"), 1),
            lambda: list(storage.download_volume(pool, "absent")),
            lambda: storage.create_volume("hf-contract-absent", VolumeSpec(name="one", capacity_bytes=MIB)),
            lambda: storage.pool_stats("hf-contract-absent"),
        ):
            with pytest.raises(HawkFishError):
                attempt()
        assert storage.list_volumes(pool) == ()

    @pytest.mark.parametrize("kind", [VolumeFormat.RAW, VolumeFormat.QCOW2])
    def test_a_volume_grows_and_never_shrinks(self, storage: HostStorage, pool: str, kind: VolumeFormat) -> None:
        storage.create_volume(pool, VolumeSpec(name="grows", capacity_bytes=8 * MIB, format=kind))
        for _ in range(2):
            assert storage.resize_volume(pool, "grows", 16 * MIB).capacity_bytes == 16 * MIB
        with pytest.raises(HawkFishError):
            storage.resize_volume(pool, "grows", 8 * MIB)
        found = _found(storage, pool, "grows")
        assert (found.capacity_bytes, found.format) == (16 * MIB, kind)

    def test_what_is_written_to_a_raw_volume_is_read_back(self, storage: HostStorage, pool: str) -> None:
        content = random_bytes(3 * MIB)
        storage.create_volume(pool, VolumeSpec(name="bytes", capacity_bytes=3 * MIB, format=VolumeFormat.RAW))
        done: list[int] = []
        storage.upload_volume(pool, "bytes", io.BytesIO(content), len(content), OperationControl(progress=done.append))
        assert_content(b"".join(storage.download_volume(pool, "bytes")), content)
        assert done == sorted(done)
        assert done[-1] == len(content)
        assert _found(storage, pool, "bytes").capacity_bytes == 3 * MIB

    def test_a_qcow2_image_stays_one(self, storage: HostStorage, pool: str) -> None:
        image = empty_qcow2(64 * MIB)
        storage.create_volume(pool, VolumeSpec(name="image", capacity_bytes=16 * MIB))
        storage.upload_volume(pool, "image", io.BytesIO(image), len(image))
        found = _found(storage, pool, "image")
        assert (found.format, found.capacity_bytes) == (VolumeFormat.QCOW2, 64 * MIB)
        assert_content(b"".join(storage.download_volume(pool, "image"))[: len(image)], image)

    def test_a_content_that_ends_early_is_an_error(self, storage: HostStorage, pool: str) -> None:
        storage.create_volume(pool, VolumeSpec(name="short", capacity_bytes=MIB, format=VolumeFormat.RAW))
        with pytest.raises(HawkFishError):
            storage.upload_volume(pool, "short", io.BytesIO(b"too short"), MIB)

    def test_a_clone_has_the_content_and_a_life_of_its_own(self, storage: HostStorage, pool: str) -> None:
        content = random_bytes(MIB)
        storage.create_volume(pool, VolumeSpec(name="source", capacity_bytes=MIB, format=VolumeFormat.RAW))
        storage.upload_volume(pool, "source", io.BytesIO(content), MIB)
        spec = VolumeSpec(name="copy", capacity_bytes=2 * MIB, format=VolumeFormat.RAW)
        for _ in range(2):
            copy = storage.clone_volume(pool, "source", spec)
            assert (copy.name, copy.capacity_bytes, copy.format) == ("copy", 2 * MIB, VolumeFormat.RAW)
        storage.delete_volume(pool, "source")
        assert_content(b"".join(storage.download_volume(pool, "copy")), content + bytes(MIB))

    @pytest.mark.parametrize("kind", [VolumeFormat.RAW, VolumeFormat.QCOW2])
    def test_a_clone_and_its_source_grow_apart(self, storage: HostStorage, pool: str, kind: VolumeFormat) -> None:
        storage.create_volume(pool, VolumeSpec(name="source", capacity_bytes=MIB, format=kind))
        copy = storage.clone_volume(pool, "source", VolumeSpec(name="copy", capacity_bytes=MIB, format=kind))
        storage.resize_volume(pool, "source", 2 * MIB)
        assert _found(storage, pool, "copy").capacity_bytes == copy.capacity_bytes
        storage.resize_volume(pool, "copy", 3 * MIB)
        assert _found(storage, pool, "source").capacity_bytes == 2 * MIB

    def test_a_clone_smaller_than_its_source_is_refused(self, storage: HostStorage, pool: str) -> None:
        storage.create_volume(pool, VolumeSpec(name="source", capacity_bytes=2 * MIB))
        with pytest.raises(HawkFishError):
            storage.clone_volume(pool, "source", VolumeSpec(name="copy", capacity_bytes=MIB))
        assert storage.find_volume(pool, "copy") is None

    def test_an_upload_ends_when_nobody_wants_it_any_more(self, storage: HostStorage, pool: str) -> None:
        size = 16 * MIB
        storage.create_volume(pool, VolumeSpec(name="unwanted", capacity_bytes=size, format=VolumeFormat.RAW))
        content, done = io.BytesIO(random_bytes(size)), list[int]()

        def check() -> None:
            if done:
                raise Aborted("nobody wants it")

        with pytest.raises(Aborted, match="nobody wants it"):
            storage.upload_volume(pool, "unwanted", content, size, OperationControl(check=check, progress=done.append))
        assert done[-1] < size
        storage.delete_volume(pool, "unwanted")
        assert storage.list_volumes(pool) == ()

    def test_work_that_is_not_wanted_from_the_start_does_nothing(self, storage: HostStorage, pool: str) -> None:
        made = storage.create_volume(pool, VolumeSpec(name="source", capacity_bytes=MIB))

        def check() -> None:
            raise Aborted("nobody wants it")

        control = OperationControl(check=check)
        with pytest.raises(Aborted):
            storage.clone_volume(pool, "source", VolumeSpec(name="copy", capacity_bytes=MIB), control)
        with pytest.raises(Aborted):
            storage.resize_volume(pool, "source", 2 * MIB, control)
        assert storage.list_volumes(pool) == (made,)

    def test_many_volumes_are_made_and_found_as_one_by_one(self, storage: HostStorage, pool: str) -> None:
        if not isinstance(storage, SupportsBulkVolumes):
            assert not hasattr(storage, "create_volumes")
            assert not hasattr(storage, "find_volumes")
            return
        specs = [VolumeSpec(name=f"many-{number}", capacity_bytes=number * MIB) for number in (3, 1, 2)]
        first = storage.create_volume(pool, specs[1])
        for _ in range(2):
            made = storage.create_volumes(pool, specs)
            assert [(facts.name, facts.capacity_bytes) for facts in made] == [
                (spec.name, spec.capacity_bytes) for spec in specs
            ]
        assert made[1] == first
        assert sorted(storage.list_volumes(pool), key=lambda facts: facts.name) == [made[1], made[2], made[0]]
        assert storage.find_volumes(pool, ["many-2", "absent", "many-3"]) == (made[2], None, made[0])
        with pytest.raises(AlreadyExists):
            storage.create_volumes(pool, [replace(specs[0], capacity_bytes=8 * MIB)])
        assert storage.find_volume(pool, "many-3") == made[0]

    def test_any_order_of_calls_ends_as_expected(
        self, storage: HostStorage, pool: str, pool_definition: PoolDefinition, storage_examples: int
    ) -> None:
        volumes = _StorageVolumes(storage, pool_definition)
        run_machine(lambda: VolumeMachine(volumes, frozenset({VolumeFormat.RAW, VolumeFormat.QCOW2})), storage_examples)


def _found(storage: HostStorage, pool: str, name: str) -> VolumeFacts:
    facts = storage.find_volume(pool, name)
    assert facts is not None
    return facts


class _StorageVolumes(Volumes):
    def __init__(self, storage: HostStorage, definition: PoolDefinition) -> None:
        self._storage = storage
        self._definition = definition
        self._pool = definition.name

    def create(self, spec: VolumeSpec) -> VolumeFacts:
        return self._storage.create_volume(self._pool, spec)

    def delete(self, name: str) -> None:
        self._storage.delete_volume(self._pool, name)

    def find(self, name: str) -> VolumeFacts | None:
        return self._storage.find_volume(self._pool, name)

    def list(self) -> Sequence[VolumeFacts]:
        return self._storage.list_volumes(self._pool)

    def restart(self) -> None:
        self._storage.stop_pool(self._pool)
        self._storage.remove_pool(self._pool)
        self._storage.define_pool(self._definition)
        self._storage.start_pool(self._pool)

    def resize(self, name: str, capacity_bytes: int) -> VolumeFacts:
        return self._storage.resize_volume(self._pool, name, capacity_bytes)

    def clone(self, source: str, spec: VolumeSpec) -> VolumeFacts:
        return self._storage.clone_volume(self._pool, source, spec)

    def write(self, name: str, content: io.BytesIO, length: int) -> None:
        self._storage.upload_volume(self._pool, name, content, length)

    def read(self, name: str) -> bytes:
        return b"".join(self._storage.download_volume(self._pool, name))
