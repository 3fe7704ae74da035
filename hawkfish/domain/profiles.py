"""Node profiles: named, versioned shapes that systems are made after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from hawkfish.domain.machines import Firmware
from hawkfish.domain.systems import NewNetworkInterface


@dataclass(frozen=True, kw_only=True)
class ProfileShape:
    """What a system made after the profile gets, unless its request says otherwise.

    Attributes:
        disk_gib: Size of the first disk in GiB; None for the size of the image, or for no disk where there is no image either.
        image_id: The image that the first disk is made from.
        network_interfaces: None means one of the kind that the host offers first, () means none.
    """

    vcpus: int
    memory_mib: int
    disk_gib: int | None = None
    firmware: Firmware | None = None
    image_id: UUID | None = None
    network_interfaces: tuple[NewNetworkInterface, ...] | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One revision of a profile. A revision never changes: a change makes the next one.

    Attributes:
        revision: Number of the revision, from 1.
        revision_count: How many there are; the last one is what new systems get.
        systems: Systems that were made after any revision.
        version: Of the profile's record; raised by each new revision.
    """

    id: UUID
    name: str
    description: str
    revision: int
    revision_id: UUID
    revision_count: int
    shape: ProfileShape
    systems: int = 0
    created_at: datetime | None = None
    created_by: str = ""
    version: int = 1
