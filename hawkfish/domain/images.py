"""Images: what disks are made from, as their users see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from hawkfish.domain.storage import VolumeFormat


class ImageState(StrEnum):
    """The life of an image's record."""

    AWAITING = "AwaitingContent"
    """Its content is still to be uploaded."""
    FETCHING = "Fetching"
    """A task downloads or copies its content."""
    AVAILABLE = "Available"


@dataclass(frozen=True, kw_only=True)
class ImageContent:
    """Content in the store, known by its SHA-256; several images may have the same. Sizes in bytes.

    Attributes:
        format: What it really is, by its bytes.
        virtual_bytes: Size of a disk that is made from it.
        file_bytes: Size of the file.
    """

    digest: str
    format: VolumeFormat
    virtual_bytes: int
    file_bytes: int


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of the catalogue.

    Attributes:
        url: Where it was downloaded from; None for one that was uploaded or copied.
        local_path: The file on the service's machine that it was copied from.
        verify_certificate: Whether the server at `url` has to prove who it is.
        expected_digest: The SHA-256 that its content has to have; None for any.
        content: None until it is AVAILABLE.
    """

    id: UUID
    name: str
    state: ImageState
    description: str = ""
    url: str | None = None
    local_path: str | None = None
    verify_certificate: bool = True
    expected_digest: str | None = None
    content: ImageContent | None = None
    created_at: datetime | None = None
    created_by: str = ""
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """An image that is asked for; with neither `url` nor `local_path` its content is uploaded later."""

    name: str
    description: str = ""
    url: str | None = None
    local_path: str | None = None
    verify_certificate: bool = True
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class KnownDownload:
    """What is known of a URL since it was last downloaded.

    Attributes:
        etag: As the server gave it; None if it gave none.
        last_modified: The same.
        fetched_at: When the download ended.
    """

    digest: str
    etag: str | None
    last_modified: str | None
    fetched_at: datetime


@dataclass(frozen=True, kw_only=True)
class ImageCopy:
    """The copy of a content on a pool of a host, from which disks there are cloned.

    Attributes:
        ready: Whether it is whole.
    """

    digest: str
    pool_id: UUID
    host_id: UUID
    volume_name: str
    ready: bool = False
