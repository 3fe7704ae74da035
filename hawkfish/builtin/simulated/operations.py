"""The operations that a client may ask for. A method is an operation; its annotations say how parameters are read."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from hawkfish.builtin.simulated import screen
from hawkfish.builtin.simulated.codec import Decoder, parameter_decoders
from hawkfish.builtin.simulated.faults import Fault, Faults
from hawkfish.builtin.simulated.guest import CPU_MODELS
from hawkfish.builtin.simulated.machines import HostMachines
from hawkfish.builtin.simulated.settings import CAPABILITIES
from hawkfish.builtin.simulated.volumes import HostVolumes
from hawkfish.builtin.simulated.world import World
from hawkfish.domain.hosts import ComputeCapability, HostFacts, Virtualisation
from hawkfish.domain.machines import (
    DiskSpec,
    DriveKind,
    Firmware,
    MachineEvent,
    MachineEventKind,
    MachineObservation,
    MachineSpec,
    StartOptions,
)
from hawkfish.domain.storage import BlockDevice, ConnectionInfo, FilePath
from hawkfish.errors import BackendTimeout, NotSupported

_LARGEST_READ = 4 * 2**20


def _version() -> str:
    try:
        return version("hawkfish")
    except PackageNotFoundError:
        return "(not installed)"


@dataclass(frozen=True)
class Operation:
    """An operation: how its parameters are read and what does it."""

    act: Callable[..., Any]
    parameters: dict[str, Decoder]


def operations_of(provider: object) -> dict[str, Operation]:
    """The public methods of an object, by name."""
    methods = {name: getattr(provider, name) for name in dir(type(provider)) if not name.startswith("_")}
    return {name: Operation(act, parameter_decoders(act)) for name, act in methods.items() if callable(act)}


class MachineOperations:
    """Operations on the machines of one host for one installation. They run in the event loop and never block it."""

    def __init__(self, host: str, installation: str, machines: HostMachines, world: World) -> None:
        self._host = host
        self._installation = installation
        self._machines = machines
        self._world = world

    def probe(self) -> HostFacts:  # noqa: D102
        settings = self._world.settings[self._host]
        return HostFacts(
            hostname=self._host,
            hypervisor=f"HawkFish simulator {_version()}",
            architecture=platform.machine(),
            cpus=settings.cpus,
            memory_mib=settings.memory_mib,
            virtualisation=Virtualisation.SIMULATED,
            virtualisation_reason="Nothing is executed: machines of this host are simulated.",
            cpu_model=CPU_MODELS[0],
            cpu_models=CPU_MODELS,
            nested_virtualisation=True,
            secure_boot=settings.firmware is not Firmware.BIOS,
            setup_menu=settings.firmware is not Firmware.BIOS and ComputeCapability.BOOT_OVERRIDE not in settings.lacks,
            drives=frozenset({DriveKind.CD, DriveKind.USB}),
            host_uuid=str(uuid5(NAMESPACE_URL, f"simulated:///{self._host}")),
            capabilities=CAPABILITIES - set(settings.lacks),
            firmwares=frozenset(Firmware) if settings.firmware is None else frozenset({settings.firmware}),
            data_dir=str(self._world.folder / self._host),
            warnings=("This host is simulated; its machines run no software.",),
        )

    def list_machines(self) -> tuple[MachineObservation, ...]:  # noqa: D102
        return self._machines.observe_all()

    def find_machine(self, machine_id: UUID) -> MachineObservation | None:  # noqa: D102
        return self._machines.observe(machine_id)

    def define_machine(self, spec: MachineSpec) -> MachineObservation:  # noqa: D102
        self._check_setup(spec)
        return self._machines.define(spec, self._installation)

    def define_machines(self, specs: tuple[MachineSpec, ...]) -> tuple[MachineObservation, ...]:  # noqa: D102
        for spec in specs:
            self._check_setup(spec)
        return self._machines.define_many(specs, self._installation)

    def _check_setup(self, spec: MachineSpec) -> None:
        if spec.setup.cpu_model and spec.setup.cpu_model not in CPU_MODELS:
            raise NotSupported(
                f"Host {self._host} has no processors {spec.setup.cpu_model!r} for machine {spec.name}; it has: "
                f"{', '.join(CPU_MODELS)}.",
                operation="define",
            )

    def remove_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._machines.remove(machine_id, self._installation)

    def start_machine(self, machine_id: UUID, options: StartOptions | None = None) -> MachineObservation:  # noqa: D102
        lacks = self._world.settings[self._host].lacks
        if options is not None and options.boot_first is not None and ComputeCapability.BOOT_OVERRIDE in lacks:
            raise NotSupported(
                f"The simulated host {self._host} cannot override the boot order; start the machine without.",
                operation="start_machine",
            )
        return self._machines.start(machine_id, options or StartOptions(), self._installation)

    def power_off_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._machines.power_off(machine_id, self._installation)

    def request_shutdown(self, machine_id: UUID) -> None:  # noqa: D102
        self._machines.request_shutdown(machine_id, self._installation)

    def reset_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._machines.reset(machine_id, self._installation)

    def send_nmi(self, machine_id: UUID) -> None:  # noqa: D102
        self._machines.send_nmi(machine_id, self._installation)

    def pause_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._machines.pause(machine_id, self._installation)

    def resume_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._machines.resume(machine_id, self._installation)

    async def take_screenshot(self, machine_id: UUID) -> bytes:  # noqa: D102
        machine, run = self._machines.running(machine_id, None, "take a picture of the screen of")
        state = "paused" if run.paused_at is not None else run.phase.value.replace("-", " ")
        lines = self.read_serial_log(machine_id, -1500, 1500).decode(errors="replace").splitlines()[-12:]
        return await asyncio.to_thread(screen.picture, machine.spec.name, f"on {self._host}: {state}", lines)

    def read_serial_log(self, machine_id: UUID, offset: int = 0, limit: int = 65536) -> bytes:  # noqa: D102
        self._machines.get(machine_id, None)
        path = self._world.serial_path(self._host, machine_id)
        if not path.exists():
            return b""
        with path.open("rb") as stream:
            start = offset if offset >= 0 else max(0, path.stat().st_size + offset)
            stream.seek(start)
            return stream.read(max(0, min(limit, _LARGEST_READ)))

    def change_medium(self, machine_id: UUID, drive_id: str, medium: ConnectionInfo | None) -> None:  # noqa: D102
        self._machines.change_medium(machine_id, drive_id, medium, self._installation)

    def attach_disk(self, machine_id: UUID, disk: DiskSpec) -> None:  # noqa: D102
        self._machines.attach_disk(machine_id, disk, self._installation)

    async def detach_disk(self, machine_id: UUID, disk_id: str, timeout: float) -> None:  # noqa: ASYNC109, D102  of the interface
        released = asyncio.Event()
        ends = (MachineEventKind.DEVICE_REMOVED, MachineEventKind.STOPPED, MachineEventKind.CRASHED)

        def notice(host: str, event: MachineEvent) -> None:
            if (host, event.machine_id) == (self._host, machine_id) and event.kind in ends:
                released.set()

        self._world.listeners.append(notice)
        try:
            if self._machines.detach_disk(machine_id, disk_id, self._installation):
                return
            async with asyncio.timeout(timeout):
                while self._machines.has_disk(machine_id, disk_id):
                    await released.wait()
                    released.clear()
                    await asyncio.sleep(0)  # what powered the machine off finishes its own work first
        except TimeoutError as error:
            self._machines.give_up_detach(machine_id, disk_id)
            raise BackendTimeout(
                f"The guest did not release the disk {disk_id} within {timeout:g} s; the machine keeps it. "
                "Try again when the guest is up, or power it off first.",
                operation="detach_disk",
                host=self._host,
                seconds=timeout,
            ) from error
        finally:
            self._world.listeners.remove(notice)


class DiskOperations:
    """What needs both a machine and its file."""

    def __init__(self, installation: str, machines: HostMachines, volumes: HostVolumes) -> None:
        self._installation = installation
        self._machines = machines
        self._volumes = volumes

    async def resize_attached_disk(self, machine_id: UUID, disk_id: str, capacity_bytes: int) -> None:  # noqa: D102
        connection = self._machines.disk(machine_id, disk_id, self._installation).connection
        if isinstance(connection, FilePath):
            await asyncio.to_thread(self._volumes.grow_file, str(connection.path), capacity_bytes)
        elif not isinstance(
            connection, BlockDevice
        ):  # a device has grown already; the simulated guest needs no word of it
            raise NotSupported(f"The disk {disk_id} is reached over a network and is grown there.", operation="resize")


class ControlOperations:
    """What tests may ask of the simulator beyond what a hypervisor does."""

    def __init__(self, faults: Faults, machines: Callable[[str], HostMachines]) -> None:
        self._faults = faults
        self._machines = machines

    def add_fault(self, fault: Fault) -> None:  # noqa: D102
        self._faults.add(fault)

    def clear_faults(self) -> None:  # noqa: D102
        self._faults.clear()

    def guest_does(self, host: str, machine_id: UUID, action: str) -> None:  # noqa: D102
        self._machines(host).guest_does(machine_id, action)
