"""The kits are tested too: each fails on drivers and pools that break one promise, in the test that speaks of it."""

import textwrap

import pytest

pytest_plugins = ["pytester"]

DRIVER_TEST = """
    import pytest
    from hawkfish.builtin.simulated.driver import SimulatedDriver
    from hawkfish.builtin.simulated.settings import CAPABILITIES
    from hawkfish.domain.machines import *
    from hawkfish.errors import *
    from hawkfish.plugins.context import HostConfig
    from hawkfish.testing.compute import ComputeDriverContract
    from hawkfish.testing.simulator import plugin_context, running_simulator

    PROVIDES = CAPABILITIES

    {broken}

    class TestBroken(ComputeDriverContract):
        EVENT_SECONDS = 1.0

        @pytest.fixture
        def provides(self):
            return PROVIDES

        @pytest.fixture
        def boots_guest(self):
            return True

        @pytest.fixture
        def new_driver(self, tmp_path):
            opened = []

            def new(installation_id=ComputeDriverContract.INSTALLATION):
                host = HostConfig(id="1", name="rack1", uri="simulated:///rack1?boot_seconds=0.05")
                opened.append(Broken(host, plugin_context(tmp_path, installation_id)))
                opened[-1].open()
                return opened[-1]

            with running_simulator(tmp_path):
                yield new
                for driver in opened:
                    driver.close()
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
    "pretends that a disk is detached": (
        """
        class Broken(SimulatedDriver):
            def detach_disk(self, machine_id, disk_id, timeout):
                self.find_machine(machine_id)
        """,
        "test_a_running_guest_is_asked_to_release_a_disk",
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

    {broken}

    class TestBroken(StoragePoolContract):
        @pytest.fixture
        def provides(self):
            return next(iter(hawkfish_storage_pools())).provides

        @pytest.fixture
        def pool_host(self, tmp_path):
            with in_process_simulator(tmp_path) as simulator:
                driver = simulator.driver("simulated:///rack1", "ours")
                yield PoolHost(id=uuid4(), name="rack1", storage=driver, data_dir=tmp_path)
                driver.close()

        @pytest.fixture
        def new_pool(self, tmp_path):
            return lambda: Broken(PoolConfig(id="1", name="p"), plugin_context(tmp_path, "ours"))
"""

BROKEN_POOLS = {
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
}


def run_kit(pytester, template, broken, *arguments):
    """Runs the kit in a module whose driver or pool is `broken`."""
    source = textwrap.dedent(template).replace("{broken}", textwrap.dedent(broken))
    pytester.makepyfile(test_kit=source)
    return pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("fault", BROKEN_DRIVERS)
def test_the_kit_for_drivers_fails(pytester, fault):
    broken, test = BROKEN_DRIVERS[fault]
    result = run_kit(pytester, DRIVER_TEST, broken, f"test_kit.py::TestBroken::{test}")
    assert result.parseoutcomes()["failed"] == 1


@pytest.mark.parametrize("fault", BROKEN_POOLS)
def test_the_kit_for_pools_fails(pytester, fault):
    broken, test = BROKEN_POOLS[fault]
    result = run_kit(pytester, POOL_TEST, broken, f"test_kit.py::TestBroken::{test}")
    assert result.parseoutcomes()["failed"] == 1


@pytest.mark.parametrize(
    ("template", "whole", "tests"),
    [
        (DRIVER_TEST, "Broken = SimulatedDriver", [test for _, test in BROKEN_DRIVERS.values()]),
        (POOL_TEST, "Broken = DirectoryPool", [test for _, test in BROKEN_POOLS.values()]),
    ],
    ids=["drivers", "pools"],
)
def test_the_same_tests_pass_on_what_is_whole(pytester, template, whole, tests):
    result = run_kit(pytester, template, whole, *(f"test_kit.py::TestBroken::{test}" for test in tests))
    result.assert_outcomes(passed=len(tests))


def test_a_kit_without_its_fixtures_says_what_is_missing(pytester):
    pytester.makepyfile(
        """
        from hawkfish.testing.compute import ComputeDriverContract

        class TestEmpty(ComputeDriverContract):
            pass
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-k", "starting_twice")
    result.stdout.fnmatch_lines(["*must have a fixture new_driver*"])
    result.assert_outcomes(errors=1)
