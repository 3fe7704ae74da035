"""Interfaces of compute drivers.

A driver object speaks to one host. It fills `ComputeDriver` and, for whatever more it can do, the optional interfaces below.
What the code can do is `isinstance`; what this host can do is `probe()`. HawkFish offers an action only where both say yes.

Rules for every operation:

* It is idempotent: asked again for what is already so, it succeeds and changes nothing.
* It ends within `PluginContext.call_timeout` seconds with a result or with `BackendTimeout`, unless its docstring gives
  another limit. A driver that waits for a host never holds up a call to another one.
* It raises only classes of `hawkfish.errors`: `HostUnavailable` where the host does not answer, `MachineNotFound` for an
  unknown machine, `ForeignObject` where something of another owner is in the way, `BackendError` for the rest.
* It is called from native threads, several at once; a driver guards itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from hawkfish.domain.hosts import ComputeCapability, HostFacts
from hawkfish.domain.machines import (
    DiskSpec,
    MachineEvent,
    MachineObservation,
    MachineSpec,
    Screenshot,
    StartOptions,
)
from hawkfish.domain.storage import ConnectionInfo, PoolDefinition, PoolStats, VolumeFacts, VolumeSpec
from hawkfish.plugins.control import UNCONTROLLED, OperationControl


class ComputeDriver(ABC):
    """What every driver must do for one host."""

    @abstractmethod
    def open(self) -> None:
        """Connects to the host. Called before anything else, and again after `close`; calling it twice is harmless.

        Raises:
            HostUnavailable: The host does not answer. The driver goes on trying by itself, with backoff, until closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of the connection and of every thread; never raises. Machines are not touched."""

    @abstractmethod
    def probe(self) -> HostFacts:
        """Finds out what this host is and can do. May take up to 60 seconds the first time (it may start something)."""

    @abstractmethod
    def list_machines(self) -> tuple[MachineObservation, ...]:
        """All machines of the host, foreign ones included, in one round trip where the hypervisor allows it."""

    @abstractmethod
    def find_machine(self, machine_id: UUID) -> MachineObservation | None:
        """The machine as the hypervisor sees it now; None if it has no such machine."""

    @abstractmethod
    def define_machine(self, spec: MachineSpec) -> MachineObservation:
        """Makes the machine, or changes its definition to `spec`; it is not started, and a running one runs on as it is.

        Raises:
            ForeignObject: The UUID or the name is taken by a machine without a stamp of this installation.
        """

    @abstractmethod
    def remove_machine(self, machine_id: UUID) -> None:
        """Removes the definition with its firmware variables and logs; its disks stay. An absent machine is success.

        Raises:
            Conflict: The machine runs; it is never stopped by this call.
            ForeignObject: This installation did not make it.
        """

    @abstractmethod
    def start_machine(self, machine_id: UUID, options: StartOptions | None = None) -> MachineObservation:
        """Starts the machine; a running one is left alone. `options` need the interface `SupportsBootOverride`."""

    @abstractmethod
    def power_off_machine(self, machine_id: UUID) -> None:
        """Cuts the power at once. A machine that is off or absent is success."""


class SupportsBulkDefine(ABC):
    """Many machines can be defined by one call, at a cost that makes thousands of them a matter of seconds."""

    @abstractmethod
    def define_machines(self, specs: Sequence[MachineSpec]) -> tuple[MachineObservation, ...]:
        """As `define_machine` for each of `specs`, in their order; core hands over at most 100 at once.

        After an error some may have been defined and some not: the caller asks again or removes them. `SupportsEvents` need not
        report what is defined so, since who asked is told by the result.

        Raises:
            ForeignObject: A UUID or a name is taken by a machine without a stamp of this installation.
        """


class SupportsBootOverride(ABC):
    """`start_machine` honours `StartOptions` (a marker: it adds no method)."""

    @property
    @abstractmethod
    def boot_override_mechanism(self) -> str:
        """How an override is undone after one boot, for people."""


class SupportsGracefulShutdown(ABC):
    """The guest can be asked to shut down."""

    @abstractmethod
    def request_shutdown(self, machine_id: UUID) -> None:
        """Presses the power button or asks the agent, and returns; whether the guest obeys is seen by observation."""


class SupportsReset(ABC):
    """The machine can be reset without being powered off."""

    @abstractmethod
    def reset_machine(self, machine_id: UUID) -> None:
        """Presses the reset button of a running machine.

        Raises:
            Conflict: The machine is off.
        """


class SupportsNmi(ABC):
    """A non-maskable interrupt can be sent."""

    @abstractmethod
    def send_nmi(self, machine_id: UUID) -> None:
        """Sends it.

        Raises:
            Conflict: The machine is off.
        """


class SupportsPause(ABC):
    """The machine's processors can be stopped and continued."""

    @abstractmethod
    def pause_machine(self, machine_id: UUID) -> None:
        """Stops the processors; a paused machine is left alone."""

    @abstractmethod
    def resume_machine(self, machine_id: UUID) -> None:
        """Continues them; a running machine is left alone."""


class SupportsScreenshot(ABC):
    """A picture of the screen can be taken."""

    @abstractmethod
    def take_screenshot(self, machine_id: UUID) -> Screenshot:
        """Takes a picture of a running machine's first screen.

        Raises:
            Conflict: The machine is off.
        """


class SupportsEvents(ABC):
    """The hypervisor reports what happens."""

    @abstractmethod
    def subscribe(self, listener: Callable[[MachineEvent], None]) -> Callable[[], None]:
        """Calls `listener` for each event from a thread of the driver until the returned function is called.

        After a lost connection the driver sends CONNECTION_LOST, and CONNECTION_RESTORED once events flow again; what
        happened between is not replayed, so the listener looks at everything anew.
        """


class SupportsSerialLog(ABC):
    """What machines write to their first serial port is kept by the hypervisor, also with nobody attached."""

    @abstractmethod
    def read_serial_log(self, machine_id: UUID, offset: int = 0, limit: int = 65536) -> bytes:
        """Reads at most `limit` bytes from `offset` (negative: that many from the end); empty beyond the end."""


class SupportsMedia(ABC):
    """The medium of a drive can be changed, also while the machine runs."""

    @abstractmethod
    def change_medium(self, machine_id: UUID, drive_id: str, medium: ConnectionInfo | None) -> None:
        """Inserts `medium` in place of what is there, or ejects with None; in the definition and in the running machine."""


class SupportsDiskHotplug(ABC):
    """Disks can be attached, detached and grown while the machine runs."""

    @abstractmethod
    def attach_disk(self, machine_id: UUID, disk: DiskSpec) -> None:
        """Attaches the disk to the definition and to the running machine."""

    @abstractmethod
    def detach_disk(self, machine_id: UUID, disk_id: str, timeout: float) -> None:
        """Detaches it and waits at most `timeout` seconds for the guest to let go.

        Raises:
            BackendTimeout: The guest did not release it; the machine keeps the disk.
        """

    @abstractmethod
    def resize_attached_disk(self, machine_id: UUID, disk_id: str, capacity_bytes: int) -> None:
        """Tells the running machine that the disk has grown; never shrinks."""


@dataclass(frozen=True, kw_only=True)
class SocketEndpoint:
    """A console that is reached by a connected socket.

    Attributes:
        connect: Gives a new connected stream socket's file descriptor, owned by the caller. Blocking; called in a thread.
        run_id: The run of the machine that the endpoint belongs to.
    """

    connect: Callable[[], int]
    run_id: str


class SupportsConsole(ABC):
    """Consoles of running machines can be reached."""

    @abstractmethod
    def console_kinds(self, machine_id: UUID) -> frozenset[str]:
        """Names of console protocols (`vnc`, `spice`, `serial`) that the machine has."""

    @abstractmethod
    def open_console(self, machine_id: UUID, kind: str) -> SocketEndpoint:
        """An endpoint for one of `console_kinds`.

        Raises:
            Conflict: The machine is off.
        """


@dataclass(frozen=True, kw_only=True)
class LiveMigration:
    """A move of a running machine to another host of the same driver.

    Attributes:
        target: Specification of the machine at the target, with the disks as the target's pools connect them.
        target_uri: Address under which the source's hypervisor reaches the target's.
        copy_disks: Ids of the disks whose bytes are moved; the others are shared by identity of their pools.
        downtime_ms: Longest pause allowed at the end.
        bandwidth_mib: Limit in MiB/s; None for no limit.
    """

    target: MachineSpec
    target_uri: str
    copy_disks: tuple[str, ...] = ()
    downtime_ms: int = 300
    bandwidth_mib: int | None = None
    compressed: bool = False


@dataclass(frozen=True, kw_only=True)
class MigrationProgress:
    """How far a migration is; sizes in bytes."""

    total_bytes: int
    remaining_bytes: int
    dirty_rate_bytes: int = 0
    iteration: int = 0
    downtime_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class MigrationReport:
    """How a move went, for people and for the next one.

    Attributes:
        downtime_ms: How long the guest stood still; None where the hypervisor does not say.
        transferred_bytes: What went over the network, repeated pages included.
        iterations: How often memory was gone through.
    """

    downtime_ms: int | None = None
    transferred_bytes: int = 0
    iterations: int = 0


@dataclass(frozen=True, kw_only=True)
class MigrationControl:
    """What a running move gets from core: where to report, whether to stop, and the moment from which it cannot.

    Attributes:
        progress: Gets how far it is, at least once a second.
        abort_requested: Whether to stop; looked at as often.
        switching_over: Called once, right before the source is stopped for good. It raises `Aborted` if the move is to end
            instead; once it has returned, core asks for no abort and refuses to cut the power until the move has ended.
    """

    progress: Callable[[MigrationProgress], None]
    abort_requested: Callable[[], bool]
    switching_over: Callable[[], None]


class SupportsLiveMigration(ABC):
    """Running machines can be moved. The source's driver leads; a failed move leaves the machine running at the source."""

    @abstractmethod
    def check_migration(self, machine_id: UUID, migration: LiveMigration, target: ComputeDriver) -> Sequence[str]:
        """Reasons why the move would fail, each a sentence; empty if it may be tried."""

    @abstractmethod
    def migrate_machine(self, machine_id: UUID, migration: LiveMigration, control: MigrationControl) -> MigrationReport:
        """Moves the machine and returns when it runs at the target. Its limit is the caller's: see `abort_migration`."""

    @abstractmethod
    def abort_migration(self, machine_id: UUID) -> bool:
        """Stops a running move; False if there was none or it could not be stopped any more."""

    @abstractmethod
    def set_migration_downtime(self, machine_id: UUID, milliseconds: int) -> None:
        """Changes the longest pause of a running move."""


class HostStorage(ABC):
    """The host's storage manager, used by pool plugins. A pool and a volume are named; nothing is listed to find one."""

    @abstractmethod
    def define_pool(self, definition: PoolDefinition) -> None:
        """Records the pool on the host, or finds it recorded the same way.

        Raises:
            ForeignObject: A pool of that name with another definition exists, or the folder is another pool's.
        """

    @abstractmethod
    def start_pool(self, name: str) -> None:
        """Makes the pool usable (makes the folder, mounts, logs in, activates)."""

    @abstractmethod
    def stop_pool(self, name: str) -> None:
        """The reverse of `start_pool`; volumes stay. An absent or stopped pool is success."""

    @abstractmethod
    def remove_pool(self, name: str) -> None:
        """Forgets the pool; its volumes stay where they are. An absent pool is success."""

    @abstractmethod
    def pool_stats(self, name: str) -> PoolStats:
        """Sizes now."""

    @abstractmethod
    def list_volumes(self, pool: str) -> tuple[VolumeFacts, ...]:
        """All volumes, foreign ones included."""

    @abstractmethod
    def find_volume(self, pool: str, name: str) -> VolumeFacts | None:
        """One volume; None if there is none."""

    @abstractmethod
    def create_volume(self, pool: str, spec: VolumeSpec) -> VolumeFacts:
        """Makes an empty volume; one of that name, size and format is success.

        Raises:
            AlreadyExists: One of that name differs.
            StorageFull: There is no room.
        """

    @abstractmethod
    def delete_volume(self, pool: str, name: str) -> None:
        """Deletes it; an absent one is success."""

    @abstractmethod
    def resize_volume(
        self, pool: str, name: str, capacity_bytes: int, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        """Grows a volume that no running machine uses; the same size is success, a smaller one is refused.

        No limit on the whole; `call_timeout` seconds without progress end it, where progress can be seen.

        Raises:
            NotSupported: The pool's kind cannot.
        """

    @abstractmethod
    def clone_volume(
        self, pool: str, source: str, spec: VolumeSpec, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        """Copies `source` into a new volume of at least its size; one of that name and size is success.

        The copy appears whole or not at all, also when we die in the middle. A driver that sees the copy grow gives up when
        nothing moves for `call_timeout` seconds; one that does not allows `call_timeout` and a second for each 10 MiB.

        Raises:
            AlreadyExists: A volume of that name differs.
            Conflict: `spec` is smaller than the source.
            NotSupported: The formats differ and the driver does not convert.
            StorageFull: There is no room.
        """

    @abstractmethod
    def upload_volume(
        self, pool: str, name: str, content: BinaryIO, length: int, control: OperationControl = UNCONTROLLED
    ) -> None:
        """Writes `length` bytes as the volume's whole content (a qcow2 file stays one).

        No limit on the whole; the driver gives up when nothing moves for `call_timeout` seconds. What is left in the volume
        after an error is not known; the caller writes it again or deletes it.
        """

    @abstractmethod
    def download_volume(self, pool: str, name: str) -> Iterator[bytes]:
        """The volume's whole content, in pieces."""

    @abstractmethod
    def pool_path(self, pool: str) -> str:
        """Folder on the host where the pool's volumes appear."""


class SupportsBulkVolumes(ABC):
    """A `HostStorage` that makes and finds many volumes by one call."""

    @abstractmethod
    def create_volumes(self, pool: str, specs: Sequence[VolumeSpec]) -> tuple[VolumeFacts, ...]:
        """As `create_volume` for each of `specs`, in their order; at most 100 at once. After an error some may have been made."""

    @abstractmethod
    def find_volumes(self, pool: str, names: Sequence[str]) -> tuple[VolumeFacts | None, ...]:
        """As `find_volume` for each of `names`, in their order; at most 100 at once."""


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command on a host answered."""

    status: int
    stdout: str
    stderr: str


class HostCommands(ABC):
    """Commands on the host, for what its storage manager cannot do. Only commands that its administrator approved run."""

    @property
    @abstractmethod
    def approved_commands(self) -> frozenset[str]:
        """Names of the programs that may be run."""

    @abstractmethod
    def run_command(self, argv: Sequence[str], timeout: float) -> CommandResult:
        """Runs `argv` (no shell) and waits at most `timeout` seconds.

        Raises:
            NotSupported: `argv[0]` is not approved.
            BackendTimeout: It did not end; it has been killed where that was possible.
        """


CAPABILITY_INTERFACES: dict[ComputeCapability, type] = {
    ComputeCapability.GRACEFUL_SHUTDOWN: SupportsGracefulShutdown,
    ComputeCapability.RESET: SupportsReset,
    ComputeCapability.NMI: SupportsNmi,
    ComputeCapability.PAUSE: SupportsPause,
    ComputeCapability.SCREENSHOT: SupportsScreenshot,
    ComputeCapability.EVENTS: SupportsEvents,
    ComputeCapability.SERIAL_LOG: SupportsSerialLog,
    ComputeCapability.CONSOLE: SupportsConsole,
    ComputeCapability.BOOT_OVERRIDE: SupportsBootOverride,
    ComputeCapability.MEDIA: SupportsMedia,
    ComputeCapability.DISK_HOTPLUG: SupportsDiskHotplug,
    ComputeCapability.LIVE_MIGRATION: SupportsLiveMigration,
    ComputeCapability.HOST_STORAGE: HostStorage,
    ComputeCapability.HOST_COMMANDS: HostCommands,
    ComputeCapability.BULK_DEFINE: SupportsBulkDefine,
    ComputeCapability.BULK_VOLUMES: SupportsBulkVolumes,
}
"""The interface that a driver fills where it claims the capability."""


def offered_capabilities(driver: ComputeDriver, facts: HostFacts) -> frozenset[ComputeCapability]:
    """What both the driver's code and its host can do."""
    return frozenset(
        capability for capability in facts.capabilities if isinstance(driver, CAPABILITY_INTERFACES[capability])
    )


@dataclass(frozen=True, kw_only=True)
class PoolHost:
    """A host as a pool plugin gets it: what it offers, and what its administrator allows.

    Attributes:
        id: Stable id of the host.
        name: For messages.
        storage: The host's storage manager, or None.
        commands: Commands on the host, or None.
        bulk_volumes: The storage manager again where it makes many volumes by one call, or None.
        data_dir: Folder on the host for what HawkFish keeps there.
    """

    id: UUID
    name: str
    storage: HostStorage | None = None
    commands: HostCommands | None = None
    bulk_volumes: SupportsBulkVolumes | None = None
    data_dir: Path | None = None
