"""The simulator without a socket: sessions of clients, and the hosts they speak to. Runs in one event loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hawkfish.builtin.simulated.codec import decode, encode
from hawkfish.builtin.simulated.faults import Disconnected, Faults
from hawkfish.builtin.simulated.machines import HostMachines
from hawkfish.builtin.simulated.operations import (
    ControlOperations,
    DiskOperations,
    MachineOperations,
    Operation,
    operations_of,
)
from hawkfish.builtin.simulated.settings import CAPABILITIES, HostSettings
from hawkfish.builtin.simulated.store import Store
from hawkfish.builtin.simulated.volumes import HostVolumes
from hawkfish.builtin.simulated.wire import PROTOCOL
from hawkfish.builtin.simulated.world import Clock, World
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import MachineEvent
from hawkfish.errors import BackendError, HawkFishError, NotSupported

_log = logging.getLogger(__name__)

EventSink = Callable[[dict[str, Any]], None]

_NEEDS = {
    "request_shutdown": ComputeCapability.GRACEFUL_SHUTDOWN,
    "reset_machine": ComputeCapability.RESET,
    "send_nmi": ComputeCapability.NMI,
    "pause_machine": ComputeCapability.PAUSE,
    "resume_machine": ComputeCapability.PAUSE,
    "take_screenshot": ComputeCapability.SCREENSHOT,
    "read_serial_log": ComputeCapability.SERIAL_LOG,
    "change_medium": ComputeCapability.MEDIA,
    "attach_disk": ComputeCapability.DISK_HOTPLUG,
    "detach_disk": ComputeCapability.DISK_HOTPLUG,
    "resize_attached_disk": ComputeCapability.DISK_HOTPLUG,
} | {name: ComputeCapability.HOST_STORAGE for name in vars(HostVolumes) if not name.startswith("_")}
_NEEDS |= {
    "define_machines": ComputeCapability.BULK_DEFINE,
    "create_volumes": ComputeCapability.BULK_VOLUMES,
    "find_volumes": ComputeCapability.BULK_VOLUMES,
}
"""What a host must have for an operation; a host may be told to lack it."""


class Simulator:
    """All hosts and whoever speaks to them.

    Args:
        state: The state file.
        folder: Where hosts keep their files.
        clock: Seconds since the epoch.
    """

    def __init__(self, state: Path, folder: Path, clock: Clock = time.time) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store = Store(state)
        self.world = World(self._store, folder, clock)
        self.faults = Faults()
        self._machines: dict[str, HostMachines] = {}
        self._volumes: dict[str, HostVolumes] = {}
        self.pool_locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._timer: asyncio.TimerHandle | None = None
        for host in self.world.settings:
            self.machines(host)

    def start(self) -> None:
        """Lets time begin; call it in the event loop."""
        self.tick()

    def close(self) -> None:
        """Stops the clock and closes the state file; nothing is lost."""
        if self._timer is not None:
            self._timer.cancel()
        self._store.close()

    def tick(self) -> None:
        """Does what is due, and comes back when more is."""
        self.world.advance()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.world.next_due()
        if due is not None:
            delay = min(max(0.0, due - self.world.clock()), 60.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self.tick)

    def machines(self, host: str) -> HostMachines:
        """The machines of a host."""
        if host not in self._machines:
            self._machines[host] = HostMachines(host, self.world)
        return self._machines[host]

    def volumes(self, host: str) -> HostVolumes:
        """The pools of a host."""
        if host not in self._volumes:
            self._volumes[host] = HostVolumes(host, self.world)
        return self._volumes[host]


class Session:
    """One client: bound to a host by `hello`, or to none for control.

    Args:
        simulator: The simulator.
        send_event: Gets messages that answer no request.
    """

    def __init__(self, simulator: Simulator, send_event: EventSink) -> None:
        self._simulator = simulator
        self._send_event = send_event
        self._host: str | None = None
        self._storage: dict[str, Operation] = {}
        self._operations = operations_of(ControlOperations(simulator.faults, simulator.machines))
        self._uploads: set[str] = set()
        self._volumes: HostVolumes | None = None

    def close(self) -> None:
        """Ends the session; uploads that were not finished never happened."""
        if self._forward in self._simulator.world.listeners:
            self._simulator.world.listeners.remove(self._forward)
        for upload_id in self._uploads:
            if self._volumes is not None:
                self._volumes.drop_upload(upload_id)

    async def handle(self, request: Mapping[str, Any], blob: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Does what is asked and gives the answer with its bytes.

        Raises:
            Disconnected: A fault wants the connection to be dropped.
        """
        operation = str(request.get("op"))
        answer: dict[str, Any] = {"id": request.get("id")}
        data = b""
        try:
            await self._simulator.faults.happen(operation, self._host, after=False)
            result = await self._act(operation, request.get("params", {}), blob)
            await self._simulator.faults.happen(operation, self._host, after=True)
            if isinstance(result, bytes):
                data = result
            else:
                answer["result"] = encode(result)
        except Disconnected:
            raise
        except HawkFishError as error:
            answer["error"] = {"type": type(error).__name__, "message": error.message, "data": error.data}
        except Exception as error:  # noqa: BLE001  a defect of ours is answered, never silence
            _log.exception("The simulator failed %s on %s", operation, self._host)
            message = f"The simulator failed {operation} on {self._host}: {type(error).__name__}: {error}; see its log."
            details = {"operation": operation, "host": self._host, "reason": str(error)}
            answer["error"] = {"type": BackendError.__name__, "message": message, "data": details}
        return answer, data

    async def _act(self, name: str, params: dict[str, Any], blob: bytes) -> Any:
        if name == "hello":
            return self._hello(**params)
        self._check_offered(name)
        operation = self._operations.get(name) or self._storage.get(name)
        if operation is None:
            raise NotSupported(
                f"The simulator has no operation {name!r} here; say hello to a host first.", operation=name
            )
        arguments = {key: operation.parameters[key](value) for key, value in params.items()}
        if blob:
            arguments["blob"] = blob
        if name in self._storage:
            return await self._act_on_storage(name, operation, arguments)
        try:
            result = operation.act(**arguments)
            return await result if inspect.isawaitable(result) else result
        finally:
            self._simulator.tick()

    async def _act_on_storage(self, name: str, operation: Operation, arguments: dict[str, Any]) -> Any:
        pool = arguments.get("pool") or arguments.get("name") or arguments.get("upload_id") or "*"
        async with self._simulator.pool_locks[self._host or "", str(pool)]:
            result = await asyncio.to_thread(operation.act, **arguments)
        if name == "begin_upload":
            self._uploads.add(result)
        elif name in ("finish_upload", "drop_upload"):
            self._uploads.discard(arguments["upload_id"])
            self._simulator.pool_locks.pop((self._host or "", str(pool)), None)
        return result

    def _hello(self, *, protocol: int, host: str, settings: dict[str, Any], installation: str) -> dict[str, Any]:
        if protocol != PROTOCOL:
            raise NotSupported(
                f"The simulator speaks protocol {PROTOCOL}, the client {protocol}; restart the older of the two.",
                operation="hello",
            )
        simulator = self._simulator
        simulator.world.apply_settings(host, decode(HostSettings, settings))
        machines, volumes = simulator.machines(host), simulator.volumes(host)
        self._operations = operations_of(MachineOperations(host, installation, machines, simulator.world))
        self._operations |= operations_of(DiskOperations(installation, machines, volumes))
        self._storage = operations_of(volumes)
        self._volumes = volumes
        if self._host is None:
            simulator.world.listeners.append(self._forward)
        self._host = host
        return {"protocol": PROTOCOL}

    def _check_offered(self, name: str) -> None:
        needed = _NEEDS.get(name)
        settings = self._simulator.world.settings.get(self._host or "")
        if settings is not None and needed is not None and needed not in CAPABILITIES - set(settings.lacks):
            raise NotSupported(f"The simulated host {self._host} lacks {needed.value}.", operation=name)

    def _forward(self, host: str, event: MachineEvent) -> None:
        if host == self._host:
            self._send_event({"event": encode(event)})
