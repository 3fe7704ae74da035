"""Failing calls: `FailAt(n)` lets the n-th call to a driver, a pool or a host's storage go wrong.

A test of whoever calls drivers runs the same work again and again, each time with another call failing, until the work is done
before the fault is reached. Afterwards nothing may be left half done::

    from hawkfish.testing.faults import every_failure


    def test_a_copy_is_whole_or_absent(pool, pool_host):
        for fault in every_failure():
            try:
                copy_everything(fault.wrap(pool), pool_host)
            except HawkFishError:
                assert pool.find(pool_host, "copy") is None, fault

What is wrapped is still an instance of its interfaces, so that capabilities stay what they are.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from typing import Any, TypeVar, cast

from hawkfish.errors import BackendError, BackendTimeout, HostUnavailable

Target = TypeVar("Target")
ErrorFactory = Callable[[str], BaseException]
"""Makes the error of a call, whose name it gets."""

LIMIT = 1000  # calls; work that makes more will not end


class Moment(StrEnum):
    """When a call fails."""

    BEFORE = "before"
    """Nothing was done."""
    AFTER = "after"
    """All was done and the answer is lost; what was to be read in pieces ends after the first."""


def unreachable(operation: str) -> HostUnavailable:
    """The host does not answer."""
    return HostUnavailable(f"{operation} was not tried: the host is away (a fault of the test).", operation=operation)


def timed_out(operation: str) -> BackendTimeout:
    """The deadline came; whether the call took effect is not known."""
    return BackendTimeout(
        f"{operation} did not end in time (a fault of the test); whether it took effect is not known.",
        operation=operation,
        seconds=0,
    )


def refused(operation: str) -> BackendError:
    """The hypervisor says no."""
    return BackendError(f"{operation} failed (a fault of the test).", operation=operation)


def broken(operation: str) -> RuntimeError:
    """The driver has a bug: it raises what it must not."""
    return RuntimeError(f"{operation} met a bug (a fault of the test)")


class FailAt:
    """Lets one call, or several in a row, fail; counts the calls to all objects that it wraps.

    Args:
        number: The call that fails first; the first call has number 1.
        moment: Whether it fails before it acts or after.
        error: Makes what is raised.
        times: How many calls in a row fail: 1 for a fault that passes, more for an outage.
        hang: Seconds that the caller waits for the failure, as for a call that ends at its deadline.
        spare: Names of operations that neither count nor fail, such as what a watcher asks in between.
    """

    def __init__(
        self,
        number: int,
        *,
        moment: Moment = Moment.BEFORE,
        error: ErrorFactory = timed_out,
        times: int = 1,
        hang: float = 0.0,
        spare: Collection[str] = (),
    ) -> None:
        self.number = number
        self.moment = moment
        self.error = error
        self.times = times
        self.hang = hang
        self.spare = frozenset(spare) | {"close"}
        self.calls: list[str] = []
        """Operations so far, in the order in which they were called."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        at = f"{self.calls[self.number - 1]}, call " if self.fired else "call "
        return f"<{self.error.__name__} {self.moment} {at}{self.number}, {self.times} times; calls {self.calls}>"

    @property
    def fired(self) -> bool:
        """Whether the call that fails was reached."""
        return len(self.calls) >= self.number

    def wrap(self, target: Target) -> Target:
        """The same object, through which calls are counted and fail."""
        return FaultInjector(self).wrap(target)

    def begins(self, operation: str) -> bool:
        """Counts a call; whether it fails."""
        if operation in self.spare:
            return False
        with self._lock:
            self.calls.append(operation)
            return self.number <= len(self.calls) < self.number + self.times

    def fail(self, operation: str) -> BaseException:
        """Waits as long as the caller is to wait, and gives the error."""
        if self.hang:
            time.sleep(self.hang)
        return self.error(operation)


class FaultInjector:
    """Wraps objects once; what of them fails is exchanged while they are used.

    Attributes:
        plan: Which calls fail; None while all is well.
    """

    def __init__(self, plan: FailAt | None = None) -> None:
        self.plan = plan

    def wrap(self, target: Target) -> Target:
        """The same object, whose calls follow the plan of the moment."""
        return cast("Target", _Wrapped(target, self))

    def call(self, operation: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Makes one call, or lets it fail."""
        plan = self.plan
        if plan is None or not plan.begins(operation):
            return function(*arguments, **named)
        if plan.moment is Moment.BEFORE:
            raise plan.fail(operation)
        result = function(*arguments, **named)
        if isinstance(result, Iterator):
            return _cut_off(result, plan, operation)
        raise plan.fail(operation)


def _cut_off(pieces: Iterator[Any], plan: FailAt, operation: str) -> Iterator[Any]:
    yield from (piece for _, piece in zip(range(1), pieces, strict=False))
    raise plan.fail(operation)


class _Wrapped:
    """Passes everything on; `isinstance` sees the class of what it wraps."""

    def __init__(self, target: object, injector: FaultInjector) -> None:
        object.__setattr__(self, "_wrapped_target", target)
        object.__setattr__(self, "_wrapped_injector", injector)

    @property  # type: ignore[misc]  # what isinstance asks, and all that it is for
    def __class__(self) -> type:
        return type(object.__getattribute__(self, "_wrapped_target"))

    def __getattr__(self, name: str) -> Any:
        value = getattr(object.__getattribute__(self, "_wrapped_target"), name)
        if name.startswith("_") or not callable(value):
            return value
        injector: FaultInjector = object.__getattribute__(self, "_wrapped_injector")
        return functools.wraps(value)(functools.partial(injector.call, name, value))

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "_wrapped_target"), name, value)


def every_failure(
    *,
    moments: Iterable[Moment] = tuple(Moment),
    errors: Iterable[ErrorFactory] = (timed_out,),
    times: int = 1,
    hang: float = 0.0,
    spare: Collection[str] = (),
) -> Iterator[FailAt]:
    """Gives faults for the first call, the second and so on, until one is not reached; for each moment and each error.

    The work is to be done once for each fault, the last of them included: then nothing fails, which shows that the work can be
    done at all and how many calls it makes.

    Raises:
        AssertionError: The work makes no call, or more than a test can try.
    """
    for moment in moments:
        for error in errors:
            for number in range(1, LIMIT + 1):
                fault = FailAt(number, moment=moment, error=error, times=times, hang=hang, spare=spare)
                yield fault
                if not fault.fired:
                    assert number > 1, "the work called nothing that was wrapped, so that nothing was tried"
                    break
            else:
                raise AssertionError(f"the work made over {LIMIT} calls: {fault.calls[-10:]}")
