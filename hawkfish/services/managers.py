"""The verbs of managers: what the service itself is to a client that sees it as a system's BMC."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from uuid import UUID

import psutil

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.managers import Address, Manager, ManagerResetType, ServiceInterface
from hawkfish.domain.messages import MANAGER_RESET, RESOURCE_CHANGED
from hawkfish.domain.pages import EVERYTHING, Page, PageRequest
from hawkfish.domain.systems import System
from hawkfish.errors import PreconditionFailed
from hawkfish.services.access import Access
from hawkfish.services.preconditions import refuse_other_version

NO_MAC_ADDRESS = "00:00:00:00:00:00"
SERVICE_IDENTIFICATION = "installation:service_identification"


class ManagerService:
    """Managers."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    # --- what they show ------------------------------------------------------------------------------------------

    def page(self, actor: Actor, wanted: PageRequest = EVERYTHING) -> Page[Manager]:
        """Managers in the order of the names of their systems."""
        self._access.authorize(actor, "managers.read")
        with self._database.read() as uow:
            found, text = uow.systems.page(wanted), uow.accounts.service_identification()
        items = [Manager(system=system, service_identification=text) for system in found.items]
        return Page(items=items, total=found.total, next_after=found.next_after)

    def get(self, actor: Actor, system_id: UUID | str) -> Manager:
        """The manager of a system.

        Raises:
            NotFound: There is no such system.
        """
        self._access.authorize(actor, "managers.read", f"system:{system_id}")
        with self._database.read() as uow:
            text = uow.accounts.service_identification()
            return Manager(system=uow.systems.get(system_id), service_identification=text)

    def service_identification(self) -> str:
        """What the service root shows of it, to whoever asks: what tells this service from others must be seen before a login."""
        with self._database.read() as uow:
            return uow.accounts.service_identification()

    def quick_service_identification(self) -> str | None:
        """As `service_identification`, where that can be told without waiting; else None."""
        return self._database.quick.service_identification()

    # --- what is done with them ----------------------------------------------------------------------------------

    def update(self, actor: Actor, system_id: UUID, text: str, expected: Manager | None = None) -> None:
        """Writes the ServiceIdentification of all managers; no system is touched by it.

        Args:
            actor: Who asks.
            system_id: The system whose manager was asked.
            text: What it is to be; empty for nothing.
            expected: The manager as the caller has seen it, where nothing else may be overwritten.

        Raises:
            NotFound: There is no such system.
            PreconditionFailed: The manager is not what was expected.
        """
        subject = f"system:{system_id}"
        self._access.authorize(actor, "managers.update", subject)

        def write(uow: UnitOfWork) -> None:
            uow.serialize_on([SERVICE_IDENTIFICATION])
            system, found = uow.systems.get(system_id), uow.accounts.service_identification()
            if expected is not None:
                _refuse_other(system, found, expected)
            if found == text:
                return
            uow.accounts.write_service_identification(text)
            uow.systems.tell(RESOURCE_CHANGED, system_id, actor=actor.user_name)
            self._access.audit.record(uow, actor, "managers.update", subject, changed=["service_identification"])

        self._database.run(write)

    def reset(self, actor: Actor, system_id: UUID, reset_type: ManagerResetType) -> None:
        """Resets the manager of a system: the sessions of the account that asks end, and it must log in again.

        All managers are this one service, which goes on: neither machines nor tasks nor the sessions of other accounts are
        touched.

        Raises:
            NotFound: There is no such system.
        """
        subject = f"system:{system_id}"
        self._access.authorize(actor, "managers.reset", subject)

        def write(uow: UnitOfWork) -> None:
            system = uow.systems.get(system_id)
            ended = 0 if actor.account_id is None else uow.sessions.end_all(actor.account_id, actor=actor.user_name)
            uow.systems.write(system_id, manager_reset_at=uow.now())
            uow.systems.tell(MANAGER_RESET, system_id, system.name, reset_type, actor=actor.user_name)
            self._access.audit.record(
                uow, actor, "managers.reset", subject, reset_type=reset_type, sessions_ended=ended
            )

        self._database.run(write)

    def host_name(self, actor: Actor) -> str:
        """The name of the machine that the API runs on."""
        self._access.authorize(actor, "managers.read")
        return socket.gethostname()

    def interfaces(self, actor: Actor) -> tuple[ServiceInterface, ...]:
        """The network interfaces under whose addresses the API listens, by name."""
        self._access.authorize(actor, "managers.read")
        return listening_interfaces(self._access.settings.host)


def _refuse_other(system: System, found: str, expected: Manager) -> None:
    refuse_other_version(system, expected.system.version)
    if found != expected.service_identification:
        raise PreconditionFailed(
            f"The ServiceIdentification of the manager of {system.name} was changed by another; read it again.",
            kind="Manager",
            id=str(system.id),
        )


def listening_interfaces(host: str) -> tuple[ServiceInterface, ...]:
    """The interfaces of this machine that have an address on which something bound to `host` is reached, by name.

    Args:
        host: An address or a name; the unspecified address (0.0.0.0 or ::) or nothing means all.
    """
    states = psutil.net_if_stats()
    wanted = _addresses_of(host)
    found = []
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        own = [item for item in addresses if item.family in {socket.AF_INET, socket.AF_INET6}]
        if name not in states or not any(wanted is None or _plain(item.address) in wanted for item in own):
            continue
        mac_addresses = [item.address.lower() for item in addresses if item.family == psutil.AF_LINK]
        found.append(
            ServiceInterface(
                name=name,
                up=states[name].isup,
                mtu=states[name].mtu,
                mac_address=next((item for item in mac_addresses if item != NO_MAC_ADDRESS), None),
                speed_mbps=states[name].speed or None,
                ipv4=tuple(_address(item.address, item.netmask) for item in own if item.family == socket.AF_INET),
                ipv6=tuple(_address(item.address, item.netmask) for item in own if item.family == socket.AF_INET6),
            )
        )
    return tuple(found)


def _addresses_of(host: str) -> Sequence[str] | None:
    """The addresses that a name stands for; None for all of the machine's."""
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104  compared, not bound
        return None
    try:
        return [_plain(str(item[4][0])) for item in socket.getaddrinfo(host, None)]
    except OSError:
        return []


def _plain(address: str) -> str:
    """Without the interface that an address of one link alone bears."""
    return address.partition("%")[0]


def _address(address: str, netmask: str | None) -> Address:
    plain = _plain(address)
    whole = ipaddress.ip_address(plain).max_prefixlen
    bits = whole if netmask is None else int(ipaddress.ip_address(netmask)).bit_count()
    return Address(address=plain, netmask=netmask or "255.255.255.255", prefix_length=bits)
