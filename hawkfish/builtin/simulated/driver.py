"""The compute driver `simulated`: a thin client of the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO
from uuid import UUID

from hawkfish.builtin.simulated.codec import decode, encode
from hawkfish.builtin.simulated.faults import error_class
from hawkfish.builtin.simulated.feed import EventFeed
from hawkfish.builtin.simulated.settings import SOCKET_NAME, parse_host
from hawkfish.builtin.simulated.transport import Listener, SocketTransport, Transport
from hawkfish.builtin.simulated.wire import PROTOCOL
from hawkfish.domain.hosts import HostFacts
from hawkfish.domain.machines import (
    DiskSpec,
    MachineEvent,
    MachineObservation,
    MachineSpec,
    Screenshot,
    StartOptions,
)
from hawkfish.domain.storage import ConnectionInfo, PoolDefinition, PoolStats, VolumeFacts, VolumeSpec
from hawkfish.errors import HawkFishError, InvalidRequest
from hawkfish.plugins.compute import (
    ComputeDriver,
    HostStorage,
    SupportsBootOverride,
    SupportsBulkDefine,
    SupportsBulkVolumes,
    SupportsDiskHotplug,
    SupportsEvents,
    SupportsGracefulShutdown,
    SupportsMedia,
    SupportsNmi,
    SupportsPause,
    SupportsReset,
    SupportsScreenshot,
    SupportsSerialLog,
)
from hawkfish.plugins.context import HostConfig, PluginContext
from hawkfish.plugins.control import UNCONTROLLED, OperationControl

_PIECE = 1 << 20
_DETACH_MARGIN = 5.0

TransportFactory = Callable[[dict[str, Any], str, Listener], Transport]


class SimulatedDriver(
    ComputeDriver,
    SupportsBootOverride,
    SupportsGracefulShutdown,
    SupportsReset,
    SupportsNmi,
    SupportsPause,
    SupportsScreenshot,
    SupportsEvents,
    SupportsSerialLog,
    SupportsMedia,
    SupportsDiskHotplug,
    SupportsBulkDefine,
    HostStorage,
    SupportsBulkVolumes,
):
    """One simulated host.

    Args:
        host: Its address is `simulated:///NAME`, with settings as a query.
        context: The simulator's socket is `simulator.sock` in its data folder.
        transport: Makes another way to the simulator, for unit tests.
    """

    def __init__(self, host: HostConfig, context: PluginContext, transport: TransportFactory | None = None) -> None:
        self._name, settings = parse_host(host.uri, host.settings)
        self._timeout = context.call_timeout
        self._feed = EventFeed(self._name)
        self._listed: dict[str, tuple[dict[str, Any], MachineObservation]] = {}
        greeting = {
            "protocol": PROTOCOL,
            "host": self._name,
            "settings": encode(settings),
            "installation": context.installation_id,
        }
        if transport is None:
            self._transport: Transport = SocketTransport(
                context.data_dir / SOCKET_NAME, greeting, self._name, self._timeout, self._feed
            )
        else:
            self._transport = transport(greeting, self._name, self._feed)

    def _call(self, operation: str, wanted: Any = None, *, timeout: float | None = None, **params: Any) -> Any:
        answer = self._ask(operation, b"", timeout, **params)[0]
        return None if wanted is None else decode(wanted, answer["result"])

    def _ask(
        self, operation: str, blob: bytes = b"", timeout: float | None = None, **params: Any
    ) -> tuple[dict[str, Any], bytes]:
        encoded = {name: encode(value) for name, value in params.items()}
        answer, data = self._transport.call(operation, encoded, blob, timeout or self._timeout)
        raise_error(answer)
        return answer, data

    # --- the host ----------------------------------------------------------------------------------------------------

    def open(self) -> None:  # noqa: D102  described by the interface, as are all below
        self._feed.reopen()
        self._transport.open()

    def close(self) -> None:  # noqa: D102
        self._transport.close()
        self._feed.close(self._timeout)

    def probe(self) -> HostFacts:  # noqa: D102
        facts: HostFacts = self._call("probe", HostFacts)
        return facts

    def subscribe(self, listener: Callable[[MachineEvent], None]) -> Callable[[], None]:  # noqa: D102
        return self._feed.subscribe(listener)

    # --- machines ----------------------------------------------------------------------------------------------------

    def list_machines(self) -> tuple[MachineObservation, ...]:  # noqa: D102
        # Of thousands that are listed again and again, only those that have changed are made into objects anew.
        before, listed = self._listed, {}
        for said in self._ask("list_machines")[0]["result"]:
            known = before.get(said["id"])
            if known is None or known[0] != said:
                known = (said, decode(MachineObservation, said))
            listed[said["id"]] = known
        self._listed = listed
        return tuple(machine for _, machine in listed.values())

    def find_machine(self, machine_id: UUID) -> MachineObservation | None:  # noqa: D102
        found: MachineObservation | None = self._call("find_machine", MachineObservation | None, machine_id=machine_id)
        return found

    def define_machine(self, spec: MachineSpec) -> MachineObservation:  # noqa: D102
        machine: MachineObservation = self._call("define_machine", MachineObservation, spec=spec)
        return machine

    def define_machines(self, specs: Sequence[MachineSpec]) -> tuple[MachineObservation, ...]:  # noqa: D102
        machines: tuple[MachineObservation, ...] = self._call(
            "define_machines", tuple[MachineObservation, ...], specs=tuple(specs)
        )
        return machines

    def remove_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._call("remove_machine", machine_id=machine_id)

    def start_machine(self, machine_id: UUID, options: StartOptions | None = None) -> MachineObservation:  # noqa: D102
        machine: MachineObservation = self._call(
            "start_machine", MachineObservation, machine_id=machine_id, options=options
        )
        return machine

    def power_off_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._call("power_off_machine", machine_id=machine_id)

    @property
    def boot_override_mechanism(self) -> str:  # noqa: D102
        return "the simulated firmware forgets the override after the first boot of the run"

    def request_shutdown(self, machine_id: UUID) -> None:  # noqa: D102
        self._call("request_shutdown", machine_id=machine_id)

    def reset_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._call("reset_machine", machine_id=machine_id)

    def send_nmi(self, machine_id: UUID) -> None:  # noqa: D102
        self._call("send_nmi", machine_id=machine_id)

    def pause_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._call("pause_machine", machine_id=machine_id)

    def resume_machine(self, machine_id: UUID) -> None:  # noqa: D102
        self._call("resume_machine", machine_id=machine_id)

    def take_screenshot(self, machine_id: UUID) -> Screenshot:  # noqa: D102
        return Screenshot(media_type="image/png", data=self._ask("take_screenshot", machine_id=machine_id)[1])

    def read_serial_log(self, machine_id: UUID, offset: int = 0, limit: int = 65536) -> bytes:  # noqa: D102
        return self._ask("read_serial_log", machine_id=machine_id, offset=offset, limit=limit)[1]

    def change_medium(self, machine_id: UUID, drive_id: str, medium: ConnectionInfo | None) -> None:  # noqa: D102
        self._call("change_medium", machine_id=machine_id, drive_id=drive_id, medium=medium)

    def attach_disk(self, machine_id: UUID, disk: DiskSpec) -> None:  # noqa: D102
        self._call("attach_disk", machine_id=machine_id, disk=disk)

    def detach_disk(self, machine_id: UUID, disk_id: str, timeout: float) -> None:  # noqa: D102
        answer, _ = self._transport.call(
            "detach_disk",
            {"machine_id": str(machine_id), "disk_id": disk_id, "timeout": timeout},
            b"",
            timeout + _DETACH_MARGIN,
        )
        raise_error(answer)

    def resize_attached_disk(self, machine_id: UUID, disk_id: str, capacity_bytes: int) -> None:  # noqa: D102
        self._call("resize_attached_disk", machine_id=machine_id, disk_id=disk_id, capacity_bytes=capacity_bytes)

    # --- storage -----------------------------------------------------------------------------------------------------

    def define_pool(self, definition: PoolDefinition) -> None:  # noqa: D102
        self._call("define_pool", definition=definition)

    def start_pool(self, name: str) -> None:  # noqa: D102
        self._call("start_pool", name=name)

    def stop_pool(self, name: str) -> None:  # noqa: D102
        self._call("stop_pool", name=name)

    def remove_pool(self, name: str) -> None:  # noqa: D102
        self._call("remove_pool", name=name)

    def pool_stats(self, name: str) -> PoolStats:  # noqa: D102
        stats: PoolStats = self._call("pool_stats", PoolStats, name=name)
        return stats

    def pool_path(self, pool: str) -> str:  # noqa: D102
        path: str = self._call("pool_path", str, name=pool)
        return path

    def list_volumes(self, pool: str) -> tuple[VolumeFacts, ...]:  # noqa: D102
        volumes: tuple[VolumeFacts, ...] = self._call("list_volumes", tuple[VolumeFacts, ...], pool=pool)
        return volumes

    def find_volume(self, pool: str, name: str) -> VolumeFacts | None:  # noqa: D102
        found: VolumeFacts | None = self._call("find_volume", VolumeFacts | None, pool=pool, name=name)
        return found

    def create_volume(self, pool: str, spec: VolumeSpec) -> VolumeFacts:  # noqa: D102
        return self._volume("create_volume", pool=pool, spec=spec)

    def create_volumes(self, pool: str, specs: Sequence[VolumeSpec]) -> tuple[VolumeFacts, ...]:  # noqa: D102
        made: tuple[VolumeFacts, ...] = self._call(
            "create_volumes", tuple[VolumeFacts, ...], pool=pool, specs=tuple(specs)
        )
        return made

    def find_volumes(self, pool: str, names: Sequence[str]) -> tuple[VolumeFacts | None, ...]:  # noqa: D102
        found: tuple[VolumeFacts | None, ...] = self._call(
            "find_volumes", tuple[VolumeFacts | None, ...], pool=pool, names=tuple(names)
        )
        return found

    def delete_volume(self, pool: str, name: str) -> None:  # noqa: D102
        self._call("delete_volume", pool=pool, name=name)

    def resize_volume(  # noqa: D102
        self, pool: str, name: str, capacity_bytes: int, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        control.check()
        return self._volume("resize_volume", pool=pool, name=name, capacity_bytes=capacity_bytes)

    def clone_volume(  # noqa: D102
        self, pool: str, source: str, spec: VolumeSpec, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        control.check()
        return self._volume("clone_volume", pool=pool, source=source, spec=spec)

    def upload_volume(  # noqa: D102
        self, pool: str, name: str, content: BinaryIO, length: int, control: OperationControl = UNCONTROLLED
    ) -> None:
        upload_id = self._call("begin_upload", str, pool=pool, name=name, length=length)
        try:
            self._send_content(upload_id, name, content, length, control)
            self._call("finish_upload", upload_id=upload_id)
        except BaseException:
            self._give_up(upload_id)
            raise

    def _send_content(
        self, upload_id: str, name: str, content: BinaryIO, length: int, control: OperationControl
    ) -> None:
        done = 0
        while done < length:
            piece = content.read(min(_PIECE, length - done))
            if not piece:
                raise InvalidRequest(f"The content for {name} ended after {done} of {length} bytes; send all of it.")
            self._ask("write_upload", piece, upload_id=upload_id)
            done += len(piece)
            control.report(done)

    def download_volume(self, pool: str, name: str) -> Iterator[bytes]:  # noqa: D102
        offset = 0
        while piece := self._ask("read_volume", pool=pool, name=name, offset=offset, limit=_PIECE)[1]:
            yield piece
            offset += len(piece)

    def _volume(self, operation: str, **params: Any) -> VolumeFacts:
        facts: VolumeFacts = self._call(operation, VolumeFacts, **params)
        return facts

    def _give_up(self, upload_id: str) -> None:
        """Lets the simulator drop an upload; where it cannot be told, it drops it when the connection ends."""
        try:
            self._call("drop_upload", upload_id=upload_id)
        except HawkFishError:
            return


def raise_error(answer: dict[str, Any]) -> None:
    """Raises the error that an answer bears, as the class that it was."""
    error = answer.get("error")
    if error is not None:
        raise error_class(error["type"])(error["message"], **error["data"])
