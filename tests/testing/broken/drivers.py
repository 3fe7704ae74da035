"""Compute drivers with one fault each, and the test that is there to find it."""

DRIVER_TEST = """
    import time
    from contextlib import contextmanager, suppress
    import pytest
    from hawkfish.builtin.simulated.driver import SimulatedDriver
    from hawkfish.builtin.simulated.settings import CAPABILITIES
    from hawkfish.domain.machines import *
    from hawkfish.errors import *
    from hawkfish.plugins.context import HostConfig
    from hawkfish.builtin.simulated.control import FaultKind
    from hawkfish.domain.hosts import ComputeCapability
    from hawkfish.domain.storage import VolumeFormat, VolumeSpec
    from hawkfish.testing.compute import ComputeDriverContract
    from hawkfish.testing.driver_fixtures import DriverFixtures
    from hawkfish.testing.deadlines import CALLS, DeadlineContract
    from hawkfish.testing.guests import GuestContract
    from hawkfish.testing.host_storage import HostStorageContract
    from hawkfish.testing.simulator import plugin_context, running_simulator
    from hawkfish.testing.waiting import wait_until

    PROVIDES = CAPABILITIES

    Contract = {contract}
    LACKS = ""
    URI = "simulated:///rack1?boot_seconds=0.05&shutdown_seconds=0.05&lacks="

    {broken}

    # What is broken is waited for in vain; what is whole may take its time on a loaded machine.
    WHOLE = Broken is SimulatedDriver
    CALL_SECONDS = 2.0 if WHOLE else 0.5
    SECONDS = CALL_SECONDS if Contract is DeadlineContract else 30.0

    def opens(driver):
        with suppress(BackendTimeout):
            driver.open()
            return True

    class TestBroken(Contract):
        EVENT_SECONDS = 30.0 if WHOLE else 1.0
        READY_SECONDS = 30.0 if WHOLE else 2.0
        CALL_SECONDS = CALL_SECONDS
        MARGIN = 20.0 if WHOLE else 2.0

        @pytest.fixture
        def provides(self):
            return PROVIDES

        @pytest.fixture
        def boots_guest(self):
            return True

        @pytest.fixture
        def new_driver(self, tmp_path):
            opened = []

            def new(installation_id=DriverFixtures.INSTALLATION):
                host = HostConfig(id="1", name="rack1", uri=URI + LACKS)
                opened.append(Broken(host, plugin_context(tmp_path, installation_id, SECONDS)))
                wait_until(lambda: opens(opened[-1]), "the connection")
                return opened[-1]

            with running_simulator(tmp_path) as self.control:
                yield new
                for driver in opened:
                    driver.close()

        @pytest.fixture
        def guest_image(self):
            return None

        @pytest.fixture
        def new_storage(self, new_driver):
            return new_driver

        @pytest.fixture
        def hung(self):
            @contextmanager
            def hang():
                for call in CALLS:
                    self.control.fail(call, kind=FaultKind.HANG)
                yield
                self.control.clear_faults()

            return hang
"""

BROKEN_DRIVERS = {
    "starts a running machine again": (
        """
        class Broken(SimulatedDriver):
            def start_machine(self, machine_id, options=None):
                self.power_off_machine(machine_id)
                return super().start_machine(machine_id, options)
        """,
        "test_starting_twice_is_starting_once",
    ),
    "stops a running machine to remove it": (
        """
        class Broken(SimulatedDriver):
            def remove_machine(self, machine_id):
                self.power_off_machine(machine_id)
                super().remove_machine(machine_id)
        """,
        "test_a_running_machine_is_not_removed",
    ),
    "makes all but the last of many": (
        """
        class Broken(SimulatedDriver):
            def define_machines(self, specs):
                return super().define_machines(specs[:-1])
        """,
        "test_many_are_defined_as_one_by_one",
    ),
    "takes what is foreign among many": (
        """
        class Broken(SimulatedDriver):
            def define_machines(self, specs):
                try:
                    return super().define_machines(specs)
                except ForeignObject:
                    return ()
        """,
        "test_many_leave_alone_what_is_foreign",
    ),
    "says nothing of foreign machines": (
        """
        class Broken(SimulatedDriver):
            def power_off_machine(self, machine_id):
                try:
                    super().power_off_machine(machine_id)
                except ForeignObject:
                    return
        """,
        "test_a_foreign_machine_is_left_alone[power off]",
    ),
    "hides foreign machines": (
        """
        class Broken(SimulatedDriver):
            def list_machines(self):
                ours = ComputeDriverContract.INSTALLATION
                return tuple(item for item in super().list_machines() if item.stamp.installation_id == ours)
        """,
        "test_a_foreign_machine_is_seen",
    ),
    "fails on what is absent": (
        """
        class Broken(SimulatedDriver):
            def remove_machine(self, machine_id):
                if self.find_machine(machine_id) is None:
                    raise MachineNotFound("absent")
                super().remove_machine(machine_id)
        """,
        "test_an_absent_machine_is_off_and_removed_and_does_not_start",
    ),
    "claims more than its code can": (
        """
        from hawkfish.domain.hosts import ComputeCapability

        PROVIDES = CAPABILITIES | {ComputeCapability.CONSOLE}
        Broken = SimulatedDriver
        """,
        "test_the_record_provides_what_the_code_can",
    ),
    "its picture is none": (
        """
        class Broken(SimulatedDriver):
            def take_screenshot(self, machine_id):
                super().take_screenshot(machine_id)
                return Screenshot(media_type="image/png", data=b"a lovely picture")
        """,
        "test_a_screenshot_is_a_picture",
    ),
    "never reports": (
        """
        class Broken(SimulatedDriver):
            def subscribe(self, listener):
                return lambda: None
        """,
        "test_listeners_are_called_from_another_thread_and_may_call_the_driver",
    ),
    "tires after some starts": (
        """
        class Broken(SimulatedDriver):
            starts = 0

            def start_machine(self, machine_id, options=None):
                self.starts += 1
                if self.starts > 2 and self.find_machine(machine_id):
                    return self.find_machine(machine_id)
                return super().start_machine(machine_id, options)
        """,
        "test_any_order_of_calls_ends_as_expected",
    ),
    "forgets when it is closed": (
        """
        class Broken(SimulatedDriver):
            def close(self):
                try:
                    for machine in self.list_machines():
                        self.power_off_machine(machine.id)
                except BackendError:
                    pass
                super().close()
        """,
        "test_machines_outlive_the_connection",
    ),
    "has what it does not claim": (
        """
        PROVIDES = CAPABILITIES - {ComputeCapability.NMI}
        Broken = SimulatedDriver
        """,
        "test_the_record_provides_what_the_code_can",
    ),
    "keeps the method of what it does not claim": (
        """
        from hawkfish.plugins.compute import *

        PROVIDES = CAPABILITIES - {ComputeCapability.NMI}
        LACKS = "nmi"
        others = [item for item in SimulatedDriver.__bases__ if item is not SupportsNmi]
        body = {key: value for key, value in vars(SimulatedDriver).items() if key not in ("__dict__", "__weakref__")}
        Broken = type("Broken", tuple(others), body)
        """,
        "test_what_is_not_offered_is_not_there_or_refused[nmi]",
    ),
    "does what its host cannot": (
        """
        LACKS = "reset"

        class Broken(SimulatedDriver):
            def reset_machine(self, machine_id):
                self.find_machine(machine_id)
        """,
        "test_what_is_not_offered_is_not_there_or_refused[reset]",
    ),
    "says that its host can do more": (
        """
        from dataclasses import replace

        LACKS = "reset"

        class Broken(SimulatedDriver):
            def probe(self):
                return replace(super().probe(), capabilities=CAPABILITIES)
        """,
        "test_a_running_machine_is_reset",
    ),
    "forgets stamps": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def find_machine(self, machine_id):
                found = super().find_machine(machine_id)
                return found and replace(found, stamp=None)
        """,
        "test_a_machine_is_defined_as_specified_and_off",
    ),
    "says Off of what runs": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def find_machine(self, machine_id):
                found = super().find_machine(machine_id)
                return found and replace(found, power_state=PowerState.OFF)
        """,
        "test_starting_twice_is_starting_once",
    ),
    "lists another state than it finds": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def list_machines(self):
                return tuple(replace(item, power_state=PowerState.OFF, run_id=None) for item in super().list_machines())
        """,
        "test_all_machines_are_listed_as_they_are_found",
    ),
    "starts what it defines": (
        """
        class Broken(SimulatedDriver):
            def define_machine(self, spec):
                super().define_machine(spec)
                return self.start_machine(spec.id)
        """,
        "test_a_machine_is_defined_as_specified_and_off",
    ),
    "ignores a change": (
        """
        class Broken(SimulatedDriver):
            def define_machine(self, spec):
                return self.find_machine(spec.id) or super().define_machine(spec)
        """,
        "test_a_definition_can_be_changed",
    ),
    "restarts a machine to change it": (
        """
        class Broken(SimulatedDriver):
            def define_machine(self, spec):
                running = (self.find_machine(spec.id) or spec).__dict__.get("run_id")
                if running:
                    self.power_off_machine(spec.id)
                made = super().define_machine(spec)
                return self.start_machine(spec.id) if running else made
        """,
        "test_a_running_machine_runs_on_while_its_definition_changes",
    ),
    "leaves half a machine when its name is taken": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def define_machine(self, spec):
                try:
                    return super().define_machine(spec)
                except (AlreadyExists, Conflict):
                    super().define_machine(replace(spec, name=spec.name + "-new"))
                    raise
        """,
        "test_a_name_is_taken_once",
    ),
    "raises what is not ours": (
        """
        class Broken(SimulatedDriver):
            def start_machine(self, machine_id, options=None):
                if self.find_machine(machine_id) is None:
                    raise KeyError(machine_id)
                return super().start_machine(machine_id, options)
        """,
        "test_an_absent_machine_is_off_and_removed_and_does_not_start",
    ),
    "a medium that cannot be read empties the drive": (
        """
        class Broken(SimulatedDriver):
            def change_medium(self, machine_id, drive_id, medium):
                with suppress(HawkFishError):
                    super().change_medium(machine_id, drive_id, None)
                super().change_medium(machine_id, drive_id, medium)
        """,
        "test_what_cannot_be_inserted_leaves_the_medium",
    ),
    "a stick that is never plugged in": (
        """
        class Broken(SimulatedDriver):
            def change_medium(self, machine_id, drive_id, medium):
                if drive_id == "Cd":
                    super().change_medium(machine_id, drive_id, medium)
        """,
        "test_a_usb_stick_is_plugged_in_and_pulled_out[off]",
    ),
    "deletes disks with their machine": (
        """
        class Broken(SimulatedDriver):
            pools = ()

            def define_pool(self, definition):
                self.pools = (*self.pools, definition.name)
                super().define_pool(definition)

            def remove_machine(self, machine_id):
                super().remove_machine(machine_id)
                for pool in self.pools:
                    for volume in self.list_volumes(pool):
                        self.delete_volume(pool, volume.name)
        """,
        "test_a_machine_has_its_disks_and_leaves_them_behind",
    ),
    "writes an override into the definition": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            specs = {}

            def define_machine(self, spec):
                self.specs[spec.id] = spec
                return super().define_machine(spec)

            def start_machine(self, machine_id, options=None):
                if options:
                    super().define_machine(replace(self.specs[machine_id], memory_mib=256))
                return super().start_machine(machine_id)
        """,
        "test_a_boot_override_leaves_the_definition_as_it_is[True]",
    ),
    "knows no order of devices": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def define_machine(self, spec):
                return super().define_machine(replace(spec, boot_devices=()))
        """,
        "test_devices_are_tried_in_the_order_that_was_asked_for",
    ),
    "enters a set-up menu that a BIOS does not have": (
        """
        from hawkfish.domain.machines import BootDevice

        class Broken(SimulatedDriver):
            def start_machine(self, machine_id, options=None):
                if options and options.boot_first is BootDevice.SETUP:
                    options = None
                return super().start_machine(machine_id, options)
        """,
        "test_the_set_up_menu_is_entered_where_the_host_says_that_it_can_be",
    ),
    "takes no override back": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def start_machine(self, machine_id, options=None):
                return super().start_machine(machine_id, options and replace(options, once=False))
        """,
        "test_a_run_says_what_its_next_boot_tries[True]",
    ),
    "keeps the firmware that a machine was made with": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def define_machine(self, spec):
                known = self.find_machine(spec.id)
                return super().define_machine(replace(spec, firmware=known.firmware) if known else spec)
        """,
        "test_the_firmware_can_be_changed_and_nothing_else_is",
    ),
}

BROKEN_GUESTS = {
    "pretends that a disk is detached": (
        """
        class Broken(SimulatedDriver):
            def detach_disk(self, machine_id, disk_id, timeout):
                self.find_machine(machine_id)
        """,
        "test_a_guest_releases_a_disk",
    ),
    "pretends to ask the guest": (
        """
        class Broken(SimulatedDriver):
            def request_shutdown(self, machine_id):
                self.find_machine(machine_id)
        """,
        "test_a_guest_boots_is_reset_and_obeys_the_power_button",
    ),
    "a reset is a new run": (
        """
        class Broken(SimulatedDriver):
            def reset_machine(self, machine_id):
                self.power_off_machine(machine_id)
                self.start_machine(machine_id)
        """,
        "test_a_guest_boots_is_reset_and_obeys_the_power_button",
    ),
}

BROKEN_DEADLINES = {
    "waits for ever": (
        """
        class Broken(SimulatedDriver):
            def find_machine(self, machine_id):
                while True:
                    try:
                        return super().find_machine(machine_id)
                    except BackendTimeout:
                        self.tries = getattr(self, "tries", 0) + 1
                        if self.tries > 8:
                            raise
        """,
        "test_a_call_to_a_hung_host_ends_at_its_deadline[find_machine]",
    ),
    "takes silence for absence": (
        """
        class Broken(SimulatedDriver):
            def find_machine(self, machine_id):
                try:
                    return super().find_machine(machine_id)
                except BackendTimeout:
                    return None
        """,
        "test_a_call_to_a_hung_host_ends_at_its_deadline[find_machine]",
    ),
}
