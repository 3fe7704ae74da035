"""The part of the compute drivers' contract that speaks of a host's storage manager."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.storage import PoolDefinition, PoolKind, VolumeFormat, VolumeSpec
from hawkfish.errors import AlreadyExists, ForeignObject, HawkFishError
from hawkfish.plugins.compute import offered_capabilities
from hawkfish.plugins.control import OperationControl
from hawkfish.plugins.files import write_empty_qcow2
from hawkfish.testing.gates import needs

MIB = 2**20
STORAGE = ComputeCapability.HOST_STORAGE


def random_bytes(length: int, seed: int = 1) -> bytes:
    """Bytes that no format begins with and no two seeds share."""
    return b"\x00hawkfish" + random.Random(seed).randbytes(length - 9)  # noqa: S311  test data, not a secret


def empty_qcow2(virtual_bytes: int) -> bytes:
    """A complete qcow2 image."""
    stream = io.BytesIO()
    write_empty_qcow2(stream, virtual_bytes)
    return stream.getvalue()


class HostStorageContract:
    """What the `HostStorage` of a driver must do. Part of `ComputeDriverContract`; not for use alone."""

    INSTALLATION: ClassVar[str] = "11111111-1111-4111-8111-111111111111"
    OTHER_INSTALLATION: ClassVar[str] = "22222222-2222-4222-8222-222222222222"

    @pytest.fixture
    def made_machines(self) -> list[UUID]:
        """Ids of machines that may have been made."""
        return []

    def _remove_machines(self, driver: Any, new_driver: Callable[..., Any], made_machines: list[UUID]) -> None:
        """Removes what a test made, each machine by the installation that made it."""
        driver.open()
        owners = {self.INSTALLATION: driver}
        for machine in driver.list_machines():
            if machine.id in made_machines and machine.stamp is not None:
                owner = machine.stamp.installation_id
                if owner not in owners:
                    owners[owner] = new_driver(owner)
                owners[owner].power_off_machine(machine.id)
                owners[owner].remove_machine(machine.id)

    @pytest.fixture
    def pool_target(self, tmp_path: Path) -> PurePosixPath:
        """A folder on the host that does not exist yet, for a pool of kind DIRECTORY. Override it for a remote host."""
        return PurePosixPath(tmp_path / "pool")

    @pytest.fixture
    def pool_definition(self, pool_target: PurePosixPath) -> PoolDefinition:
        """A definition that the host can keep."""
        return PoolDefinition(name=f"hf-contract-{uuid4().hex[:8]}", kind=PoolKind.DIRECTORY, target=pool_target)

    @pytest.fixture
    def pool(
        self,
        driver: Any,
        pool_definition: PoolDefinition,
        new_driver: Callable[..., Any],
        made_machines: list[UUID],
    ) -> Iterator[str]:
        """The name of a started empty pool, where the driver keeps storage; it is emptied and forgotten afterwards."""
        if STORAGE not in offered_capabilities(driver, driver.probe()):
            yield "none"
            return
        driver.define_pool(pool_definition)
        driver.start_pool(pool_definition.name)
        yield pool_definition.name
        self._remove_machines(driver, new_driver, made_machines)  # they have volumes open
        driver.define_pool(pool_definition)
        driver.start_pool(pool_definition.name)
        for volume in driver.list_volumes(pool_definition.name):
            driver.delete_volume(pool_definition.name, volume.name)
        driver.stop_pool(pool_definition.name)
        driver.remove_pool(pool_definition.name)

    @needs(STORAGE)
    def test_a_pool_is_defined_and_started_twice_as_once(
        self, driver: Any, pool: str, pool_definition: PoolDefinition
    ) -> None:
        driver.define_pool(pool_definition)
        driver.start_pool(pool)
        assert driver.pool_path(pool) == str(pool_definition.target)
        stats = driver.pool_stats(pool)
        assert stats.capacity_bytes > 0
        assert 0 <= stats.available_bytes <= stats.capacity_bytes
        assert driver.list_volumes(pool) == ()

    @needs(STORAGE)
    def test_a_pool_of_that_name_elsewhere_is_left_alone(
        self, driver: Any, pool: str, pool_definition: PoolDefinition
    ) -> None:
        with pytest.raises(ForeignObject):
            driver.define_pool(replace(pool_definition, target=pool_definition.target.with_name("elsewhere")))
        assert driver.pool_path(pool) == str(pool_definition.target)

    @needs(STORAGE)
    def test_a_pool_is_stopped_and_forgotten_and_its_volumes_stay(
        self, driver: Any, pool: str, pool_definition: PoolDefinition
    ) -> None:
        made = driver.create_volume(pool, VolumeSpec(name="stays", capacity_bytes=MIB))
        for _ in range(2):
            driver.stop_pool(pool)
        for _ in range(2):
            driver.remove_pool(pool)
        driver.define_pool(pool_definition)
        driver.start_pool(pool)
        assert driver.find_volume(pool, "stays") == made

    @needs(STORAGE)
    def test_absent_pools_are_stopped_and_removed_with_success(self, driver: Any) -> None:
        driver.stop_pool("hf-contract-absent")
        driver.remove_pool("hf-contract-absent")

    @needs(STORAGE)
    @pytest.mark.parametrize("kind", [VolumeFormat.RAW, VolumeFormat.QCOW2])
    def test_a_volume_is_made_found_and_listed(self, driver: Any, pool: str, kind: VolumeFormat) -> None:
        spec = VolumeSpec(name="one", capacity_bytes=8 * MIB, format=kind)
        assert driver.find_volume(pool, "one") is None
        made = driver.create_volume(pool, spec)
        assert (made.name, made.capacity_bytes, made.format) == ("one", 8 * MIB, kind)
        assert PurePosixPath(made.path).parent == PurePosixPath(driver.pool_path(pool))
        assert driver.create_volume(pool, spec) == made
        assert driver.find_volume(pool, "one") == made
        assert driver.list_volumes(pool) == (made,)

    @needs(STORAGE)
    @pytest.mark.parametrize(
        "change", [{"capacity_bytes": 9 * MIB}, {"format": VolumeFormat.RAW}], ids=["size", "format"]
    )
    def test_a_different_volume_of_that_name_is_refused(self, driver: Any, pool: str, change: dict[str, Any]) -> None:
        spec = VolumeSpec(name="taken", capacity_bytes=8 * MIB)
        made = driver.create_volume(pool, spec)
        with pytest.raises(AlreadyExists):
            driver.create_volume(pool, replace(spec, **change))
        assert driver.find_volume(pool, "taken") == made

    @needs(STORAGE)
    def test_volumes_are_found_by_every_driver_of_the_host(
        self, driver: Any, pool: str, new_driver: Callable[..., Any]
    ) -> None:
        other = new_driver()
        made = driver.create_volume(pool, VolumeSpec(name="seen", capacity_bytes=MIB))
        assert other.find_volume(pool, "seen") == made
        other.delete_volume(pool, "seen")
        assert driver.find_volume(pool, "seen") is None

    @needs(STORAGE)
    def test_deleting_is_success_also_for_the_absent(self, driver: Any, pool: str) -> None:
        driver.create_volume(pool, VolumeSpec(name="gone", capacity_bytes=MIB))
        for _ in range(2):
            driver.delete_volume(pool, "gone")
            assert driver.find_volume(pool, "gone") is None

    @needs(STORAGE)
    @pytest.mark.parametrize("name", ["../escape", "a/b", ".", "..", ""])
    def test_names_that_leave_the_pool_are_refused(self, driver: Any, pool: str, name: str) -> None:
        with pytest.raises(HawkFishError):
            driver.create_volume(pool, VolumeSpec(name=name, capacity_bytes=MIB))
        assert driver.list_volumes(pool) == ()

    @needs(STORAGE)
    @pytest.mark.parametrize("kind", [VolumeFormat.RAW, VolumeFormat.QCOW2])
    def test_a_volume_grows_and_never_shrinks(self, driver: Any, pool: str, kind: VolumeFormat) -> None:
        driver.create_volume(pool, VolumeSpec(name="grows", capacity_bytes=8 * MIB, format=kind))
        for _ in range(2):
            assert driver.resize_volume(pool, "grows", 16 * MIB).capacity_bytes == 16 * MIB
        with pytest.raises(HawkFishError):
            driver.resize_volume(pool, "grows", 8 * MIB)
        found = driver.find_volume(pool, "grows")
        assert (found.capacity_bytes, found.format) == (16 * MIB, kind)

    @needs(STORAGE)
    def test_what_is_written_to_a_raw_volume_is_read_back(self, driver: Any, pool: str) -> None:
        content = random_bytes(3 * MIB)
        driver.create_volume(pool, VolumeSpec(name="bytes", capacity_bytes=3 * MIB, format=VolumeFormat.RAW))
        done: list[int] = []
        driver.upload_volume(pool, "bytes", io.BytesIO(content), len(content), OperationControl(progress=done.append))
        assert b"".join(driver.download_volume(pool, "bytes")) == content
        assert done == sorted(done)
        assert done[-1] == len(content)
        assert driver.find_volume(pool, "bytes").capacity_bytes == 3 * MIB

    @needs(STORAGE)
    def test_a_qcow2_image_stays_one(self, driver: Any, pool: str) -> None:
        image = empty_qcow2(64 * MIB)
        driver.create_volume(pool, VolumeSpec(name="image", capacity_bytes=16 * MIB))
        driver.upload_volume(pool, "image", io.BytesIO(image), len(image))
        found = driver.find_volume(pool, "image")
        assert (found.format, found.capacity_bytes) == (VolumeFormat.QCOW2, 64 * MIB)
        assert b"".join(driver.download_volume(pool, "image"))[: len(image)] == image

    @needs(STORAGE)
    def test_a_content_that_ends_early_is_an_error(self, driver: Any, pool: str) -> None:
        driver.create_volume(pool, VolumeSpec(name="short", capacity_bytes=MIB, format=VolumeFormat.RAW))
        with pytest.raises(HawkFishError):
            driver.upload_volume(pool, "short", io.BytesIO(b"too short"), MIB)

    @needs(STORAGE)
    def test_a_clone_has_the_content_and_a_life_of_its_own(self, driver: Any, pool: str) -> None:
        content = random_bytes(MIB)
        driver.create_volume(pool, VolumeSpec(name="source", capacity_bytes=MIB, format=VolumeFormat.RAW))
        driver.upload_volume(pool, "source", io.BytesIO(content), MIB)
        spec = VolumeSpec(name="copy", capacity_bytes=2 * MIB, format=VolumeFormat.RAW)
        for _ in range(2):
            copy = driver.clone_volume(pool, "source", spec)
            assert (copy.name, copy.capacity_bytes, copy.format) == ("copy", 2 * MIB, VolumeFormat.RAW)
        driver.delete_volume(pool, "source")
        assert b"".join(driver.download_volume(pool, "copy")) == content + bytes(MIB)

    @needs(STORAGE)
    def test_a_clone_smaller_than_its_source_is_refused(self, driver: Any, pool: str) -> None:
        driver.create_volume(pool, VolumeSpec(name="source", capacity_bytes=2 * MIB))
        with pytest.raises(HawkFishError):
            driver.clone_volume(pool, "source", VolumeSpec(name="copy", capacity_bytes=MIB))
        assert driver.find_volume(pool, "copy") is None
