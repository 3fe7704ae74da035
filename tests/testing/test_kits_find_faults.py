"""The kits are tested too: each fails on drivers, pools and checkers that break one promise, in the test that speaks of it."""

import textwrap

import pytest

# Imported here once: what a run of pytester imports, it forgets, and the next would import it again.
import hawkfish.builtin.directory_pool
import hawkfish.builtin.simulated.driver
import hawkfish.testing.compute
import hawkfish.testing.deadlines
import hawkfish.testing.guests
import hawkfish.testing.host_storage
import hawkfish.testing.quota
import hawkfish.testing.simulator
import hawkfish.testing.storage  # noqa: F401
from tests.testing.broken.checkers import BROKEN_CHECKERS, CHECKER_TEST
from tests.testing.broken.drivers import BROKEN_DEADLINES, BROKEN_DRIVERS, BROKEN_GUESTS, DRIVER_TEST
from tests.testing.broken.pools import BROKEN_POOLS, POOL_TEST
from tests.testing.broken.storage import BROKEN_STORAGE

pytest_plugins = ["pytester"]

WHOLE_DRIVER = "Broken = SimulatedDriver"
KITS = {
    "drivers": (DRIVER_TEST.replace("{contract}", "ComputeDriverContract"), WHOLE_DRIVER, BROKEN_DRIVERS),
    "guests": (DRIVER_TEST.replace("{contract}", "GuestContract"), WHOLE_DRIVER, BROKEN_GUESTS),
    "deadlines": (DRIVER_TEST.replace("{contract}", "DeadlineContract"), WHOLE_DRIVER, BROKEN_DEADLINES),
    "storage": (DRIVER_TEST.replace("{contract}", "HostStorageContract"), WHOLE_DRIVER, BROKEN_STORAGE),
    "pools": (POOL_TEST, "Broken = DirectoryPool", BROKEN_POOLS),
    "checkers": (CHECKER_TEST, "Broken = Whole", BROKEN_CHECKERS),
}


class Judge:
    """Takes note of what tests raise, so that pytest renders none of it.

    CPython 3.11 sometimes fails in that where other threads run ("AST constructor recursion depth mismatch", tracebacks without
    line numbers), and the run would end before it has judged.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  all that makes a test fail
            self.failures.append(f"{item.name}: {error!r}")


def run_kit(pytester, template, broken, *tests):
    """Runs tests of the kit in a module whose driver, pool or checker is `broken`: the failures, and what pytest counted."""
    source = textwrap.dedent(template).replace("{broken}", textwrap.dedent(broken))
    pytester.makepyfile(test_kit=source)
    chosen = [f"test_kit.py::TestBroken::{test}" for test in tests]
    judge = Judge()
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "--tb=native", *chosen, plugins=[judge])
    assert not [failure for failure in judge.failures if "from pytest-timeout" in failure], (
        "a kit that hangs finds nothing"
    )
    return judge.failures, result.parseoutcomes()


@pytest.mark.slow
@pytest.mark.parametrize(("kit", "fault"), [(kit, fault) for kit in KITS for fault in KITS[kit][2]])
def test_the_kit_fails_where_the_fault_is(pytester, kit, fault):
    template, _, faults = KITS[kit]
    broken, test = faults[fault]
    failures, outcomes = run_kit(pytester, template, broken, test)
    assert failures, outcomes


@pytest.mark.slow
@pytest.mark.parametrize("kit", KITS)
def test_the_same_tests_pass_on_what_is_whole(pytester, kit):
    template, whole, faults = KITS[kit]
    tests = {test for _, test in faults.values()}
    failures, outcomes = run_kit(pytester, template, whole, *sorted(tests))
    assert (failures, outcomes) == ([], {"passed": len(tests)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "contract", "fixture"),
    [
        ("compute", "ComputeDriverContract", "new_driver"),
        ("host_storage", "HostStorageContract", "new_storage"),
        ("storage", "StoragePoolContract", "new_pool"),
        ("quota", "QuotaCheckerContract", "new_checker"),
    ],
)
def test_a_kit_without_its_fixtures_says_what_is_missing(pytester, module, contract, fixture):
    pytester.makepyfile(
        f"""
        from hawkfish.testing.{module} import {contract}

        class TestEmpty({contract}):
            def test_it(self, {fixture}):
                pass
        """
    )
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-k", "test_it")
    result.stdout.fnmatch_lines([f"*must have a fixture {fixture}*"])
    assert result.parseoutcomes()["errors"] >= 1
