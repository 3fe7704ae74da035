"""Control of a simulator by tests: faults on demand, and what guests do by themselves."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from hawkfish.builtin.simulated.codec import encode
from hawkfish.builtin.simulated.driver import raise_error
from hawkfish.builtin.simulated.faults import Fault, FaultKind
from hawkfish.builtin.simulated.transport import SocketTransport, Transport

__all__ = ["Fault", "FaultKind", "SimulatorControl"]


class SimulatorControl:
    """A client that asks what no hypervisor is asked.

    Args:
        socket: The simulator's socket.
        timeout: Seconds for a call.
        transport: Another way to the simulator, for unit tests.
    """

    def __init__(self, socket: Path, timeout: float = 10.0, transport: Transport | None = None) -> None:
        self._transport = transport or SocketTransport(socket, None, "control", timeout)
        self._timeout = timeout

    def __enter__(self) -> Self:
        self._transport.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def fail(self, operation: str, **details: Any) -> None:
        """Lets the next calls of an operation (`*`: of any) fail; `details` are those of `Fault`."""
        self._call("add_fault", fault=Fault(operation=operation, **details))

    def clear_faults(self) -> None:
        """Drops all faults; calls that hang go on."""
        self._call("clear_faults")

    def guest_shuts_down(self, host: str, machine_id: UUID) -> None:
        """The guest powers itself off."""
        self._call("guest_does", host=host, machine_id=machine_id, action="shutdown")

    def guest_reboots(self, host: str, machine_id: UUID) -> None:
        """The guest resets itself."""
        self._call("guest_does", host=host, machine_id=machine_id, action="reboot")

    def guest_crashes(self, host: str, machine_id: UUID) -> None:
        """The machine stops by a crash."""
        self._call("guest_does", host=host, machine_id=machine_id, action="crash")

    def _call(self, operation: str, **params: Any) -> None:
        encoded = {name: encode(value) for name, value in params.items()}
        raise_error(self._transport.call(operation, encoded, b"", self._timeout)[0])
