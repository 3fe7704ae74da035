"""The contract of compute drivers: subclass `ComputeDriverContract` and supply two fixtures.

Example::

    from hawkfish.testing.compute import ComputeDriverContract


    class TestAcmeDriver(ComputeDriverContract):
        @pytest.fixture
        def provides(self):
            return ACME_RECORD.provides

        @pytest.fixture
        def new_driver(self):
            drivers = []

            def new(installation_id=ComputeDriverContract.INSTALLATION):
                driver = AcmeDriver(HostConfig(...), context(installation_id))
                driver.open()
                drivers.append(driver)
                return driver

            yield new
            for driver in drivers:
                driver.close()

Nothing is skipped: a test of a capability that the driver does not claim shows that it is not offered.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import (
    Firmware,
    FirmwareSetup,
    MachineSpec,
    NestedVirtualisation,
    PowerState,
    SecureBootKeys,
)
from hawkfish.errors import AlreadyExists, Conflict, ForeignObject, HawkFishError, MachineNotFound, NotSupported
from hawkfish.plugins.compute import CAPABILITY_INTERFACES, ComputeDriver
from hawkfish.testing.compute_machine import ComputeDriverMachine
from hawkfish.testing.devices import DeviceContract
from hawkfish.testing.driver_fixtures import NewDriver, SpecFactory
from hawkfish.testing.gates import assert_not_offered, assert_refused, needs
from hawkfish.testing.volume_machine import run_machine

Capability = ComputeCapability


class ComputeDriverContract(DeviceContract):
    """What every compute driver must do, and what it must do if it claims more."""

    # --- the host ----------------------------------------------------------------------------------------------------

    def test_the_record_provides_what_the_code_can(
        self, driver: ComputeDriver, provides: frozenset[ComputeCapability]
    ) -> None:
        can = {item for item, interface in CAPABILITY_INTERFACES.items() if isinstance(driver, interface)}
        assert provides == can

    def test_the_host_says_what_it_is(self, driver: ComputeDriver, provides: frozenset[ComputeCapability]) -> None:
        facts = driver.probe()
        assert facts.hypervisor
        assert facts.hostname
        assert facts.architecture
        assert facts.cpus >= 1
        assert facts.memory_mib >= 1
        assert facts.firmwares
        assert facts.capabilities <= provides
        assert driver.probe() == facts

    def test_opening_and_closing_twice_is_harmless(self, driver: ComputeDriver) -> None:
        driver.open()
        driver.close()
        driver.close()
        with pytest.raises(HawkFishError):
            driver.list_machines()
        driver.open()
        assert driver.probe().cpus >= 1

    def test_machines_outlive_the_connection(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        running, stopped = machine_spec(), machine_spec()
        driver.define_machine(running)
        before = driver.start_machine(running.id), driver.define_machine(stopped)
        driver.close()
        driver.open()
        assert (driver.find_machine(running.id), driver.find_machine(stopped.id)) == before

    # --- definition --------------------------------------------------------------------------------------------------

    def test_a_machine_is_defined_as_specified_and_off(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        spec = machine_spec(vcpus=2, memory_mib=192)
        assert driver.find_machine(spec.id) is None
        made = driver.define_machine(spec)
        assert (made.id, made.name, made.vcpus, made.memory_mib) == (spec.id, spec.name, 2, 192)
        assert (made.firmware, made.stamp) == (spec.firmware, spec.stamp)
        assert made.mac_addresses == tuple(interface.mac_address for interface in spec.network_interfaces)
        assert (made.power_state, made.run_id, made.disk_ids) == (PowerState.OFF, None, ())
        assert dict(made.media) == {drive.id: None for drive in spec.drives}
        assert driver.find_machine(spec.id) == made

    def test_defining_twice_is_defining_once(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        assert driver.define_machine(spec) == driver.define_machine(spec)
        assert [machine.id for machine in driver.list_machines() if machine.id == spec.id] == [spec.id]

    def test_a_definition_can_be_changed(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        stamp = replace(spec.stamp, task_id=str(uuid4()), epoch=2)
        changed = driver.define_machine(replace(spec, vcpus=2, memory_mib=160, network_interfaces=(), stamp=stamp))
        assert (changed.vcpus, changed.memory_mib, changed.mac_addresses) == (2, 160, ())
        assert changed.stamp == stamp
        assert driver.find_machine(spec.id) == changed

    def test_the_firmware_can_be_changed_and_nothing_else_is(
        self, driver: ComputeDriver, machine_spec: SpecFactory
    ) -> None:
        spec = machine_spec()
        defined = driver.define_machine(spec)
        for firmware in sorted(driver.probe().firmwares, key=lambda item: item is spec.firmware):
            changed = driver.define_machine(replace(spec, firmware=firmware))
            assert changed == replace(defined, firmware=firmware)
            assert driver.find_machine(spec.id) == changed

    def test_a_start_reads_the_set_up_and_a_run_keeps_it(self, driver: Any, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        (usual, *others) = driver.probe().cpu_models or ("",)
        assert driver.define_machine(spec).setup in {None, spec.setup}
        changed = replace(spec, setup=FirmwareSetup(cpu_model=next(iter(others), ""), network_boot=False))
        for _ in range(2):
            defined = driver.define_machine(changed)
            assert defined.setup in {None, changed.setup}
        assert "Nic1" not in defined.boot_devices
        assert driver.start_machine(spec.id).setup == defined.setup
        running = driver.define_machine(spec)
        assert running.setup == defined.setup, "a run keeps what it was started with"
        driver.power_off_machine(spec.id)
        assert driver.find_machine(spec.id).setup in {None, spec.setup}
        with pytest.raises(NotSupported):
            driver.define_machine(replace(spec, setup=FirmwareSetup(cpu_model=f"no-{usual}-of-any-host")))
        assert driver.find_machine(spec.id).setup in {None, spec.setup}, "what was refused has changed nothing"

    def test_secure_boot_is_switched_where_the_host_says_that_it_can_be(
        self, driver: Any, machine_spec: SpecFactory
    ) -> None:
        spec = machine_spec(firmware=Firmware.UEFI)
        secured = FirmwareSetup(secure_boot=True)
        if not driver.probe().secure_boot:
            if Firmware.UEFI in driver.probe().firmwares:
                with pytest.raises(NotSupported):
                    driver.define_machine(replace(spec, setup=secured))
            return
        driver.define_machine(spec)
        for setup in (secured, replace(secured, secure_boot_keys=SecureBootKeys.NONE, keys_reset=1), FirmwareSetup()):
            for _ in range(2):
                assert driver.define_machine(replace(spec, setup=setup)).setup in {None, setup}
            assert driver.start_machine(spec.id).setup in {None, setup}
            running = driver.define_machine(spec)
            assert running.setup in {None, setup}, "a run keeps what it was started with"
            driver.power_off_machine(spec.id)
        bios = driver.define_machine(replace(spec, firmware=Firmware.BIOS, setup=secured))
        assert bios.setup in {None, secured}, "without meaning for BIOS, and kept"
        assert driver.start_machine(spec.id).power_state is PowerState.ON

    def test_nested_virtualisation_is_switched_where_the_host_says_that_it_can_be(
        self, driver: Any, machine_spec: SpecFactory
    ) -> None:
        spec = machine_spec()
        for wanted in NestedVirtualisation:
            setup = FirmwareSetup(nested_virtualisation=wanted)
            if wanted is NestedVirtualisation.AUTO or driver.probe().nested_virtualisation:
                assert driver.define_machine(replace(spec, setup=setup)).setup in {None, setup}
                assert driver.start_machine(spec.id).power_state is PowerState.ON
                driver.power_off_machine(spec.id)
            else:
                with pytest.raises(NotSupported):
                    driver.define_machine(replace(spec, setup=setup))

    def test_a_running_machine_runs_on_while_its_definition_changes(
        self, driver: ComputeDriver, machine_spec: SpecFactory
    ) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        run_id = driver.start_machine(spec.id).run_id
        during = driver.define_machine(replace(spec, vcpus=2))
        assert (during.power_state, during.run_id) == (PowerState.ON, run_id)
        driver.power_off_machine(spec.id)
        after = driver.find_machine(spec.id)
        assert after is not None
        assert after.vcpus == 2

    def test_all_machines_are_listed_as_they_are_found(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        specs = [machine_spec() for _ in range(3)]
        for spec in specs:
            driver.define_machine(spec)
        driver.start_machine(specs[0].id)
        listed = {machine.id: machine for machine in driver.list_machines()}
        for spec in specs:
            assert listed[spec.id] == driver.find_machine(spec.id)

    def test_a_name_is_taken_once(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        first = machine_spec()
        made = driver.define_machine(first)
        second = machine_spec(name=first.name)
        with pytest.raises((AlreadyExists, ForeignObject, Conflict)):
            driver.define_machine(second)
        assert driver.find_machine(first.id) == made
        assert driver.find_machine(second.id) is None

    def test_machines_are_defined_side_by_side(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        specs = [machine_spec() for _ in range(8)]
        with ThreadPoolExecutor(4) as threads:
            made = list(threads.map(driver.define_machine, specs))
        assert [machine.id for machine in made] == [spec.id for spec in specs]
        assert {spec.id for spec in specs} <= {machine.id for machine in driver.list_machines()}

    @needs(Capability.BULK_DEFINE)
    def test_many_are_defined_as_one_by_one(self, driver: Any, machine_spec: SpecFactory) -> None:
        known, *new = [machine_spec() for _ in range(4)]
        before = driver.define_machine(known)
        for _ in range(2):
            made = driver.define_machines([*new, known])
            assert [machine.id for machine in made] == [spec.id for spec in [*new, known]]
            assert made == tuple(driver.find_machine(machine.id) for machine in made)
        assert made[-1] == before
        assert [(machine.power_state, machine.stamp) for machine in made] == [
            (PowerState.OFF, spec.stamp) for spec in [*new, known]
        ]
        changed = driver.define_machines([replace(new[0], vcpus=2)])
        assert changed == (replace(made[0], vcpus=2),)
        assert driver.define_machines([]) == ()

    @needs(Capability.BULK_DEFINE)
    def test_many_leave_alone_what_is_foreign(
        self, driver: Any, foreign_machine: MachineSpec, machine_spec: SpecFactory
    ) -> None:
        before = driver.find_machine(foreign_machine.id)
        for taken in (machine_spec(id=foreign_machine.id, vcpus=2), machine_spec(name=foreign_machine.name)):
            with pytest.raises(ForeignObject):
                driver.define_machines([machine_spec(), taken])
            assert driver.find_machine(foreign_machine.id) == before
        twins = [machine_spec(name="hf-contract-twin"), machine_spec(name="hf-contract-twin")]
        with pytest.raises((AlreadyExists, Conflict)):
            driver.define_machines(twins)
        assert driver.find_machine(twins[1].id) is None

    # --- machines of others ------------------------------------------------------------------------------------------

    def test_a_foreign_machine_is_seen(self, driver: ComputeDriver, foreign_machine: MachineSpec) -> None:
        listed = {machine.id: machine for machine in driver.list_machines()}
        assert listed[foreign_machine.id].stamp == foreign_machine.stamp

    @pytest.mark.parametrize("operation", ["define", "define its name", "start", "power off", "remove"])
    def test_a_foreign_machine_is_left_alone(
        self, driver: ComputeDriver, foreign_machine: MachineSpec, machine_spec: SpecFactory, operation: str
    ) -> None:
        before = driver.find_machine(foreign_machine.id)
        ours = machine_spec(id=foreign_machine.id, vcpus=2)
        same_name = machine_spec(name=foreign_machine.name)
        act: dict[str, Callable[[], object]] = {
            "define": lambda: driver.define_machine(ours),
            "define its name": lambda: driver.define_machine(same_name),
            "start": lambda: driver.start_machine(foreign_machine.id),
            "power off": lambda: driver.power_off_machine(foreign_machine.id),
            "remove": lambda: driver.remove_machine(foreign_machine.id),
        }
        with pytest.raises(ForeignObject):
            act[operation]()
        assert driver.find_machine(foreign_machine.id) == before
        assert driver.find_machine(same_name.id) is None

    # --- power -------------------------------------------------------------------------------------------------------

    def test_starting_twice_is_starting_once(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        started = driver.start_machine(spec.id)
        assert started.power_state is PowerState.ON
        assert started.run_id
        assert driver.start_machine(spec.id).run_id == started.run_id
        assert driver.find_machine(spec.id) == started

    def test_powering_off_twice_is_powering_off_once(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        defined = driver.define_machine(spec)
        first_run = driver.start_machine(spec.id).run_id
        for _ in range(2):
            driver.power_off_machine(spec.id)
            assert driver.find_machine(spec.id) == defined
        assert driver.start_machine(spec.id).run_id != first_run

    def test_an_absent_machine_is_off_and_removed_and_does_not_start(self, driver: ComputeDriver) -> None:
        absent = uuid4()
        driver.power_off_machine(absent)
        driver.remove_machine(absent)
        with pytest.raises(MachineNotFound):
            driver.start_machine(absent)
        assert driver.find_machine(absent) is None

    def test_a_machine_is_removed_and_its_name_is_free(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        for _ in range(2):
            driver.remove_machine(spec.id)
            assert driver.find_machine(spec.id) is None
        driver.define_machine(machine_spec(name=spec.name))

    def test_a_running_machine_is_not_removed(self, driver: ComputeDriver, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        started = driver.start_machine(spec.id)
        with pytest.raises(Conflict):
            driver.remove_machine(spec.id)
        assert driver.find_machine(spec.id) == started

    def test_two_drivers_see_one_host(
        self, driver: ComputeDriver, machine_spec: SpecFactory, new_driver: NewDriver
    ) -> None:
        other = new_driver()
        spec = machine_spec()
        driver.define_machine(spec)
        started = other.start_machine(spec.id)
        assert driver.find_machine(spec.id) == started
        driver.power_off_machine(spec.id)
        seen = other.find_machine(spec.id)
        assert seen is not None
        assert seen.power_state is PowerState.OFF

    def test_any_order_of_calls_ends_as_expected(
        self, driver: ComputeDriver, machine_spec: SpecFactory, machine_examples: int
    ) -> None:
        run_machine(lambda: ComputeDriverMachine(driver, machine_spec), machine_examples)

    # --- more power, where claimed -----------------------------------------------------------------------------------

    @needs(Capability.RESET)
    def test_a_running_machine_is_reset(self, driver: Any, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        with pytest.raises(Conflict):
            driver.reset_machine(spec.id)
        driver.start_machine(spec.id)
        for _ in range(2):
            driver.reset_machine(spec.id)
            assert driver.find_machine(spec.id).power_state is PowerState.ON

    @needs(Capability.NMI)
    def test_an_nmi_is_sent_to_a_running_machine(self, driver: Any, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        with pytest.raises(Conflict):
            driver.send_nmi(spec.id)
        driver.start_machine(spec.id)
        driver.send_nmi(spec.id)
        assert driver.find_machine(spec.id).power_state is PowerState.ON

    @needs(Capability.PAUSE)
    def test_a_machine_is_paused_and_resumed(self, driver: Any, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        run_id = driver.start_machine(spec.id).run_id
        for act, state in ((driver.pause_machine, PowerState.PAUSED), (driver.resume_machine, PowerState.ON)):
            for _ in range(2):
                act(spec.id)
                found = driver.find_machine(spec.id)
                assert (found.power_state, found.run_id) == (state, run_id)
        driver.pause_machine(spec.id)
        driver.power_off_machine(spec.id)
        assert driver.find_machine(spec.id).power_state is PowerState.OFF

    @needs(Capability.GRACEFUL_SHUTDOWN)
    def test_a_machine_is_asked_to_shut_down_more_than_once(self, driver: Any, machine_spec: SpecFactory) -> None:
        spec = machine_spec()
        driver.define_machine(spec)
        driver.start_machine(spec.id)
        driver.request_shutdown(spec.id)
        try:
            driver.request_shutdown(spec.id)
        except Conflict:
            assert driver.find_machine(spec.id).power_state is PowerState.OFF, "the guest obeyed at once"

    @pytest.mark.parametrize(
        ("capability", "method"),
        [
            (Capability.RESET, "reset_machine"),
            (Capability.NMI, "send_nmi"),
            (Capability.PAUSE, "pause_machine"),
            (Capability.PAUSE, "resume_machine"),
            (Capability.SCREENSHOT, "take_screenshot"),
            (Capability.GRACEFUL_SHUTDOWN, "request_shutdown"),
        ],
    )
    def test_an_absent_machine_is_not_found(self, driver: Any, capability: ComputeCapability, method: str) -> None:
        offered = capability in driver.probe().capabilities
        if isinstance(driver, CAPABILITY_INTERFACES[capability]):
            with pytest.raises(MachineNotFound if offered else (MachineNotFound, NotSupported)):
                getattr(driver, method)(uuid4())
        else:
            assert not hasattr(driver, method)

    @pytest.mark.parametrize("capability", list(Capability))
    def test_what_is_not_offered_is_not_there_or_refused(
        self,
        driver: ComputeDriver,
        provides: frozenset[ComputeCapability],
        machine_spec: SpecFactory,
        capability: ComputeCapability,
    ) -> None:
        if capability in driver.probe().capabilities:
            assert isinstance(driver, CAPABILITY_INTERFACES[capability])
            return
        assert_not_offered(driver, capability, provides)
        if isinstance(driver, CAPABILITY_INTERFACES[capability]):
            spec = machine_spec()
            defined = driver.define_machine(spec)
            assert_refused(driver, capability, spec.id)
            assert driver.find_machine(spec.id) == defined
