"""Drivers, storage, pools and checkers with one fault each, and the test of a kit that is there to find it."""

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

    PROVIDES = CAPABILITIES

    Contract = {contract}
    LACKS = ""
    URI = "simulated:///rack1?boot_seconds=0.05&shutdown_seconds=0.05&lacks="
    SECONDS = 0.5 if Contract is DeadlineContract else 30.0

    {broken}

    class TestBroken(Contract):
        EVENT_SECONDS = 1.0
        READY_SECONDS = 2.0
        CALL_SECONDS = 0.5

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
                opened[-1].open()
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
}

BROKEN_STORAGE = {
    "answers for many in the order of names": (
        """
        class Broken(SimulatedDriver):
            def create_volumes(self, pool, specs):
                return super().create_volumes(pool, sorted(specs, key=lambda spec: spec.name))
        """,
        "test_many_volumes_are_made_and_found_as_one_by_one",
    ),
    "takes any volume of the name": (
        """
        class Broken(SimulatedDriver):
            def create_volume(self, pool, spec):
                return self.find_volume(pool, spec.name) or super().create_volume(pool, spec)
        """,
        "test_a_different_volume_of_that_name_is_refused[size]",
    ),
    "cuts off contents": (
        """
        class Broken(SimulatedDriver):
            def download_volume(self, pool, name):
                yield next(super().download_volume(pool, name))
        """,
        "test_what_is_written_to_a_raw_volume_is_read_back",
    ),
    "forgets volumes with their pool": (
        """
        class Broken(SimulatedDriver):
            def remove_pool(self, name):
                with suppress(HawkFishError):
                    self.start_pool(name)
                    for volume in self.list_volumes(name):
                        self.delete_volume(name, volume.name)
                    self.stop_pool(name)
                super().remove_pool(name)
        """,
        "test_a_pool_is_stopped_and_forgotten_and_its_volumes_stay",
    ),
    "takes over the pool of another": (
        """
        class Broken(SimulatedDriver):
            def define_pool(self, definition):
                with suppress(ForeignObject):
                    super().define_pool(definition)
        """,
        "test_a_pool_of_that_name_elsewhere_is_left_alone",
    ),
    "deletes only once": (
        """
        class Broken(SimulatedDriver):
            def delete_volume(self, pool, name):
                if self.find_volume(pool, name) is None:
                    raise NotFound("absent")
                super().delete_volume(pool, name)
        """,
        "test_deleting_is_success_also_for_the_absent",
    ),
    "gives a little less": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def create_volume(self, pool, spec):
                return super().create_volume(pool, replace(spec, capacity_bytes=spec.capacity_bytes - 512))
        """,
        "test_a_volume_is_made_found_and_listed[raw]",
    ),
    "shrinks": (
        """
        from pathlib import Path

        class Broken(SimulatedDriver):
            def resize_volume(self, pool, name, capacity_bytes, control=None):
                try:
                    return super().resize_volume(pool, name, capacity_bytes)
                except Conflict:
                    Path(self.pool_path(pool), name).write_bytes(bytes(capacity_bytes))
                    return self.find_volume(pool, name)
        """,
        "test_a_volume_grows_and_never_shrinks[raw]",
    ),
    "a refused clone leaks": (
        """
        class Broken(SimulatedDriver):
            def clone_volume(self, pool, source, spec, *control):
                if self.find_volume(pool, spec.name) is None:
                    self.create_volume(pool, spec)
                    try:
                        original = self.find_volume(pool, source)
                        if spec.capacity_bytes < original.capacity_bytes:
                            raise Conflict("too small")
                    except AttributeError:
                        raise NotFound("absent") from None
                    self.delete_volume(pool, spec.name)
                return super().clone_volume(pool, source, spec, *control)
        """,
        "test_a_clone_smaller_than_its_source_is_refused",
    ),
    "a clone is empty": (
        """
        class Broken(SimulatedDriver):
            def clone_volume(self, pool, source, spec, *control):
                return self.create_volume(pool, spec)
        """,
        "test_a_clone_has_the_content_and_a_life_of_its_own",
    ),
    "writes what nobody wants": (
        """
        class Broken(SimulatedDriver):
            def upload_volume(self, pool, name, content, length, control=None):
                super().upload_volume(pool, name, content, length)
                control.report(length)
        """,
        "test_an_upload_ends_when_nobody_wants_it_any_more",
    ),
    "copies what nobody wants": (
        """
        class Broken(SimulatedDriver):
            def clone_volume(self, pool, source, spec, *control):
                return super().clone_volume(pool, source, spec)
        """,
        "test_work_that_is_not_wanted_from_the_start_does_nothing",
    ),
    "cleans names": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def create_volume(self, pool, spec):
                return super().create_volume(pool, replace(spec, name=spec.name.replace("/", "")))
        """,
        "test_names_that_leave_the_pool_are_refused[a/b]",
    ),
    "takes any size for none": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def create_volume(self, pool, spec):
                return super().create_volume(pool, replace(spec, capacity_bytes=max(512, spec.capacity_bytes)))
        """,
        "test_sizes_without_sense_are_refused[0]",
    ),
    "makes a pool that it does not know": (
        """
        from hawkfish.domain.storage import PoolStats

        class Broken(SimulatedDriver):
            def pool_stats(self, name):
                try:
                    return super().pool_stats(name)
                except NotFound:
                    return PoolStats(capacity_bytes=0, allocated_bytes=0, available_bytes=0)
        """,
        "test_what_is_not_there_is_not_worked_on",
    ),
    "sees its own volumes alone": (
        """
        class Broken(SimulatedDriver):
            def __init__(self, *given):
                super().__init__(*given)
                self.mine = set()

            def create_volume(self, pool, spec):
                self.mine.add(spec.name)
                return super().create_volume(pool, spec)

            def find_volume(self, pool, name):
                return super().find_volume(pool, name) if name in self.mine else None
        """,
        "test_volumes_are_found_by_every_object_for_the_host",
    ),
    "a clone is its source under another name": (
        """
        import os
        from pathlib import Path

        class Broken(SimulatedDriver):
            def clone_volume(self, pool, source, spec, *control):
                folder, original = Path(self.pool_path(pool)), self.find_volume(pool, source)
                if original is None or original.capacity_bytes != spec.capacity_bytes:
                    return super().clone_volume(pool, source, spec, *control)
                os.link(folder / source, folder / spec.name)
                return self.find_volume(pool, spec.name)
        """,
        "test_a_clone_and_its_source_grow_apart[qcow2]",
    ),
    "growing one grows all": (
        """
        class Broken(SimulatedDriver):
            def resize_volume(self, pool, name, capacity_bytes, *control):
                facts = super().resize_volume(pool, name, capacity_bytes, *control)
                for other in self.list_volumes(pool):
                    with suppress(HawkFishError):
                        super().resize_volume(pool, other.name, capacity_bytes)
                return facts
        """,
        "test_any_order_of_calls_ends_as_expected",
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

POOL_TEST = """
    import pytest
    from pathlib import Path
    from uuid import uuid4
    from hawkfish.builtin.directory_pool import DirectoryPool
    from hawkfish.builtin.plugin import hawkfish_storage_pools
    from hawkfish.errors import *
    from hawkfish.plugins.compute import PoolHost
    from hawkfish.plugins.context import PoolConfig
    from hawkfish.testing.simulator import in_process_simulator, plugin_context
    from hawkfish.testing.storage import StoragePoolContract

    from contextlib import suppress
    from hawkfish.domain.storage import VolumeFormat
    from hawkfish.plugins.storage import *

    PROVIDES = next(iter(hawkfish_storage_pools())).provides

    {broken}

    class TestBroken(StoragePoolContract):
        @pytest.fixture
        def volume_bytes(self):
            return 2**20

        @pytest.fixture
        def provides(self):
            return PROVIDES

        @pytest.fixture
        def pool_host(self, tmp_path):
            with in_process_simulator(tmp_path) as simulator:
                driver = simulator.driver("simulated:///rack1", "ours")
                yield PoolHost(id=uuid4(), name="rack1", storage=driver, bulk_volumes=driver, data_dir=tmp_path)
                driver.close()

        @pytest.fixture
        def new_pool(self, tmp_path):
            return lambda: Broken(PoolConfig(id="1", name="p"), plugin_context(tmp_path, "ours"))
"""

BROKEN_POOLS = {
    "connects many in another order": (
        """
        class Broken(DirectoryPool):
            def connect_many(self, host, names):
                return super().connect_many(host, sorted(names, reverse=True))
        """,
        "test_many_volumes_are_made_and_connected_as_one_by_one",
    ),
    "deletes only once": (
        """
        class Broken(DirectoryPool):
            def delete(self, host, name):
                if self.find(host, name) is None:
                    raise NotFound("absent")
                super().delete(host, name)
        """,
        "test_a_volume_of_each_format_is_made_and_deleted",
    ),
    "shrinks without a word": (
        """
        class Broken(DirectoryPool):
            def resize(self, host, name, capacity_bytes, control=None):
                try:
                    return super().resize(host, name, capacity_bytes)
                except Conflict:
                    return self.find(host, name)
        """,
        "test_a_volume_grows_and_never_shrinks",
    ),
    "connects what is absent": (
        """
        class Broken(DirectoryPool):
            def connect(self, host, name):
                from hawkfish.domain.storage import FilePath
                return FilePath(path=Path("/") / name)
        """,
        "test_an_absent_volume_cannot_be_connected",
    ),
    "strips slashes from names": (
        """
        class Broken(DirectoryPool):
            def delete(self, host, name):
                super().delete(host, "".join(part for part in name if part.isalnum()) or "x")
        """,
        "test_names_that_leave_the_pool_are_refused[a/b]",
    ),
    "forgets with its object": (
        """
        class Broken(DirectoryPool):
            known = None

            def create(self, host, spec):
                self.known = {**(self.known or {}), spec.name: super().create(host, spec)}
                return self.known[spec.name]

            def find(self, host, name):
                found = super().find(host, name)
                return found and (self.known or {}).get(name)
        """,
        "test_every_object_for_the_pool_sees_the_same",
    ),
    "releasing deletes": (
        """
        class Broken(DirectoryPool):
            def release(self, host):
                with suppress(HawkFishError):
                    for volume in self.list_volumes(host):
                        self.delete(host, volume.name)
                super().release(host)
        """,
        "test_preparing_and_releasing_twice_is_harmless",
    ),
    "has what it does not claim": (
        """
        PROVIDES = PROVIDES - {PoolCapability.CLONE}
        Broken = DirectoryPool
        """,
        "test_the_record_provides_what_the_code_can",
    ),
    "keeps the method of what it does not claim": (
        """
        PROVIDES = PROVIDES - {PoolCapability.CLONE}
        body = {key: value for key, value in vars(DirectoryPool).items() if key not in ("__dict__", "__weakref__")}
        Broken = type("Broken", (StoragePool, SupportsResize, SupportsContent), body)
        """,
        "test_a_clone_has_a_life_of_its_own",
    ),
    "claims what it lacks": (
        """
        class Broken(DirectoryPool):
            def create(self, host, spec):
                facts = super().create(host, spec)
                if spec.format == "raw":
                    Path(facts.path).write_bytes(bytes(spec.capacity_bytes))
                return self.find(host, spec.name)

            @property
            def formats(self):
                return frozenset({VolumeFormat.RAW})
        """,
        "test_what_is_not_written_takes_no_room",
    ),
    "takes a format that it does not have": (
        """
        class Broken(DirectoryPool):
            def _checked(self, spec):
                return spec

            @property
            def formats(self):
                return frozenset({VolumeFormat.QCOW2})
        """,
        "test_a_format_that_is_not_offered_is_refused",
    ),
    "takes half a content for the whole": (
        """
        class Broken(DirectoryPool):
            def upload(self, host, name, content, length, *control):
                with suppress(HawkFishError):
                    super().upload(host, name, content, length, *control)
        """,
        "test_a_content_that_ends_early_is_an_error",
    ),
    "hears nothing": (
        """
        class Broken(DirectoryPool):
            def upload(self, host, name, content, length, *control):
                super().upload(host, name, content, length)
        """,
        "test_an_upload_ends_when_nobody_wants_it",
    ),
    "disconnecting deletes": (
        """
        class Broken(DirectoryPool):
            def disconnect(self, host, name):
                self.delete(host, name)
        """,
        "test_a_volume_is_connected_as_often_as_asked",
    ),
    "growing one grows all": (
        """
        class Broken(DirectoryPool):
            def resize(self, host, name, capacity_bytes, *control):
                facts = super().resize(host, name, capacity_bytes, *control)
                for other in self.list_volumes(host):
                    with suppress(HawkFishError):
                        super().resize(host, other.name, capacity_bytes)
                return facts
        """,
        "test_any_order_of_calls_ends_as_expected",
    ),
}

CHECKER_TEST = """
    import time
    import pytest
    from dataclasses import replace
    from hawkfish.plugins.quota import QuotaChecker, QuotaDenial
    from hawkfish.testing.quota import QuotaCheckerContract, quota_request

    class Whole(QuotaChecker):
        def check(self, request):
            if request.amounts.get("vCPUs", 0) > 8:
                return QuotaDenial(resource="vCPUs", message="Machines have at most 8 vCPUs; ask for fewer.")
            return None

    {broken}

    class TestBroken(QuotaCheckerContract):
        @pytest.fixture
        def new_checker(self):
            return Broken

        @pytest.fixture
        def allowed(self):
            return quota_request(vCPUs=8)

        @pytest.fixture
        def denied(self):
            return quota_request(vCPUs=9)
"""

BROKEN_CHECKERS = {
    "allows all": (
        """
        class Broken(Whole):
            def check(self, request):
                return None
        """,
        "test_it_allows_and_denies",
    ),
    "answers with a boolean": (
        """
        class Broken(Whole):
            def check(self, request):
                return super().check(request) and False
        """,
        "test_it_allows_and_denies",
    ),
    "says no without a word": (
        """
        class Broken(Whole):
            def check(self, request):
                return super().check(request) and QuotaDenial(resource="vCPUs", message="no")
        """,
        "test_a_denial_names_what_is_short_and_what_to_do",
    ),
    "names a resource that nobody knows": (
        """
        class Broken(Whole):
            def check(self, request):
                denial = super().check(request)
                return denial and replace(denial, resource="cores")
        """,
        "test_a_denial_names_what_is_short_and_what_to_do",
    ),
    "counts by itself": (
        """
        class Broken(Whole):
            seen = 0

            def check(self, request):
                self.seen += 1
                return super().check(request) if self.seen < 3 else None
        """,
        "test_the_answer_depends_on_the_request_alone",
    ),
    "takes what was asked for": (
        """
        class Broken(Whole):
            def check(self, request):
                if isinstance(request.amounts, dict):
                    request.amounts["vCPUs"] = 0
                return super().check(request)
        """,
        "test_the_request_is_left_as_it_is",
    ),
    "asks somebody else first": (
        """
        class Broken(Whole):
            def check(self, request):
                time.sleep(0.15)
                return super().check(request)
        """,
        "test_it_answers_at_once",
    ),
    "needs a limit": (
        """
        class Broken(Whole):
            def check(self, request):
                if request.amounts.get("Systems", 0) > request.usage["Systems"].limit:
                    return QuotaDenial(resource="Systems", message="There are too many systems; delete some.")
                return super().check(request)
        """,
        "test_it_has_an_answer_to_every_request",
    ),
    "is not safe between threads": (
        """
        class Broken(Whole):
            def check(self, request):
                self.request = request
                time.sleep(0.002)
                return super().check(self.request)
        """,
        "test_threads_get_the_same_answer",
    ),
}
