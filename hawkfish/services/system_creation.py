"""The verb `create` of systems: what is asked for is judged, given a host, and accepted as a task of `system_tasks`."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.hosts import Host, HostFacts
from hawkfish.domain.logs import SystemLog
from hawkfish.domain.machines import Bridge, Firmware, NamedNetwork, NetworkAttachment, UserMode
from hawkfish.domain.placement import Candidate, DiskNeed, Placement, PlacementRequest, PlacementStrategy
from hawkfish.domain.storage import VolumeFormat
from hawkfish.domain.systems import (
    NewDisk,
    NewNetworkInterface,
    NewSystem,
    System,
    SystemDisk,
    SystemNetworkInterface,
    SystemState,
)
from hawkfish.domain.tasks import Limit, Task
from hawkfish.errors import (
    Conflict,
    NotFound,
    PropertyConflict,
    PropertyInvalidFormat,
    PropertyMissing,
    PropertyOutOfRange,
)
from hawkfish.services.accepted import Accepted
from hawkfish.services.access import Access
from hawkfish.services.host_limits import tasks_on
from hawkfish.services.image_choice import find_catalogue_images, sized_for, whole_sectors
from hawkfish.services.image_disks import SUFFIXES, limit_of
from hawkfish.services.image_files import find_image
from hawkfish.services.placement import PLACEMENT, is_named, no_room, place, read_candidates
from hawkfish.services.profiles import record_use, shaped

SYSTEM_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAC_PREFIX = "52:54:00"  # the prefix of QEMU's addresses
MAC_ATTEMPTS = 100


def subject_of(system_id: UUID) -> str:
    """How tasks and the audit trail name a system."""
    return f"system:{system_id}"


class CreationVerbs:
    """The verb `create` of systems."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    def create(self, actor: Actor, new: NewSystem, *, idempotency_key: str | None = None) -> Accepted:
        """Accepts a new system; its task makes the disks, defines the machine and starts it where asked.

        Args:
            actor: Who asks.
            new: What is asked for.
            idempotency_key: Names the request: repeated, it gives the same system.

        Raises:
            AlreadyExists: The name, the UUID or a MAC address is taken.
            NoRoom: No host can take it.
            PropertyError: A value cannot be used.
            Conflict: The key was used for another request.
        """
        self._access.authorize(actor, "systems.create", f"system:{new.id or new.name}")
        request = json.loads(json.dumps(new, default=_to_json))
        with self._database.read() as uow:
            if (accepted := self._find_accepted(uow, actor, new, request, idempotency_key)) is not None:
                return accepted
            asked, new = new, shaped(uow, new)
        _refuse_unusable(new)
        named = [self._prepare_disk(disk, position) for position, disk in enumerate(new.disks)]

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([PLACEMENT])
            if (accepted := self._find_accepted(uow, actor, asked, request, idempotency_key)) is not None:
                return accepted
            prepared = find_catalogue_images(uow, named)
            host, pools = _chosen(self._place(uow, new, prepared))
            system = new_system(uow, new, prepared, host, pools)
            task = self._access.queue.submit(
                uow,
                "system.create",
                title=f"Create system {system.name}",
                actor=actor.user_name,
                subject=subject_of(system.id),
                arguments={"system_id": str(system.id), "power_on": new.power_on, "request": request},
                locks=[subject_of(system.id)],
                limits=(*_limits_of_images(system), tasks_on(system.host_id, self._access.settings.host_tasks)),
                idempotency_key=idempotency_key,
            )
            uow.systems.add(system, created_by=actor.user_name)
            record_use(uow, system.id, new)
            if new.id is not None:  # a system that had this UUID before has left its records
                for log in SystemLog:
                    uow.logs.clear(system.id, log)
            self._access.audit.record(
                uow, actor, "systems.create", subject_of(system.id), name=system.name, host=host.name, task=task.id
            )
            return Accepted(system.id, task)

        return self._database.run(write)

    def explain(self, actor: Actor, new: NewSystem) -> Placement:
        """Says where a system would go, which hosts could take it too, and what the others are short of; nothing is taken.

        Raises:
            NoRoom: No host can take it.
            PropertyError: A value cannot be used.
        """
        self._access.authorize(actor, "systems.create", f"system:{new.id or new.name}")
        with self._database.read() as uow:
            new = shaped(uow, new)
        _refuse_unusable(new)
        named = [self._prepare_disk(disk, position) for position, disk in enumerate(new.disks)]
        with self._database.read() as uow:
            return self._place(uow, new, find_catalogue_images(uow, named))

    def _find_accepted(
        self, uow: UnitOfWork, actor: Actor, new: NewSystem, request: Mapping[str, Any], key: str | None
    ) -> Accepted | None:
        """The task of this very request: by its key, or the one at work now, since a client that lost our answer asks again.

        Looked for before the request is judged: what it asked for was taken by itself.
        """
        if key is not None:
            named = self._access.queue.find_named(uow, "system.create", actor.user_name, key)
            return None if named is None else _joined(named, request)
        system = uow.systems.find(new.name)
        if system is None or system.state is not SystemState.CREATING:
            return None
        for task in uow.tasks.search(subject=subject_of(system.id), ended=False):
            same = task.kind == "system.create" and task.actor == actor.user_name
            if same and task.arguments["request"] == request and not task.abort_requested:
                return Accepted(system.id, task)
        return None

    def _prepare_disk(self, disk: NewDisk, position: int) -> NewDisk:
        """Fills in what is left open, from the image where there is one."""
        path = f"Disks/{position}"
        if disk.image_id is not None:
            return disk  # looked up in the transaction that begins to refer to it
        if disk.image is None:
            if disk.capacity_bytes is None:
                raise PropertyMissing(
                    f"{path} needs a CapacityBytes (or CapacityGiB), or an Image to be made from.",
                    property=f"{path}/CapacityBytes",
                )
            if disk.capacity_bytes < 1:
                raise PropertyOutOfRange(
                    f"{path}/CapacityBytes is {disk.capacity_bytes}; ask for at least 1.",
                    property=f"{path}/CapacityBytes",
                    value=disk.capacity_bytes,
                )
            return NewDisk(
                capacity_bytes=whole_sectors(disk.capacity_bytes),
                format=disk.format or VolumeFormat.QCOW2,
                bus=disk.bus,
                pool=disk.pool,
            )
        image = find_image(self._access.settings, disk.image, property_path=f"{path}/Image")
        return replace(sized_for(disk, image.facts, path), image=str(image.path))

    def _place(self, uow: UnitOfWork, new: NewSystem, disks: Sequence[NewDisk]) -> Placement:
        candidates = read_candidates(uow)
        if new.host is not None:
            candidates = [
                item for item in candidates if new.host.lower() in {item.host.name.lower(), str(item.host.id)}
            ]
            if not candidates:
                raise PropertyConflict(
                    f"There is no host {new.host!r}; see `hawkfish hosts ls`, or leave HostId out.",
                    property="HostId",
                    value=new.host,
                )
        _refuse_unknown(new, candidates)
        needs = needs_of(new, disks, PlacementStrategy(self._access.settings.placement))
        placement = place(candidates, needs)
        if placement.host is None:
            raise no_room(placement, needs)
        return placement


def _chosen(placement: Placement) -> tuple[Host, tuple[UUID, ...]]:
    assert placement.host is not None  # noqa: S101  _place raises where there is none
    return placement.host, placement.pools


def _limits_of_images(system: System) -> tuple[Limit, ...]:
    has_image = any(disk.image is not None or disk.image_digest is not None for disk in system.disks)
    return (limit_of(system.host_id),) if has_image else ()


def _joined(task: Task, request: Mapping[str, Any]) -> Accepted:
    if task.arguments["request"] != request:
        raise Conflict(
            "This idempotency key was used for another request; use a new key for each new request.", task=task.id
        )
    return Accepted(UUID(task.arguments["system_id"]), task)


def _refuse_unusable(new: NewSystem) -> None:
    """Refuses what no host could ever make."""
    if not SYSTEM_NAME.fullmatch(new.name):
        raise PropertyInvalidFormat(
            f"{new.name[:80]!r} cannot name a system: use 1 to 64 letters, digits, '.', '_' and '-'.",
            property="Name",
            value=new.name[:80],
        )
    for name, value in (("CPU", new.vcpus), ("MemoryMiB", new.memory_mib)):
        if value < 1:
            raise PropertyOutOfRange(f"{name} is {value}; ask for at least 1.", property=name, value=value)
    addresses = [item.mac_address.lower() for item in new.network_interfaces or () if item.mac_address is not None]
    for address in addresses:
        if addresses.count(address) > 1:
            raise PropertyConflict(
                f"The MAC address {address} is given to two network interfaces; each needs its own.",
                property="NetworkInterfaces",
                value=address,
            )


def _refuse_unknown(new: NewSystem, candidates: Sequence[Candidate]) -> None:
    """Refuses a pool, network or bridge that none of the hosts has: then it is the request that is wrong."""
    hosts = [item.host for item in candidates if item.host.facts is not None]
    if not hosts:
        return
    where = f"The host {hosts[0].name} has no" if new.host is not None else "No host has a"

    def refuse(path: str, kind: str, name: str, known: Iterable[str]) -> None:
        told = ", ".join(sorted(set(known))) or "none"
        raise PropertyConflict(f"{where} {kind} {name!r}; there are: {told}.", property=path, value=name)

    rooms = [room for item in candidates for room in item.pools]
    for position, disk in enumerate(new.disks):
        if disk.pool is not None and not any(is_named(room, disk.pool) for room in rooms):
            refuse(f"Disks/{position}/Pool", "storage pool", disk.pool, (room.name for room in rooms))
    networks = {name for host in hosts if host.facts is not None for name in host.facts.networks}
    bridges = {name for host in hosts if host.facts is not None for name in host.facts.bridges}
    for position, interface in enumerate(new.network_interfaces or ()):
        match interface.attachment:
            case NamedNetwork(name=name) if name not in networks:
                refuse(f"NetworkInterfaces/{position}/Network", "network", name, networks)
            case Bridge(name=name) if name not in bridges:
                refuse(f"NetworkInterfaces/{position}/Bridge", "bridge", name, bridges)


def needs_of(new: NewSystem, disks: Sequence[NewDisk], strategy: PlacementStrategy) -> PlacementRequest:
    """What a host must have for it."""
    attachments = [item.attachment for item in new.network_interfaces or ()]
    return PlacementRequest(
        vcpus=new.vcpus,
        memory_mib=new.memory_mib,
        disks=tuple(
            DiskNeed(
                capacity_bytes=disk.capacity_bytes or 0,
                pool=disk.pool,
                image=disk.image_digest,
                image_bytes=disk.image_bytes,
            )
            for disk in disks
        ),
        networks=frozenset(item.name for item in attachments if isinstance(item, NamedNetwork)),
        bridges=frozenset(item.name for item in attachments if isinstance(item, Bridge)),
        firmware=new.firmware,
        labels=new.placement.labels,
        strategy=new.placement.strategy or strategy,
    )


def new_system(uow: UnitOfWork, new: NewSystem, disks: Sequence[NewDisk], host: Host, pools: Sequence[UUID]) -> System:
    """What is asked for, as it will be recorded; whatever is to be made bears a name from here on."""
    assert host.facts is not None  # noqa: S101  only hosts that were probed are chosen
    firmware = new.firmware or (Firmware.UEFI if Firmware.UEFI in host.facts.firmwares else Firmware.BIOS)
    return System(
        id=new.id or uuid4(),
        name=new.name,
        host_id=host.id,
        host_name=host.name,
        vcpus=new.vcpus,
        memory_mib=new.memory_mib,
        firmware=firmware,
        description=new.description,
        asset_tag=new.asset_tag,
        labels=new.labels,
        disks=tuple(_new_disk(disk, position, pools[position]) for position, disk in enumerate(disks)),
        network_interfaces=_new_interfaces(uow, new.network_interfaces, host.facts),
    )


def _new_disk(disk: NewDisk, position: int, pool_id: UUID) -> SystemDisk:
    assert disk.capacity_bytes is not None  # noqa: S101  _prepare_disk has set both
    assert disk.format is not None  # noqa: S101
    volume = uuid4()
    return SystemDisk(
        id=f"disk{position + 1}-{volume.hex[:8]}",
        pool_id=pool_id,
        volume_name=f"{volume}{SUFFIXES[disk.format]}",
        capacity_bytes=disk.capacity_bytes,
        format=disk.format,
        bus=disk.bus,
        image=disk.image,
        image_digest=disk.image_digest,
    )


def _new_interfaces(
    uow: UnitOfWork, asked: tuple[NewNetworkInterface, ...] | None, facts: HostFacts
) -> tuple[SystemNetworkInterface, ...]:
    wanted = (NewNetworkInterface(),) if asked is None else asked
    made: list[SystemNetworkInterface] = []
    for position, item in enumerate(wanted):
        taken = {one.mac_address for one in made}
        made.append(
            SystemNetworkInterface(
                id=f"NIC{position + 1}",
                mac_address=(item.mac_address or _free_mac_address(uow, taken)).lower(),
                attachment=item.attachment or _first_attachment(facts),
                model=item.model,
            )
        )
    return tuple(made)


def _first_attachment(facts: HostFacts) -> NetworkAttachment:
    return NamedNetwork(name=facts.networks[0]) if facts.networks else UserMode()


def _free_mac_address(uow: UnitOfWork, taken: set[str]) -> str:
    """A random address that nobody has; the unique constraint has the last word."""
    for _ in range(MAC_ATTEMPTS):
        address = random_mac_address()
        if address not in taken and not uow.systems.has_mac_address(address):
            return address
    raise NotFound("No free MAC address was found; give one with MACAddress.", kind="MACAddress", id="")


def random_mac_address() -> str:
    """An address with the prefix of QEMU's; another may have it."""
    return ":".join([MAC_PREFIX, *(f"{byte:02x}" for byte in secrets.token_bytes(3))])


def _to_json(value: Any) -> Any:
    if is_dataclass(value):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
