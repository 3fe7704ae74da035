"""The contract of drivers whose host can be made to hang: subclass `DeadlineContract` and supply three fixtures.

A hung host neither answers nor refuses: the worst that can happen to a driver, and what takes other controllers down with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar
from uuid import UUID

import pytest

from hawkfish.errors import BackendTimeout, HawkFishError, HostUnavailable
from hawkfish.testing.driver_fixtures import DriverFixtures, SpecFactory
from hawkfish.testing.waiting import wait_until

CALLS: dict[str, Callable[[Any, Any], object]] = {
    "list_machines": lambda driver, _spec: driver.list_machines(),
    "find_machine": lambda driver, spec: driver.find_machine(spec.id),
    "define_machine": lambda driver, spec: driver.define_machine(spec),
    "start_machine": lambda driver, spec: driver.start_machine(spec.id),
    "power_off_machine": lambda driver, spec: driver.power_off_machine(spec.id),
}


class DeadlineContract(DriverFixtures):
    """Every call ends, whatever the host does, and a host that comes back is used again."""

    CALL_SECONDS: ClassVar[float] = 1.0
    """The `call_timeout` that `new_driver` of the subclass gives to its drivers."""
    MARGIN: ClassVar[float] = 2.0
    """By how much a call may be late."""

    @pytest.fixture
    def hung(self) -> Callable[[], AbstractContextManager[None]]:
        """Supply this: a context manager within which the host hangs."""
        pytest.fail("The subclass of DeadlineContract must have a fixture hung.")

    @pytest.mark.parametrize("call", CALLS)
    def test_a_call_to_a_hung_host_ends_at_its_deadline(
        self,
        driver: Any,
        machine_spec: SpecFactory,
        hung: Callable[[], AbstractContextManager[None]],
        call: str,
    ) -> None:
        spec = machine_spec()
        self._patiently(lambda: driver.define_machine(spec), "the definition of a machine")
        with hung():
            begun = time.monotonic()
            with pytest.raises((BackendTimeout, HostUnavailable)):
                CALLS[call](driver, spec)
            assert time.monotonic() - begun <= self.CALL_SECONDS + self.MARGIN

        found = self._patiently(lambda: driver.find_machine(spec.id), "an answer of the host that came back")
        assert found is not None

    def _remove_machines(self, driver: Any, new_driver: Callable[..., Any], made_machines: list[UUID]) -> None:
        remove = super()._remove_machines
        self._patiently(lambda: remove(driver, new_driver, made_machines), "the removal of what the test made")

    def _patiently(self, act: Callable[[], Any], what: str) -> Any:
        """Acts until it succeeds, and gives what it gave: a host that was just let go may be slow for these deadlines."""

        def tried() -> tuple[Any] | None:
            try:
                return (act(),)
            except HawkFishError:
                return None

        (given,) = wait_until(tried, what, 60.0)
        return given
