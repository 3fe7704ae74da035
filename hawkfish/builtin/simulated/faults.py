"""Faults on demand: tests ask the simulator to fail, to be slow or to be silent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum

from hawkfish import errors
from hawkfish.errors import BackendError, HawkFishError


class FaultKind(StrEnum):
    """What goes wrong."""

    ERROR = "error"
    DELAY = "delay"
    HANG = "hang"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with the next `count` calls.

    Attributes:
        operation: Name of the operation, `*` for any.
        host: Of that host only; None for any.
        error: Name of a class of `hawkfish.errors`, for ERROR.
        after: The operation takes effect first; only its answer is touched.
        seconds: For DELAY.
    """

    operation: str
    kind: FaultKind = FaultKind.ERROR
    count: int = 1
    host: str | None = None
    error: str = "BackendError"
    message: str = ""
    after: bool = False
    seconds: float = 0.0


class Disconnected(Exception):
    """The connection is to be dropped without an answer."""


class Faults:
    """The faults that are still to happen."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._cleared = asyncio.Event()

    def add(self, fault: Fault) -> None:
        """Adds one."""
        error_class(fault.error)
        self._faults.append(fault)

    def clear(self) -> None:
        """Drops all, and lets go of calls that hang: they go on."""
        self._faults.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def happen(self, operation: str, host: str | None, *, after: bool) -> None:
        """Lets a fault of this operation happen, if there is one."""
        fault = self._take(operation, host, after=after)
        if fault is None:
            return
        if fault.kind is FaultKind.DELAY:
            await asyncio.sleep(fault.seconds)
        elif fault.kind is FaultKind.HANG:
            await self._cleared.wait()
        elif fault.kind is FaultKind.DISCONNECT:
            raise Disconnected
        else:
            message = fault.message or f"The simulator was told to fail {operation} on {host}; clear its faults."
            raise error_class(fault.error)(message, operation=operation, host=host, reason="fault on demand")

    def _take(self, operation: str, host: str | None, *, after: bool) -> Fault | None:
        for index, fault in enumerate(self._faults):
            if fault.operation in (operation, "*") and fault.host in (None, host) and fault.after is after:
                if fault.count > 1:
                    self._faults[index] = replace(fault, count=fault.count - 1)
                else:
                    del self._faults[index]
                return fault
        return None


def error_class(name: str) -> type[HawkFishError]:
    """The class of `hawkfish.errors` of that name.

    Raises:
        BackendError: There is none.
    """
    found = getattr(errors, name, None)
    if isinstance(found, type) and issubclass(found, HawkFishError):
        return found
    raise BackendError(f"hawkfish.errors has no class {name!r}.", operation="faults", reason="unknown error class")
