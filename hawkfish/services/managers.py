"""The verbs of managers: what the service itself is to a client that sees it as a system's BMC."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from uuid import UUID

import psutil

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.managers import Address, ManagerResetType, ServiceInterface
from hawkfish.domain.messages import MANAGER_RESET
from hawkfish.services.access import Access

NO_MAC_ADDRESS = "00:00:00:00:00:00"


class ManagerService:
    """Managers."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

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
