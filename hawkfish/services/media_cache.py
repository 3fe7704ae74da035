"""The cache of images for virtual drives: contents by their SHA-256 on the service's machine, bounded in bytes.

What was not used for longest goes first, and never what a drive holds or is about to get. Files and the rows that tell of them are
brought together in transactions that hold the key `MEDIA`.
"""

from __future__ import annotations

from pathlib import Path

from hawkfish.db import UnitOfWork
from hawkfish.domain.machines import DriveKind
from hawkfish.domain.media import MediaContent, MediaSource
from hawkfish.domain.tasks import Limit
from hawkfish.errors import ImageRefused, StorageFull
from hawkfish.services.access import Access
from hawkfish.services.downloads import Validators, shown_url
from hawkfish.services.image_store import ImageStore
from hawkfish.services.images import remove_leftovers
from hawkfish.services.media_order import CLEAN, MEDIA_KINDS

MEDIA = "media"
"""Whoever writes or judges what needs a content holds this key (`UnitOfWork.serialize_on`)."""

SECTOR_BYTES = 2048
FIRST_SECTOR = 16
SECTORS = 64
RUN_OUT_SECTORS = 150
"""What copies of real discs may lack at the end."""
_CD = frozenset({b"CD001", b"NSR02", b"NSR03"})  # ECMA-119 8.1.2 (ISO 9660); ECMA-167 3/9.1 (UDF)
_PRIMARY = b"\x01CD001"
_BOOT_SECTOR = b"\x55\xaa"
_LOOKS = {
    b"QFI\xfb": "a qcow2 image",
    b"KDMV": "a VMDK image",
    b"\x1f\x8b": "a gzip file",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"PK\x03\x04": "a zip file",
    b"(\xb5/\xfd": "a zstd file",
}


def copies_at(host_id: object) -> Limit:
    """One task at a time writes or removes copies on a host, as its storage wants it."""
    return Limit(f"media-copies@{host_id}", 1)


class MediaCache:
    """The cache.

    Args:
        access: What all services share.
        store: Its files.
    """

    def __init__(self, access: Access, store: ImageStore) -> None:
        self._queue = access.queue
        self._database = access.database
        self._most_bytes = access.settings.media_cache_bytes
        self.store = store

    def known(self, source: MediaSource) -> Validators | None:
        """What the server of a source can be asked by whether its image has changed, if the cache has it."""
        if source.digest is None or not self.store.path(source.digest).is_file():
            return None
        if source.etag is None and source.last_modified is None:
            return None
        return Validators(etag=source.etag, last_modified=source.last_modified)

    def make_room(self, wanted: int, written: int = 0) -> None:
        """Has what nobody needs go until a content of `wanted` bytes, of which some are written already, has room.

        Raises:
            StorageFull: What is needed leaves no room for it.
        """
        while True:
            with self._database.read() as uow:
                total = uow.media.total_bytes()
            try:
                if total + wanted <= self._most_bytes:
                    self.store.check_room(wanted - written)
                    return
            except StorageFull:
                if not self._remove_oldest():
                    raise
                continue
            if not self._remove_oldest():
                raise StorageFull(
                    f"The cache of images for virtual drives holds {total} bytes that are inserted or about to be, and "
                    f"{wanted} more are wanted; it takes {self._most_bytes} (HF_MEDIA_CACHE_BYTES). Eject some, or raise it.",
                    pool="media cache",
                    requested=wanted,
                    available=max(0, self._most_bytes - total),
                )

    def _remove_oldest(self) -> bool:
        """Forgets the content that was not used for longest and then removes its file; a file without a row harms nobody."""

        def forget(uow: UnitOfWork) -> MediaContent | None:
            uow.serialize_on([MEDIA])
            content = uow.media.next_to_go(MEDIA_KINDS)
            if content is not None:
                for host_id in uow.media.remove_content(content.digest):
                    self._submit_clean(uow, str(host_id))
            return content

        content = self._database.run(forget)
        if content is not None:
            self._remove_file(content.digest)
        return content is not None

    def _submit_clean(self, uow: UnitOfWork, host_id: str) -> None:
        name = uow.hosts.get(host_id).name
        self._queue.submit(
            uow,
            CLEAN,
            title=f"Remove copies of images from {name}",
            actor="system",
            subject=f"host:{host_id}",
            arguments={"host_id": host_id},
            limits=[copies_at(host_id)],
        )

    def _remove_file(self, digest: str) -> None:
        def remove(uow: UnitOfWork) -> None:
            uow.serialize_on([MEDIA])  # whoever adds the same content anew does so before or after us
            if uow.media.content(digest) is None:
                self.store.remove(digest)

        self._database.run(remove)

    def purge(self) -> None:
        """Removes what downloads left behind whose process has died, and what nobody refers to any more; for the worker."""
        remove_leftovers(self._database, self.store)
        with self._database.read() as uow:
            files = self.store.digests() - uow.media.digests()
        for digest in sorted(files):
            self._remove_file(digest)
        self._database.run(lambda uow: uow.media.forget_sources(MEDIA_KINDS))


def check_digest(digest: str | None, wanted: str | None, url: str) -> None:
    """Refuses an image that is not the one that was meant.

    Args:
        digest: The SHA-256 that it has.
        wanted: The one that it must have; None where anything is taken.
        url: Where it comes from.

    Raises:
        ImageRefused: It has another.
    """
    if wanted is not None and digest != wanted:
        raise ImageRefused(
            f"{shown_url(url)} has the SHA-256 {digest}, and {wanted} was asked for: it is another image, or was changed on its "
            "way. Find out which of both is right before you ask again.",
            reason="wrong checksum",
        )


def judge_medium(path: Path, shown: str, kind: DriveKind) -> int:
    """Refuses what is no medium for a drive, or is not all of one; gives its size in bytes.

    Args:
        path: The file.
        shown: What it is called where it is refused.
        kind: What it is for: a USB stick may also hold what begins as a disk does (partitions, or a boot sector of FAT).

    Raises:
        ImageRefused: It is empty, cut off, or something else.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(512)
        file.seek(FIRST_SECTOR * SECTOR_BYTES)
        sectors = [file.read(SECTOR_BYTES) for _ in range(SECTORS)]
    volume = max(map(_volume_bytes, sectors))
    if size + RUN_OUT_SECTORS * SECTOR_BYTES < volume:
        raise ImageRefused(
            f"{shown} is cut off: it has {size} bytes, and says of itself that it has {volume}. Insert it again once its server has "
            "it whole.",
            reason="cut off",
        )
    marks = {sector[1:6] for sector in sectors}
    is_disk = head[510:512] == _BOOT_SECTOR and not head.startswith(tuple(_LOOKS))
    if marks & _CD or (kind is DriveKind.USB and is_disk):
        return size
    looks = "it is empty" if not size else f"it looks like {_looks_like(head)}"
    what = "no image of a CD or DVD" if kind is DriveKind.CD else "no image of a USB stick"
    forms = "ISO 9660 or UDF" if kind is DriveKind.CD else "a raw image of a disk, ISO 9660 or UDF"
    hint = "Give the address of an ISO file." if kind is DriveKind.CD else "Give the address of an .img or ISO file."
    raise ImageRefused(f"{shown} is {what} ({forms}): {looks}. {hint}", reason=what)


def _volume_bytes(sector: bytes) -> int:
    """The size that an ISO 9660 volume says it has (ECMA-119 8.4.8, 8.4.12); 0 where a sector says nothing of the kind."""
    if not sector.startswith(_PRIMARY) or len(sector) < SECTOR_BYTES:
        return 0
    blocks, backwards = int.from_bytes(sector[80:84], "little"), int.from_bytes(sector[84:88], "big")
    return blocks * int.from_bytes(sector[128:130], "little") if blocks == backwards else 0


def _looks_like(head: bytes) -> str:
    for magic, name in _LOOKS.items():
        if head.startswith(magic):
            return name
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a page of HTML"
    if head[510:512] == _BOOT_SECTOR:
        return "an image of a disk"
    return "something else"
