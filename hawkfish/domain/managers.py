"""Managers: what stands in the place of a system's BMC, which is this service itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hawkfish.domain.systems import System


@dataclass(frozen=True, kw_only=True)
class Manager:
    """The manager of a system.

    Attributes:
        service_identification: What tells this service from others, in the words of its administrators; the same for all
            managers, since all of them are the service. Empty where nobody has said anything.
    """

    system: System
    service_identification: str


class ManagerResetType(StrEnum):
    """What the Reset action of a manager may ask for (a part of Resource.ResetType)."""

    GRACEFUL_RESTART = "GracefulRestart"
    FORCE_RESTART = "ForceRestart"


@dataclass(frozen=True, kw_only=True)
class Address:
    """An address of a network interface, and how much of it names its network.

    Attributes:
        netmask: Of IPv4, such as `255.255.255.0`.
        prefix_length: The same as a number of bits.
    """

    address: str
    netmask: str
    prefix_length: int


@dataclass(frozen=True, kw_only=True)
class ServiceInterface:
    """A network interface of the machine that the API runs on, under which clients reach it.

    Attributes:
        mac_address: None where it has none, as the loopback interface.
        speed_mbps: None where the operating system does not know it.
    """

    name: str
    up: bool
    mtu: int
    mac_address: str | None = None
    speed_mbps: int | None = None
    ipv4: tuple[Address, ...] = ()
    ipv6: tuple[Address, ...] = ()
