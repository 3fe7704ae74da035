"""The machines of one simulated host: their life cycle and their devices. Called from one thread; never waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

from hawkfish.builtin.simulated import guest
from hawkfish.builtin.simulated.world import Machine, Phase, Run, World
from hawkfish.domain.machines import (
    BootDevice,
    DiskSpec,
    DriveSpec,
    Firmware,
    MachineEventKind,
    MachineObservation,
    MachineSpec,
    PowerState,
    StartOptions,
)
from hawkfish.domain.storage import BlockDevice, ConnectionInfo, FilePath
from hawkfish.errors import AlreadyExists, BackendError, Conflict, ForeignObject, InUse, MachineNotFound, NotSupported


class HostMachines:
    """All machines of one host."""

    def __init__(self, host: str, world: World) -> None:
        self._host = host
        self._world = world
        self._machines: dict[UUID, Machine] = {}
        self._names: dict[str, UUID] = {}
        for machine in world.store.machines(host, Machine):
            self._machines[machine.spec.id] = machine
            self._names[machine.spec.name] = machine.spec.id
            if machine.run is not None:
                for disk in machine.run.spec.disks:
                    self._open_file(machine.spec.id, disk)
                self._schedule(machine)

    # --- looking -----------------------------------------------------------------------------------------------------

    def observe_all(self) -> tuple[MachineObservation, ...]:
        """Every machine, foreign ones included."""
        return tuple(map(_observation, self._machines.values()))

    def observe(self, machine_id: UUID) -> MachineObservation | None:
        """One machine; None if there is none."""
        machine = self._machines.get(machine_id)
        return None if machine is None else _observation(machine)

    def get(self, machine_id: UUID, installation: str | None) -> Machine:
        """The machine, if `installation` made it (None: whoever made it).

        Raises:
            MachineNotFound: There is none.
            ForeignObject: It is another's.
        """
        machine = self._machines.get(machine_id)
        if machine is None:
            raise MachineNotFound(
                f"The simulated host {self._host} has no machine {machine_id}; look at its list of machines.",
                machine=str(machine_id),
                host=self._host,
            )
        if installation is not None and machine.spec.stamp.installation_id != installation:
            raise ForeignObject(
                f"The machine {machine.spec.name} on the simulated host {self._host} was not made by this installation "
                "and is left alone; adopt it first.",
                machine=str(machine_id),
                host=self._host,
            )
        return machine

    def running(self, machine_id: UUID, installation: str | None, doing: str) -> tuple[Machine, Run]:
        """The machine and its run.

        Raises:
            Conflict: The machine is off.
        """
        machine = self.get(machine_id, installation)
        if machine.run is None:
            raise Conflict(
                f"Cannot {doing} {machine.spec.name} on {self._host}: the machine is off; start it first.",
                machine=str(machine_id),
                host=self._host,
            )
        return machine, machine.run

    # --- definition --------------------------------------------------------------------------------------------------

    def define(self, spec: MachineSpec, installation: str) -> MachineObservation:
        """Makes the machine or changes its definition; a running one runs on as it is."""
        known = self._machines.get(spec.id)
        if known is not None:
            self.get(spec.id, installation)
        self._check_name(spec, installation)
        if known is None:
            known = self._machines[spec.id] = Machine(spec=spec)
        elif known.spec == spec:
            return _observation(known)
        else:
            self._names.pop(known.spec.name, None)
            known.spec = spec
        self._names[spec.name] = spec.id
        self._save(known)
        self._emit(MachineEventKind.DEFINED, spec.id)
        return _observation(known)

    def define_many(self, specs: Sequence[MachineSpec], installation: str) -> tuple[MachineObservation, ...]:
        """The same for many, saved by one write: all of them are defined or, on an error, none. They are not reported one by one."""
        names: dict[str, UUID] = {}
        changed: dict[UUID, Machine] = {}
        for spec in specs:
            known = self._machines.get(spec.id)
            if known is not None:
                self.get(spec.id, installation)
            self._check_name(spec, installation)
            if names.setdefault(spec.name, spec.id) != spec.id:
                raise self._name_taken(spec, names[spec.name])
            if known is None or known.spec != spec:
                changed[spec.id] = Machine(spec=spec, run=None if known is None else known.run)
        if changed:
            self._world.store.save_machines(self._host, changed)
        for machine_id, machine in changed.items():
            known = self._machines.setdefault(machine_id, machine)
            if known is not machine:
                self._names.pop(known.spec.name, None)
                known.spec = machine.spec
            self._names[machine.spec.name] = machine_id
        return tuple(_observation(self._machines[spec.id]) for spec in specs)

    def _check_name(self, spec: MachineSpec, installation: str) -> None:
        holder = self._names.get(spec.name)
        if holder is None or holder == spec.id:
            return
        self.get(holder, installation)
        raise self._name_taken(spec, holder)

    def _name_taken(self, spec: MachineSpec, holder: UUID) -> AlreadyExists:
        return AlreadyExists(
            f"The simulated host {self._host} has another machine named {spec.name}, {holder}; choose another name.",
            kind="Machine",
            property="Name",
            value=spec.name,
        )

    def remove(self, machine_id: UUID, installation: str) -> None:
        """Removes the definition and the serial log; disks stay."""
        if machine_id not in self._machines:
            return
        machine = self.get(machine_id, installation)
        if machine.run is not None:
            raise Conflict(
                f"Cannot remove {machine.spec.name} from {self._host}: it runs; power it off first.",
                machine=str(machine_id),
                host=self._host,
            )
        self._world.store.forget_machine(self._host, machine_id)
        del self._machines[machine_id]
        del self._names[machine.spec.name]
        self._world.serial_path(self._host, machine_id).unlink(missing_ok=True)
        self._emit(MachineEventKind.UNDEFINED, machine_id)

    # --- power -------------------------------------------------------------------------------------------------------

    def start(self, machine_id: UUID, options: StartOptions, installation: str) -> MachineObservation:
        """Starts the machine; a running one is left alone."""
        machine = self.get(machine_id, installation)
        if machine.run is not None:
            return _observation(machine)
        spec = machine.spec
        if options.boot_first is BootDevice.SETUP and spec.firmware is not Firmware.UEFI:
            raise NotSupported(
                f"Machine {spec.name} on {self._host} starts by {spec.firmware}, which has no set-up menu; start it without.",
                operation="boot override",
            )
        self._check_devices(spec)
        for disk in spec.disks:
            self._open_file(machine_id, disk)
        run = Run(
            id=str(uuid4()),
            spec=spec,
            started_at=self._now(),
            override=options.boot_first,
            override_once=options.once or options.boot_first is BootDevice.SETUP,
        )
        machine.run = run
        self._boot(run)
        self._save(machine)
        self._schedule(machine)
        self._emit(MachineEventKind.STARTED, machine_id)
        return _observation(machine)

    def power_off(self, machine_id: UUID, installation: str) -> None:
        """Cuts the power; an absent machine or one that is off is success."""
        if machine_id not in self._machines:
            return
        machine = self.get(machine_id, installation)
        if machine.run is not None:
            self._stop(machine, "power off")

    def reset(self, machine_id: UUID, installation: str | None) -> None:
        """Presses the reset button."""
        machine, run = self.running(machine_id, installation, "reset")
        if run.override_once:
            run.override = None
        if run.paused_at is not None:
            run.paused_at = None
            self._emit(MachineEventKind.RESUMED, machine_id, detail="reset")
        self._boot(run)
        self._save(machine)
        self._schedule(machine)
        self._emit(MachineEventKind.REBOOTED, machine_id)

    def request_shutdown(self, machine_id: UUID, installation: str | None) -> None:
        """Presses the power button; a guest that is up obeys, unless the host's setting says otherwise."""
        machine, run = self.running(machine_id, installation, "shut down")
        settings = self._world.settings[self._host]
        if run.phase is not Phase.READY or run.paused_at is not None:
            return
        if settings.ignores_shutdown:
            self._say(machine_id, guest.line("power button pressed, and ignored"))
            return
        run.phase = Phase.SHUTTING_DOWN
        run.due = self._now() + settings.shutdown_seconds
        self._say(machine_id, guest.line("power button pressed, shutting down"))
        self._save(machine)
        self._schedule(machine)

    def send_nmi(self, machine_id: UUID, installation: str) -> None:
        """Sends a non-maskable interrupt; the guest says so and goes on."""
        _, run = self.running(machine_id, installation, "send an NMI to")
        if run.phase in (Phase.READY, Phase.SHUTTING_DOWN):
            self._say(machine_id, guest.line("NMI received: unknown reason, dazed and confused, trying to continue"))

    def pause(self, machine_id: UUID, installation: str) -> None:
        """Stops the processors; a paused machine is left alone."""
        machine, run = self.running(machine_id, installation, "pause")
        if run.paused_at is None:
            run.paused_at = self._now()
            self._save(machine)
            self._emit(MachineEventKind.PAUSED, machine_id)

    def resume(self, machine_id: UUID, installation: str) -> None:
        """Continues them; what was due comes later by the time of the pause."""
        machine, run = self.running(machine_id, installation, "resume")
        if run.paused_at is not None:
            if run.due is not None:
                run.due += self._now() - run.paused_at
            run.paused_at = None
            self._save(machine)
            self._schedule(machine)
            self._emit(MachineEventKind.RESUMED, machine_id)

    def guest_does(self, machine_id: UUID, action: str) -> None:
        """Lets the guest `shutdown`, `reboot` or `crash` by itself, whoever made the machine."""
        machine, _ = self.running(machine_id, None, f"let the guest {action} in")
        if action == "reboot":
            self.reset(machine_id, None)
        elif action == "shutdown":
            self._stop(machine, "shutdown")
        else:
            self._stop(machine, "crash", kind=MachineEventKind.CRASHED)

    # --- devices -----------------------------------------------------------------------------------------------------

    def change_medium(self, machine_id: UUID, drive_id: str, medium: ConnectionInfo | None, installation: str) -> None:
        """Inserts or ejects, in the definition and in the running machine."""
        machine = self.get(machine_id, installation)
        if medium is not None:
            self._check_file(medium, f"insert a medium into {drive_id} of {machine.spec.name}")
        changed = _with_medium(machine.spec.drives, drive_id, medium)
        if changed is None:
            raise BackendError(
                f"Cannot change the medium of {machine.spec.name} on {self._host}: it has no drive {drive_id!r}.",
                operation="change_medium",
                host=self._host,
                reason="no such drive",
            )
        before = machine.spec, machine.run and machine.run.spec
        machine.spec = replace(machine.spec, drives=changed)
        if machine.run is not None:
            live = _with_medium(machine.run.spec.drives, drive_id, medium)
            machine.run.spec = replace(machine.run.spec, drives=live or machine.run.spec.drives)
        if before != (machine.spec, machine.run and machine.run.spec):
            self._save(machine)
            self._emit(MachineEventKind.MEDIUM_CHANGED, machine_id, device=drive_id)

    def attach_disk(self, machine_id: UUID, disk: DiskSpec, installation: str) -> None:
        """Attaches to the definition and to the running machine; the same disk twice is success."""
        machine = self.get(machine_id, installation)
        specs = [machine.spec] + ([machine.run.spec] if machine.run else [])
        missing = [spec for spec in specs if not any(known == disk for known in spec.disks)]
        if not missing:
            return
        if any(known.id == disk.id for spec in missing for known in spec.disks):
            raise AlreadyExists(
                f"{machine.spec.name} on {self._host} has another disk {disk.id!r}; detach it first.",
                kind="Disk",
                property="Id",
                value=disk.id,
            )
        self._check_file(disk.connection, f"attach the disk {disk.id} to {machine.spec.name}")
        if machine.run is not None:
            self._check_free(machine_id, disk)
            self._open_file(machine_id, disk)
            if machine.run.spec in missing:
                machine.run.spec = replace(machine.run.spec, disks=(*machine.run.spec.disks, disk))
        if machine.spec in missing:
            machine.spec = replace(machine.spec, disks=(*machine.spec.disks, disk))
        self._save(machine)
        self._emit(MachineEventKind.DEVICE_ADDED, machine_id, device=disk.id)

    def detach_disk(self, machine_id: UUID, disk_id: str, installation: str) -> bool:
        """Detaches at once where it can; False means that the running guest was asked and has not answered yet."""
        machine = self.get(machine_id, installation)
        run = machine.run
        if run is None or not _has_disk(run.spec, disk_id):
            self._drop_disk(machine, disk_id)
            return True
        if run.phase is Phase.READY and run.paused_at is None:
            self._drop_disk(machine, disk_id)
            return True
        if disk_id not in run.unplugging:
            run.unplugging = (*run.unplugging, disk_id)
            self._save(machine)
        return False

    def has_disk(self, machine_id: UUID, disk_id: str) -> bool:
        """Whether the machine, defined or running, has the disk."""
        machine = self._machines.get(machine_id)
        if machine is None:
            return False
        return any(
            _has_disk(spec, disk_id) for spec in (machine.spec, machine.run.spec if machine.run else machine.spec)
        )

    def give_up_detach(self, machine_id: UUID, disk_id: str) -> None:
        """Withdraws the request to release a disk; the machine keeps it."""
        machine = self._machines.get(machine_id)
        if machine is None or machine.run is None or disk_id not in machine.run.unplugging:
            return
        machine.run.unplugging = tuple(item for item in machine.run.unplugging if item != disk_id)
        self._save(machine)
        self._emit(
            MachineEventKind.DEVICE_REMOVAL_FAILED, machine_id, device=disk_id, detail="the guest did not answer"
        )

    def disk(self, machine_id: UUID, disk_id: str, installation: str) -> DiskSpec:
        """A disk of the machine as it runs, or as it is defined while it is off."""
        machine = self.get(machine_id, installation)
        spec = machine.run.spec if machine.run else machine.spec
        for disk in spec.disks:
            if disk.id == disk_id:
                return disk
        raise BackendError(
            f"{machine.spec.name} on {self._host} has no disk {disk_id!r}.",
            operation="resize_attached_disk",
            host=self._host,
            reason="no such disk",
        )

    # --- inside ------------------------------------------------------------------------------------------------------

    def _boot(self, run: Run) -> None:
        """One boot of a run: firmware looks for something to start, or shows its set-up menu."""
        if run.override is BootDevice.SETUP:
            self._say(run.spec.id, guest.setup_text(run.spec))
            run.phase, run.due = Phase.SETUP_MENU, None
            return
        candidates = guest.boot_candidates(run.spec, run.override)
        self._say(run.spec.id, guest.power_on_text(run.spec, candidates))
        if any(name is not None for _, name in candidates):
            run.phase = Phase.BOOTING
            run.due = self._now() + self._world.settings[self._host].boot_seconds
        else:
            run.phase = Phase.NO_BOOT_DEVICE
            run.due = None

    def _schedule(self, machine: Machine) -> None:
        if machine.run is not None and machine.run.due is not None and machine.run.paused_at is None:
            self._world.schedule(machine.run.due, machine.spec.id, self._phase_ends)

    def _phase_ends(self, machine_id: UUID) -> None:
        """What was scheduled has come, unless things have changed since."""
        machine = self._machines.get(machine_id)
        run = machine.run if machine else None
        if machine is None or run is None or run.paused_at is not None or run.due is None or run.due > self._now():
            return
        if run.phase is Phase.SHUTTING_DOWN:
            self._stop(machine, "shutdown")
            return
        run.phase, run.due = Phase.READY, None
        self._say(machine_id, guest.ready_text(run.spec, self._world.settings[self._host].boot_seconds))
        released, run.unplugging = run.unplugging, ()
        self._save(machine)
        for disk_id in released:
            self._drop_disk(machine, disk_id)

    def _stop(self, machine: Machine, reason: str, kind: MachineEventKind = MachineEventKind.STOPPED) -> None:
        run = machine.run
        if run is None:
            return
        machine.run = None
        for disk in run.spec.disks:
            self._close_file(machine.spec.id, disk)
        self._say(machine.spec.id, guest.line(f"{reason}, the machine is off"))
        self._save(machine)
        self._emit(kind, machine.spec.id, detail=reason)
        for disk_id in run.unplugging:
            self._drop_disk(machine, disk_id)

    def _drop_disk(self, machine: Machine, disk_id: str) -> None:
        """Takes a disk out of the definition and the run; does nothing if neither has it."""
        had = False
        if machine.run is not None and _has_disk(machine.run.spec, disk_id):
            for disk in machine.run.spec.disks:
                if disk.id == disk_id:
                    self._close_file(machine.spec.id, disk)
            machine.run.spec = _without_disk(machine.run.spec, disk_id)
            had = True
        if _has_disk(machine.spec, disk_id):
            machine.spec = _without_disk(machine.spec, disk_id)
            had = True
        if had:
            self._save(machine)
            self._emit(MachineEventKind.DEVICE_REMOVED, machine.spec.id, device=disk_id)

    def _check_devices(self, spec: MachineSpec) -> None:
        for disk in spec.disks:
            self._check_file(disk.connection, f"start {spec.name} with the disk {disk.id}")
            self._check_free(spec.id, disk)
        for drive in spec.drives:
            if drive.medium is not None:
                self._check_file(drive.medium, f"start {spec.name} with the medium in {drive.id}")

    def _check_file(self, connection: ConnectionInfo, doing: str) -> None:
        """A hypervisor opens what it is given; so files and devices must be there."""
        path = _local_path(connection)
        if path is not None and not Path(path).exists():
            raise BackendError(
                f"Cannot {doing} on {self._host}: there is no file {path}.",
                operation="open",
                host=self._host,
                reason=f"no such file: {path}",
            )

    def _check_free(self, machine_id: UUID, disk: DiskSpec) -> None:
        """Two machines never write to one file, as QEMU's locks see to it."""
        path = _local_path(disk.connection)
        others = self._world.open_files.get(path, set()) - {(self._host, machine_id)} if path else set()
        if others and not disk.shareable and not disk.read_only:
            by = sorted(f"{other} on {host}" for host, other in others)
            raise InUse(
                f"Cannot open {path} for the disk {disk.id}: it is in use by {', '.join(by)}; power that machine off or "
                "detach the disk there.",
                by=by,
            )

    def _open_file(self, machine_id: UUID, disk: DiskSpec) -> None:
        path = _local_path(disk.connection)
        if path is not None:
            self._world.open_files.setdefault(path, set()).add((self._host, machine_id))

    def _close_file(self, machine_id: UUID, disk: DiskSpec) -> None:
        path = _local_path(disk.connection)
        users = self._world.open_files.get(path, set()) if path else set()
        users.discard((self._host, machine_id))
        if path is not None and not users:
            self._world.open_files.pop(path, None)

    def _save(self, machine: Machine) -> None:
        self._world.store.save_machine(self._host, machine.spec.id, machine)

    def _say(self, machine_id: UUID, text: str) -> None:
        if self._machines[machine_id].spec.serial:
            self._world.write_serial(self._host, machine_id, text)

    def _emit(self, kind: MachineEventKind, machine_id: UUID, *, device: str | None = None, detail: str = "") -> None:
        self._world.emit(self._host, kind, machine_id, device=device, detail=detail)

    def _now(self) -> float:
        return self._world.clock()


def _observation(machine: Machine) -> MachineObservation:
    run = machine.run
    spec = run.spec if run else machine.spec
    power_state = PowerState.OFF
    if run is not None:
        power_state = PowerState.ON if run.paused_at is None else PowerState.PAUSED
    return MachineObservation(
        id=machine.spec.id,
        name=machine.spec.name,
        power_state=power_state,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        firmware=spec.firmware,
        run_id=run.id if run else None,
        stamp=machine.spec.stamp,
        disk_ids=tuple(disk.id for disk in spec.disks),
        mac_addresses=tuple(interface.mac_address for interface in spec.network_interfaces),
        media=tuple((drive.id, guest.address_of(drive.medium)) for drive in spec.drives),
        setup=spec.setup,
        boot_devices=guest.boot_devices(spec, run.override if run and not run.override_once else None),
    )


def _local_path(connection: ConnectionInfo) -> str | None:
    return str(connection.path) if isinstance(connection, FilePath | BlockDevice) else None


def _has_disk(spec: MachineSpec, disk_id: str) -> bool:
    return any(disk.id == disk_id for disk in spec.disks)


def _without_disk(spec: MachineSpec, disk_id: str) -> MachineSpec:
    return replace(spec, disks=tuple(disk for disk in spec.disks if disk.id != disk_id))


def _with_medium(
    drives: Iterable[DriveSpec], drive_id: str, medium: ConnectionInfo | None
) -> tuple[DriveSpec, ...] | None:
    """The drives with the medium changed; None if there is no such drive."""
    changed = tuple(replace(drive, medium=medium) if drive.id == drive_id else drive for drive in drives)
    return changed if any(drive.id == drive_id for drive in changed) else None
