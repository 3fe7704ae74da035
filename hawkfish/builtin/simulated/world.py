"""The world of the simulator: its hosts, its clock and what is due next. One thread of control; time comes from outside."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from hawkfish.builtin.simulated.settings import HostSettings
from hawkfish.builtin.simulated.store import Store
from hawkfish.domain.machines import BootDevice, MachineEvent, MachineEventKind, MachineSpec

Clock = Callable[[], float]
EventListener = Callable[[str, MachineEvent], None]


class Phase(StrEnum):
    """What a running machine is doing."""

    BOOTING = "booting"
    READY = "ready"
    SHUTTING_DOWN = "shutting-down"
    NO_BOOT_DEVICE = "no-boot-device"
    SETUP_MENU = "setup-menu"


@dataclass(kw_only=True)
class Run:
    """One run of a machine, from power on to power off.

    Attributes:
        id: Shown as `run_id`.
        spec: What the running machine really has; its definition may have changed since.
        due: When the phase ends, in seconds since the epoch; None if it does not end by itself.
        override: What boots of this run try first.
        override_once: Only the first boot does; always so where it enters the set-up menu.
        paused_at: Since when the processors stand still; what is due moves by as much.
        unplugging: Disks that the guest was asked to release and has not yet.
    """

    id: str
    spec: MachineSpec
    started_at: float
    phase: Phase = Phase.BOOTING
    due: float | None = None
    override: BootDevice | None = None
    override_once: bool = True
    paused_at: float | None = None
    unplugging: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Machine:
    """A machine as the state file keeps it."""

    spec: MachineSpec
    run: Run | None = None


class World:
    """What all simulated hosts share.

    Args:
        store: Where everything is remembered.
        folder: Where hosts keep their files.
        clock: Seconds since the epoch.
    """

    def __init__(self, store: Store, folder: Path, clock: Clock = time.time) -> None:
        self.store = store
        self.folder = folder
        self.clock = clock
        self.settings: dict[str, HostSettings] = dict(store.hosts(HostSettings))
        self.listeners: list[EventListener] = []
        self.open_files: dict[str, set[tuple[str, UUID]]] = {}
        """Files that running machines have open, as QEMU would lock them; hosts may share a folder."""
        self._due: list[tuple[float, int, UUID, Callable[[UUID], None]]] = []
        self._numbers = itertools.count()

    def apply_settings(self, host: str, settings: HostSettings) -> None:
        """Makes the host or changes what it is like; machines that run keep their times."""
        if self.settings.get(host) != settings:
            self.store.save_host(host, settings)
            self.settings[host] = settings

    def emit(
        self, host: str, kind: MachineEventKind, machine_id: UUID, *, device: str | None = None, detail: str = ""
    ) -> None:
        """Tells all listeners that something happened."""
        at = datetime.fromtimestamp(self.clock(), UTC)
        event = MachineEvent(kind=kind, at=at, machine_id=machine_id, device=device, detail=detail)
        for listener in self.listeners:
            listener(host, event)

    def schedule(self, due: float, machine_id: UUID, act: Callable[[UUID], None]) -> None:
        """Calls `act` when `due` has come; it looks itself whether anything is still to be done."""
        heapq.heappush(self._due, (due, next(self._numbers), machine_id, act))

    def next_due(self) -> float | None:
        """When `advance` has something to do."""
        return self._due[0][0] if self._due else None

    def advance(self) -> None:
        """Lets everything happen that is due."""
        while self._due and self._due[0][0] <= self.clock():
            _, _, machine_id, act = heapq.heappop(self._due)
            act(machine_id)

    def write_serial(self, host: str, machine_id: UUID, text: str) -> None:
        """Appends to what a machine has written to its serial port."""
        path = self.serial_path(host, machine_id)
        try:
            stream = path.open("a", encoding="utf-8", newline="")
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("a", encoding="utf-8", newline="")
        with stream:
            stream.write(text)

    def serial_path(self, host: str, machine_id: UUID) -> Path:
        """The file that keeps a machine's serial output."""
        return self.folder / host / "serial" / f"{machine_id}.log"
