"""Virtual media: images from a server of the user's choice, in the drives of systems."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import urlsplit
from uuid import UUID

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import DriveSpec
from hawkfish.domain.systems import System

MOST_NAME = 128


@dataclass(frozen=True, kw_only=True)
class MediaRequest:
    """An image that is to be inserted.

    Attributes:
        image: Its URL.
        user_name: What its server is told, with `password`.
        verify_certificate: Whether that server has to prove who it is; None as the drive says.
        sha256: What the content must have, in hexadecimal; None where anything is taken.
    """

    image: str
    user_name: str | None = None
    password: str | None = field(default=None, repr=False)
    verify_certificate: bool | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class MediaSource:
    """A URL as it is asked for with one login, and what is known of it since it was last fetched.

    Attributes:
        key: What tells it from others; its address cannot be read from it.
        sealed_password: The password, not readable without the installation's key; kept until it was used.
        digest: SHA-256 of what was fetched last, if the cache still has it.
        etag: As the server gave it.
        last_modified: The same.
    """

    key: str
    url: str
    user_name: str | None = None
    sealed_password: str | None = field(default=None, repr=False)
    verify_certificate: bool = True
    digest: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    fetched_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class MediaContent:
    """A content of the cache, by its SHA-256."""

    digest: str
    file_bytes: int


@dataclass(frozen=True, kw_only=True)
class MediaCopy:
    """The copy of a content on a host.

    Attributes:
        ready: Whether it is whole.
    """

    digest: str
    host_id: UUID
    ready: bool = False


@dataclass(frozen=True, kw_only=True)
class DriveMedia:
    """A drive, and what is or will be in it.

    Attributes:
        accepted: What was asked for last; None for nothing. It may still be on its way.
        held: What was inserted last, by us; None for nothing.
        held_digest: The content of `held`.
        task_id: The task that brings `accepted` into the drive; None once that is done, or has failed.
        verify_certificate: Whether servers of images have to prove who they are.
    """

    system_id: UUID
    drive: DriveSpec
    accepted: MediaSource | None = None
    held: MediaSource | None = None
    held_digest: str | None = None
    task_id: str | None = None
    verify_certificate: bool = True
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class MediaView:
    """A drive as it is shown: what was accepted for it and is still on its way, else what the hypervisor says of it."""

    system: System
    media: DriveMedia

    @property
    def drive(self) -> DriveSpec:
        """The drive."""
        return self.media.drive

    @property
    def in_flight(self) -> bool:
        """Whether what was accepted is still on its way."""
        return self.media.task_id is not None

    @property
    def source(self) -> MediaSource | None:
        """The image that was asked for or inserted; None for none, and for what others have put there."""
        if self.in_flight:
            return self.media.accepted
        return self.media.held if self._holds_ours else None

    @property
    def inserted(self) -> bool:
        """Whether what is shown is in the drive."""
        if not self.in_flight:
            return self._holds_ours or self.foreign is not None
        wanted, held = self.media.accepted, self.media.held
        return wanted is not None and held is not None and wanted.url == held.url and self._holds_ours

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the image of ours that is in the drive; None for none, and while another is on its way."""
        return self.media.held_digest if self.inserted and self._holds_ours else None

    @property
    def foreign(self) -> str | None:
        """The file in the drive that others have put there; None for none."""
        return None if self.in_flight or self._holds_ours else self._found

    @property
    def _holds_ours(self) -> bool:
        """Whether what we inserted is still there; also where the hypervisor was not asked since."""
        digest = self.media.held_digest
        if digest is None:
            return False
        known = self.system.observed is not None and self.drive.id in dict(self.system.observed.media)
        return not known or (self._found is not None and PurePosixPath(self._found).name == file_name(digest))

    @property
    def _found(self) -> str | None:
        return None if self.system.observed is None else dict(self.system.observed.media).get(self.drive.id)


def file_name(digest: str) -> str:
    """What the copy of a content is called on every host."""
    return f"{digest}.iso"


def image_name(url: str) -> str:
    """What an image is called: the last part of its address."""
    name = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    return name[:MOST_NAME] or "image"


def drives_of(system: System) -> tuple[DriveSpec, ...]:
    """The drives of a system whose media can be changed: none where its host cannot do that."""
    needed = {ComputeCapability.MEDIA, ComputeCapability.HOST_STORAGE}
    return system.drives if needed <= system.capabilities else ()
