"""The store of images: files on the service's machine that are named by the SHA-256 of what they hold.

    image-store/sha256/ab/abcdef...     whole contents, never changed
    image-store/partial/<key>           contents on their way; `<key>` is the id of a task or of an upload

A content appears by a rename within one file system, after it is safe on the disk: it is there whole or not at all. Files and the
rows that tell of them are brought together in transactions that hold the key `CATALOGUE`; see `services/images.py`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from hawkfish.errors import StorageFull
from hawkfish.locks import close_descriptor
from hawkfish.services.downloads import note_of

CATALOGUE = "images"
"""Whoever writes or judges what refers to a content holds this key (`UnitOfWork.serialize_on`), so that nothing is pruned that
another is just beginning to use."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class ImageStore:
    """The store.

    Args:
        folder: Where it lies; made when it is first needed.
        reserve_bytes: Room on its disk that it leaves to others, such as the database.
        name: What it is called where it is full.
        remedy: How room is made in it, as a whole sentence.
    """

    def __init__(
        self,
        folder: Path,
        *,
        reserve_bytes: int,
        name: str = "image store",
        remedy: str = "Free some with `hawkfish images prune`, or give it a larger disk.",
    ) -> None:
        self._folder = folder
        self._reserve = reserve_bytes
        self._name = name
        self._remedy = remedy

    # --- whole contents ------------------------------------------------------------------------------------------

    def path(self, digest: str) -> Path:
        """Where the content with that digest lies, if it is there."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no SHA-256")
        return self._folder / "sha256" / digest[:2] / digest

    def open(self, digest: str) -> BinaryIO:
        """Opens a content for reading.

        Raises:
            OSError: It is not there, which means that somebody else took it away.
        """
        return os.fdopen(os.open(self.path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")

    def digests(self) -> set[str]:
        """All contents that are there."""
        return {path.name for path in self._folder.glob("sha256/??/*") if _DIGEST.fullmatch(path.name)}

    def publish(self, key: str, digest: str) -> None:
        """Makes what was written as `key` the content `digest`; once more is success."""
        target = self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = self.partial(key)
        if partial.exists():
            partial.chmod(0o400)
            partial.replace(target)
        elif not target.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(partial))
        _sync_folder(target.parent)
        self.discard(key)

    def remove(self, digest: str) -> None:
        """Removes a content; an absent one is success."""
        self.path(digest).unlink(missing_ok=True)

    # --- contents on their way -----------------------------------------------------------------------------------

    def partial(self, key: str) -> Path:
        """Where a content is written before it is whole."""
        folder = self._folder / "partial"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / key

    def partials(self) -> set[str]:
        """Keys of all contents on their way."""
        return {path.name.removesuffix(".json") for path in self._folder.glob("partial/*")}

    def discard(self, key: str) -> None:
        """Removes what was written as `key`; nothing there is success."""
        partial = self.partial(key)
        note_of(partial).unlink(missing_ok=True)
        partial.unlink(missing_ok=True)

    def discard_abandoned(self, key: str) -> bool:
        """Removes an upload whose process has died; one that is still being written stays."""
        try:
            with self.partial(key).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.discard(key)
        except BlockingIOError:
            return False
        except FileNotFoundError:
            self.discard(key)
        return True

    def check_room(self, needed: int) -> None:
        """Refuses what would not leave the reserve free.

        Args:
            needed: Bytes that are still to be written.

        Raises:
            StorageFull: There is not that much room.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder).free - self._reserve
        if needed > free:
            raise StorageFull(
                f"The {self._name} in {self._folder} has {max(free, 0)} bytes left and {needed} are needed. {self._remedy}",
                pool=self._name,
                requested=needed,
                available=max(free, 0),
            )

    @contextlib.contextmanager
    def full_disk_told(self) -> Iterator[None]:
        """Turns the system's "no space left" into our error.

        Raises:
            StorageFull: The disk is full.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise StorageFull(
                f"The disk of the {self._name} in {self._folder} is full ({error.strerror}). {self._remedy}",
                pool=self._name,
                requested=0,
                available=0,
            ) from error


class PartialFile:
    """A content that is being written piece by piece, with its digest; locked, so that others see that it is alive."""

    def __init__(self, store: ImageStore, key: str) -> None:
        self._store = store
        self._path = store.partial(key)
        self._digest = hashlib.sha256()
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file: BinaryIO = os.fdopen(os.open(self._path, flags, 0o600), "wb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, piece: bytes) -> None:
        """Appends a piece.

        Raises:
            StorageFull: There is no room for it.
        """
        self._store.check_room(len(piece))
        with self._store.full_disk_told():
            view = memoryview(piece)
            while view:
                view = view[self._file.write(view) :]
        self._digest.update(piece)
        self.size += len(piece)

    def finish(self) -> str:
        """Makes it safe on the disk; gives its digest."""
        with self._store.full_disk_told():
            os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def close(self) -> None:
        """Lets go of the file, which stays."""
        self._file.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        close_descriptor(descriptor)
