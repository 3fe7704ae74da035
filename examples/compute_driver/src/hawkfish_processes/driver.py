"""Machines as processes: a file a machine for its definition, and one more while it runs.

Everything is in one folder, so that any number of drivers, in any number of processes, see the same host, and so that machines
outlive all of them. A lock on the folder keeps two changes apart.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from hawkfish.domain.hosts import ComputeCapability, HostFacts, Virtualisation
from hawkfish.domain.machines import (
    Firmware,
    MachineObservation,
    MachineSpec,
    MachineStamp,
    NestedVirtualisation,
    PowerState,
    StartOptions,
)
from hawkfish.errors import (
    AlreadyExists,
    BackendTimeout,
    Conflict,
    ForeignObject,
    HostUnavailable,
    MachineNotFound,
    NotSupported,
    PluginConfigInvalid,
)
from hawkfish.plugins.compute import ComputeDriver, SupportsPause
from hawkfish.plugins.context import HostConfig, PluginContext

COMMAND = ("sleep", "infinity")


@dataclass(frozen=True)
class Run:
    """A process, told from later ones of the same id by its start in ticks of the clock."""

    pid: int
    started: str

    @property
    def id(self) -> str:
        """No other run has it."""
        return f"{self.pid}-{self.started}"

    @property
    def power_state(self) -> PowerState:
        """What the kernel says of it now."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # a child of ours that has ended is a zombie until it is asked for
        state, started = _process(self.pid)
        if started != self.started or state in {"Z", "X"}:
            return PowerState.OFF
        return PowerState.PAUSED if state == "T" else PowerState.ON


class ProcessDriver(ComputeDriver, SupportsPause):
    """The machines in one folder of this computer."""

    def __init__(self, host: HostConfig, context: PluginContext) -> None:
        parts = urlsplit(host.uri)
        if parts.scheme != "processes" or parts.netloc or not parts.path.startswith("/"):
            raise PluginConfigInvalid(
                f"{host.uri!r} names no folder; use processes:///FOLDER.", plugin="processes", field="uri"
            )
        self._folder = Path(parts.path)
        self._name = host.name
        self._memory_mib = int(host.settings["memory_mib"])
        self._installation_id = context.installation_id
        self._timeout = context.call_timeout
        self._is_open = False

    # --- the host ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostUnavailable(
                f"The folder {self._folder} of host {self._name} cannot be used: {error.strerror}; see to its rights.",
                operation="open",
                host=self._name,
            ) from error
        self._is_open = True

    def close(self) -> None:
        self._is_open = False

    def probe(self) -> HostFacts:
        self._check_open()
        system = os.uname()
        return HostFacts(
            hostname=system.nodename,
            hypervisor=f"processes on {system.sysname} {system.release}",
            architecture=system.machine,
            cpus=os.cpu_count() or 1,
            memory_mib=self._memory_mib,
            virtualisation=Virtualisation.OTHER,
            virtualisation_reason="there is no guest: a machine is a process that sleeps",
            capabilities=frozenset({ComputeCapability.PAUSE}),
            firmwares=frozenset({Firmware.BIOS, Firmware.UEFI}),
        )

    # --- definitions -------------------------------------------------------------------------------------------------

    def list_machines(self) -> tuple[MachineObservation, ...]:
        with self._lock():
            return tuple(self._observe(UUID(path.stem)) for path in sorted(self._folder.glob("*.json")))

    def find_machine(self, machine_id: UUID) -> MachineObservation | None:
        with self._lock():
            return self._observe(machine_id) if self._definition(machine_id).exists() else None

    def define_machine(self, spec: MachineSpec) -> MachineObservation:
        if spec.setup.cpu_model or spec.setup.nested_virtualisation is not NestedVirtualisation.AUTO:
            raise NotSupported(f"Processes on {self._name} have no processors of their own.", operation="define")
        if spec.setup.secure_boot and spec.firmware is Firmware.UEFI:
            raise NotSupported(
                f"Processes on {self._name} have no keys to trust, so no secure boot.", operation="define"
            )
        with self._lock():
            if self._definition(spec.id).exists():
                self._check_ours(spec.id)
            for path in self._folder.glob("*.json"):
                if path.stem != str(spec.id) and (other := json.loads(path.read_text()))["name"] == spec.name:
                    self._refuse_name(spec.name, other)
            _write(self._definition(spec.id), _to_json(spec))
            return self._observe(spec.id)

    def remove_machine(self, machine_id: UUID) -> None:
        with self._lock():
            if not self._definition(machine_id).exists():
                return
            self._check_ours(machine_id)
            if self._state(machine_id) is not PowerState.OFF:
                raise Conflict(f"Machine {machine_id} on {self._name} runs; power it off first.")
            self._running(machine_id).unlink(missing_ok=True)
            self._definition(machine_id).unlink()

    # --- power -------------------------------------------------------------------------------------------------------

    def start_machine(self, machine_id: UUID, options: StartOptions | None = None) -> MachineObservation:
        del options  # they need SupportsBootOverride, which is not claimed
        with self._lock():
            self._check_there(machine_id)
            self._check_ours(machine_id)
            if self._state(machine_id) is PowerState.OFF:
                # In a session of its own: it outlives this driver, and a Ctrl-C in the terminal is not for it.
                process = subprocess.Popen(COMMAND, start_new_session=True, cwd="/", stdin=subprocess.DEVNULL)
                run = {"pid": process.pid, "started": _process(process.pid)[1]}
                process.returncode = 0  # it is not for this object to wait for it
                _write(self._running(machine_id), run)
            return self._observe(machine_id)

    def power_off_machine(self, machine_id: UUID) -> None:
        with self._lock():
            if not self._definition(machine_id).exists():
                return
            self._check_ours(machine_id)
            self._signal(machine_id, signal.SIGKILL, {PowerState.OFF})
            self._running(machine_id).unlink(missing_ok=True)

    def pause_machine(self, machine_id: UUID) -> None:
        self._set_running(machine_id, signal.SIGSTOP, PowerState.PAUSED)

    def resume_machine(self, machine_id: UUID) -> None:
        self._set_running(machine_id, signal.SIGCONT, PowerState.ON)

    def _set_running(self, machine_id: UUID, number: signal.Signals, state: PowerState) -> None:
        with self._lock():
            self._check_there(machine_id)
            self._check_ours(machine_id)
            if self._state(machine_id) is PowerState.OFF:
                raise Conflict(f"Machine {machine_id} on {self._name} is off; start it first.")
            self._signal(machine_id, number, {state, PowerState.OFF})

    def _signal(self, machine_id: UUID, number: signal.Signals, until: set[PowerState]) -> None:
        """Sends a signal and waits until it has done its work: an answer is given when it is true."""
        deadline = time.monotonic() + self._timeout
        run = self._run(machine_id)
        if run is None or run.power_state in until:
            return
        with suppress(ProcessLookupError):
            os.kill(run.pid, number)
        while run.power_state not in until:
            if time.monotonic() > deadline:
                raise BackendTimeout(
                    f"Process {run.pid} of machine {machine_id} does not obey {number.name}; look at it.",
                    operation=number.name,
                    host=self._name,
                    seconds=self._timeout,
                )
            time.sleep(0.005)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if not self._is_open:
            raise HostUnavailable(
                f"The host {self._name} is not open; open it first.", operation="call", host=self._name
            )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keeps all others out, for no longer than a call may take."""
        self._check_open()
        deadline = time.monotonic() + self._timeout
        with (self._folder / "lock").open("w") as lock:
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > deadline:
                    raise BackendTimeout(
                        f"Another call holds the folder {self._folder}; see who does with fuser.",
                        operation="lock",
                        host=self._name,
                        seconds=self._timeout,
                    )
                time.sleep(0.005)
            yield

    def _definition(self, machine_id: UUID) -> Path:
        return self._folder / f"{machine_id}.json"

    def _running(self, machine_id: UUID) -> Path:
        return self._folder / f"{machine_id}.run"

    def _run(self, machine_id: UUID) -> Run | None:
        try:
            return Run(**json.loads(self._running(machine_id).read_text()))
        except FileNotFoundError:
            return None

    def _state(self, machine_id: UUID) -> PowerState:
        run = self._run(machine_id)
        return PowerState.OFF if run is None else run.power_state

    def _observe(self, machine_id: UUID) -> MachineObservation:
        known = json.loads(self._definition(machine_id).read_text())
        run = self._run(machine_id)
        state = PowerState.OFF if run is None else run.power_state
        return MachineObservation(
            id=machine_id,
            name=known["name"],
            power_state=state,
            vcpus=known["vcpus"],
            memory_mib=known["memory_mib"],
            firmware=Firmware(known["firmware"]),
            run_id=None if run is None or state is PowerState.OFF else run.id,
            stamp=MachineStamp(**known["stamp"]),
            disk_ids=tuple(known["disk_ids"]),
            mac_addresses=tuple(known["mac_addresses"]),
            media=tuple((drive, None) for drive in known["drives"]),
        )

    def _check_there(self, machine_id: UUID) -> None:
        if not self._definition(machine_id).exists():
            raise MachineNotFound(
                f"The host {self._name} has no machine {machine_id}; define it first.",
                operation="find",
                host=self._name,
                machine=str(machine_id),
            )

    def _check_ours(self, machine_id: UUID) -> None:
        known = json.loads(self._definition(machine_id).read_text())
        if known["stamp"]["installation_id"] != self._installation_id:
            raise ForeignObject(
                f"Machine {machine_id} on {self._name} belongs to another installation and was left alone.",
                operation="change",
                host=self._name,
            )

    def _refuse_name(self, name: str, other: dict[str, object]) -> None:
        stamp = other["stamp"]
        if isinstance(stamp, dict) and stamp["installation_id"] != self._installation_id:
            raise ForeignObject(
                f"{name} is a machine of another installation on {self._name}; choose another name.",
                operation="define",
                host=self._name,
            )
        raise AlreadyExists(
            f"The host {self._name} has a machine {name}; choose another name.",
            kind="machine",
            property="name",
            value=name,
        )


def _to_json(spec: MachineSpec) -> dict[str, object]:
    stamp = {"installation_id": spec.stamp.installation_id, "task_id": spec.stamp.task_id, "epoch": spec.stamp.epoch}
    return {
        "name": spec.name,
        "vcpus": spec.vcpus,
        "memory_mib": spec.memory_mib,
        "firmware": spec.firmware,
        "stamp": stamp,
        "disk_ids": [disk.id for disk in spec.disks],
        "mac_addresses": [interface.mac_address for interface in spec.network_interfaces],
        "drives": [drive.id for drive in spec.drives],
    }


def _write(path: Path, content: dict[str, object]) -> None:
    """Whole or not at all, also when we die in the middle."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(path)


def _process(pid: int) -> tuple[str, str]:
    """State and start of a process; empty where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    return fields[0], fields[19]
