"""What the kits of compute drivers share: the fixtures that an author supplies, and those that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import Firmware, MachineSpec, MachineStamp, NetworkInterfaceSpec
from hawkfish.domain.storage import PoolDefinition
from hawkfish.plugins.compute import ComputeDriver, offered_capabilities
from hawkfish.testing.volumes import PoolFixtures

NewDriver = Callable[..., ComputeDriver]
SpecFactory = Callable[..., MachineSpec]


class DriverFixtures(PoolFixtures):
    """Fixtures of a driver under test, and of its machines and its pool, which are gone afterwards."""

    INSTALLATION: ClassVar[str] = "11111111-1111-4111-8111-111111111111"
    OTHER_INSTALLATION: ClassVar[str] = "22222222-2222-4222-8222-222222222222"

    # --- what the subclass supplies ----------------------------------------------------------------------------------

    @pytest.fixture
    def new_driver(self) -> NewDriver:
        """Supply this: a callable that opens another driver to the one host of this test, which has no machines.

        It takes `installation_id`, `INSTALLATION` by default. The fixture closes what it opened.
        """
        pytest.fail("The subclass of ComputeDriverContract must have a fixture new_driver.")

    @pytest.fixture
    def provides(self) -> frozenset[ComputeCapability]:
        """Supply this: the capabilities of the plugin's record."""
        pytest.fail("The subclass of ComputeDriverContract must have a fixture provides.")

    @pytest.fixture
    def boots_guest(self) -> bool:
        """Whether machines run a guest even without a disk, as simulated ones do."""
        return False

    @pytest.fixture
    def machine_changes(self) -> dict[str, Any]:
        """Fields of every `MachineSpec` in which the driver's tests differ, such as `firmware`."""
        return {}

    @pytest.fixture
    def machine_examples(self) -> int:
        """How many random orders of calls are tried; fewer where starting a machine takes long."""
        return 30

    # --- what the tests use ------------------------------------------------------------------------------------------

    @pytest.fixture
    def machine_spec(self, made_machines: list[UUID], machine_changes: dict[str, Any]) -> SpecFactory:
        """A callable that gives the specification of a new small machine, with the changes asked for."""

        def make(**changes: Any) -> MachineSpec:
            machine_id = uuid4()
            made_machines.append(machine_id)
            spec = MachineSpec(
                id=machine_id,
                name=f"hf-contract-{machine_id.hex[:12]}",
                vcpus=1,
                memory_mib=128,
                firmware=Firmware.BIOS,
                stamp=MachineStamp(installation_id=self.INSTALLATION, task_id=str(uuid4()), epoch=1),
                network_interfaces=(
                    NetworkInterfaceSpec(
                        id="Nic1", mac_address=f"52:54:00:{machine_id.hex[:2]}:{machine_id.hex[2:4]}:01"
                    ),
                ),
            )
            return replace(spec, **{**machine_changes, **changes})

        return make

    @pytest.fixture
    def driver(self, new_driver: NewDriver, made_machines: list[UUID]) -> Iterator[ComputeDriver]:
        """The driver under test; its machines are removed afterwards."""
        driver = new_driver()
        yield driver
        self._remove_machines(driver, new_driver, made_machines)

    @pytest.fixture
    def foreign_machine(self, driver: ComputeDriver, new_driver: NewDriver, machine_spec: SpecFactory) -> MachineSpec:
        """A running machine of another installation on the same host."""
        stamp = MachineStamp(installation_id=self.OTHER_INSTALLATION, task_id="t", epoch=1)
        spec = machine_spec(stamp=stamp)
        other = new_driver(self.OTHER_INSTALLATION)
        other.define_machine(spec)
        other.start_machine(spec.id)
        return spec

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
    def pool(
        self,
        driver: Any,
        pool_definition: PoolDefinition,
        new_driver: Callable[..., Any],
        made_machines: list[UUID],
    ) -> Iterator[str]:
        """The name of a started empty pool, where the driver keeps storage; it is emptied and forgotten afterwards."""
        if ComputeCapability.HOST_STORAGE not in offered_capabilities(driver, driver.probe()):
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
