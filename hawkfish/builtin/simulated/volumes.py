"""Host storage of a simulated host: real folders with real, sparse files. Called from threads, one call a pool at a time."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from hawkfish.builtin.simulated.world import World
from hawkfish.domain.storage import PoolDefinition, PoolKind, PoolStats, VolumeFacts, VolumeFormat, VolumeSpec
from hawkfish.errors import (
    AlreadyExists,
    BackendError,
    Conflict,
    ForeignObject,
    HawkFishError,
    InUse,
    InvalidRequest,
    NotFound,
    NotSupported,
    StorageFull,
)
from hawkfish.plugins.files import PARTIAL_SUFFIX, check_file_name, grow_qcow2, inspect_image, write_empty_qcow2

PIECE_BYTES = 1 << 20
MEASURED_SECONDS = 1.0
MEASURING_SHARE = 0.05  # of the time; a pool of thousands of files takes long to measure
AMPLE_BYTES = 16 << 30  # more than is written in that time
_WRITABLE_FORMATS = (VolumeFormat.RAW, VolumeFormat.QCOW2)


@dataclass(frozen=True, kw_only=True)
class PoolRecord:
    """A pool as the state file keeps it."""

    definition: PoolDefinition
    active: bool = False


@dataclass(kw_only=True)
class Upload:
    """A content on its way into a volume; the volume keeps its old one until all of it is here."""

    pool: str
    name: str
    path: Path
    length: int
    done: int = 0


class HostVolumes:
    """Pools and volumes of one host."""

    def __init__(self, host: str, world: World) -> None:
        self._host = host
        self._world = world
        self._pools: dict[str, PoolRecord] = dict(world.store.pools(host, PoolRecord))
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()
        self._measured: dict[str, tuple[float, int]] = {}  # until when it holds, and what was available
        for record in self._pools.values():
            for left_over in Path(record.definition.target).glob(f".*{PARTIAL_SUFFIX}"):
                left_over.unlink(missing_ok=True)

    # --- pools -------------------------------------------------------------------------------------------------------

    def define_pool(self, definition: PoolDefinition) -> None:
        """Records the pool, or finds it recorded the same way."""
        if definition.kind is not PoolKind.DIRECTORY:
            raise NotSupported(
                f"The simulated host {self._host} has no {definition.kind.value} storage; use a pool of the type dir.",
                operation="define_pool",
            )
        with self._lock:
            known = self._pools.get(definition.name)
            if known is None:
                self._keep(PoolRecord(definition=definition))
            elif known.definition != definition:
                raise ForeignObject(
                    f"The simulated host {self._host} has another pool {definition.name} at {known.definition.target}; "
                    "choose another name.",
                    operation="define_pool",
                    host=self._host,
                )

    def start_pool(self, name: str) -> None:
        """Makes the folder."""
        record = self._record(name)
        with _operating("start the pool", name, self._host):
            Path(record.definition.target).mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock:
            self._keep(PoolRecord(definition=record.definition, active=True))

    def stop_pool(self, name: str) -> None:
        """Marks the pool as stopped; an absent one is success."""
        with self._lock:
            record = self._pools.get(name)
            if record is not None:
                self._keep(PoolRecord(definition=record.definition))

    def remove_pool(self, name: str) -> None:
        """Forgets the pool; its files stay."""
        with self._lock:
            self._pools.pop(name, None)
            self._world.store.forget_pool(self._host, name)

    def pool_stats(self, name: str) -> PoolStats:
        """The size the host's setting says, and what the files really take."""
        folder = self._folder(name)
        capacity = self._world.settings[self._host].storage_gib * 2**30
        with _operating("measure the pool", name, self._host):
            allocated = sum(entry.stat().st_blocks * 512 for entry in os.scandir(folder) if entry.is_file())
        allocated = min(allocated, capacity)
        return PoolStats(capacity_bytes=capacity, allocated_bytes=allocated, available_bytes=capacity - allocated)

    def pool_path(self, name: str) -> str:
        """The pool's folder."""
        return str(self._record(name).definition.target)

    # --- volumes -----------------------------------------------------------------------------------------------------

    def list_volumes(self, pool: str) -> tuple[VolumeFacts, ...]:
        """Every file of the folder that is not hidden."""
        folder = self._folder(pool)
        with _operating("list the pool", pool, self._host):
            names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file() and entry.name[0] != ".")
        found = (_facts(folder / name) for name in names)
        return tuple(facts for facts in found if facts is not None)

    def find_volume(self, pool: str, name: str) -> VolumeFacts | None:
        """One volume, found by its name alone."""
        with _operating(f"look at {name} in the pool", pool, self._host):
            return _facts(self._path(pool, name))

    def create_volume(self, pool: str, spec: VolumeSpec) -> VolumeFacts:
        """Makes an empty sparse file; one of that name, size and format is success."""
        if spec.format not in _WRITABLE_FORMATS:
            raise NotSupported(
                f"The simulated host {self._host} makes raw and qcow2 volumes, not {spec.format.value}.",
                operation="create_volume",
            )
        path = self._path(pool, spec.name)
        known = self.find_volume(pool, spec.name)
        if known is not None:
            return self._same_or_refuse(pool, spec, known)
        self._check_room(pool, spec.capacity_bytes)

        def fill(stream: BinaryIO) -> None:
            if spec.format is VolumeFormat.QCOW2:
                write_empty_qcow2(stream, spec.capacity_bytes)
            else:
                stream.truncate(spec.capacity_bytes)

        self._put(pool, path, fill)
        return self._existing(pool, spec.name)

    def create_volumes(self, pool: str, specs: tuple[VolumeSpec, ...]) -> tuple[VolumeFacts, ...]:
        """Makes many; each is whole or absent, also where a later one fails."""
        return tuple(self.create_volume(pool, spec) for spec in specs)

    def find_volumes(self, pool: str, names: tuple[str, ...]) -> tuple[VolumeFacts | None, ...]:
        """Finds many by their names."""
        return tuple(self.find_volume(pool, name) for name in names)

    def delete_volume(self, pool: str, name: str) -> None:
        """Deletes the file; an absent one is success, one that a running machine uses is refused."""
        path = self._path(pool, name)
        self._check_unused(path)
        with _operating(f"delete {name} from the pool", pool, self._host):
            path.unlink(missing_ok=True)

    def resize_volume(self, pool: str, name: str, capacity_bytes: int) -> VolumeFacts:
        """Grows a volume that no running machine uses."""
        facts = self._existing(pool, name)
        if facts.capacity_bytes == capacity_bytes:
            return facts
        self._check_unused(Path(facts.path))
        return self._grow(pool, facts, capacity_bytes)

    def grow_file(self, path: str, capacity_bytes: int) -> None:
        """Grows the file of an attached disk, as QEMU does; a file that is large enough already is success."""
        facts = _facts(Path(path))
        if facts is None:
            raise NotFound(f"There is no file {path} on {self._host}.", kind="Volume", id=path)
        if facts.capacity_bytes != capacity_bytes:
            self._grow(str(Path(path).parent), facts, capacity_bytes)

    def clone_volume(self, pool: str, source: str, spec: VolumeSpec) -> VolumeFacts:
        """Copies a volume, holes included, and grows the copy to the size asked for."""
        facts = self._existing(pool, source)
        if spec.format is not facts.format:
            raise NotSupported(
                f"The simulated host {self._host} copies {source} as {facts.format.value}; it does not convert.",
                operation="clone_volume",
            )
        if spec.capacity_bytes < facts.capacity_bytes:
            raise Conflict(f"The copy of {source} needs at least {facts.capacity_bytes} bytes; ask for as many.")
        known = self.find_volume(pool, spec.name)
        if known is not None:
            return self._same_or_refuse(pool, spec, known)
        self._check_room(pool, spec.capacity_bytes)

        def fill(stream: BinaryIO) -> None:
            with Path(facts.path).open("rb") as original:
                _copy_sparse(original, stream)
            if spec.capacity_bytes > facts.capacity_bytes:
                _grow_stream(stream, facts.format, spec.capacity_bytes)

        self._put(pool, self._path(pool, spec.name), fill)
        return self._existing(pool, spec.name)

    # --- content -----------------------------------------------------------------------------------------------------

    def begin_upload(self, pool: str, name: str, length: int) -> str:
        """Opens an upload of `length` bytes and gives its id."""
        facts = self._existing(pool, name)
        self._check_unused(Path(facts.path))
        if facts.format is VolumeFormat.RAW and length > facts.capacity_bytes:
            raise Conflict(f"{name} has room for {facts.capacity_bytes} bytes, not for {length}; make a larger volume.")
        upload = Upload(pool=pool, name=name, path=_partial(Path(facts.path)), length=length)
        with _operating(f"write to {name} in the pool", pool, self._host):
            upload.path.touch(mode=0o600)
        upload_id = str(uuid4())
        self._uploads[upload_id] = upload
        return upload_id

    def write_upload(self, upload_id: str, blob: bytes) -> int:
        """Appends a piece and gives the number of bytes done."""
        upload = self._upload(upload_id)
        if upload.done + len(blob) > upload.length:
            raise InvalidRequest(f"More than the announced {upload.length} bytes were sent for {upload.name}.")
        with (
            _operating(f"write to {upload.name} in the pool", upload.pool, self._host),
            upload.path.open("r+b") as stream,
        ):
            stream.seek(upload.done)
            stream.write(blob)
        upload.done += len(blob)
        return upload.done

    def finish_upload(self, upload_id: str) -> None:
        """Puts the content in place, if all of it came and it is what the volume's format says."""
        upload = self._upload(upload_id)
        try:
            if upload.done != upload.length:
                raise InvalidRequest(
                    f"{upload.done} of {upload.length} bytes came for {upload.name}; send all of them."
                )
            self._place(upload)
        finally:
            self.drop_upload(upload_id)

    def drop_upload(self, upload_id: str) -> None:
        """Forgets an upload; the volume keeps its old content."""
        upload = self._uploads.pop(upload_id, None)
        if upload is not None:
            upload.path.unlink(missing_ok=True)

    def read_volume(self, pool: str, name: str, offset: int, limit: int) -> bytes:
        """A piece of the file; empty at its end."""
        facts = self._existing(pool, name)
        with _operating(f"read {name} in the pool", pool, self._host), Path(facts.path).open("rb") as stream:
            stream.seek(offset)
            return stream.read(min(limit, PIECE_BYTES))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _place(self, upload: Upload) -> None:
        facts = self._existing(upload.pool, upload.name)
        self._check_unused(Path(facts.path))
        with _operating(f"write to {upload.name} in the pool", upload.pool, self._host):
            if facts.format is VolumeFormat.RAW:
                os.truncate(upload.path, facts.capacity_bytes)
            found = inspect_image(upload.path)
            if found.format is not facts.format:
                raise InvalidRequest(
                    f"The content for {upload.name} is a {found.format.value} image and the volume is "
                    f"{facts.format.value}; make a volume of that format.",
                    reason="wrong format",
                )
            upload.path.replace(facts.path)

    def _upload(self, upload_id: str) -> Upload:
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise NotFound(f"There is no upload {upload_id}; begin again.", kind="Upload", id=upload_id)
        return upload

    def _keep(self, record: PoolRecord) -> None:
        self._pools[record.definition.name] = record
        self._world.store.save_pool(self._host, record.definition.name, record)

    def _record(self, pool: str) -> PoolRecord:
        record = self._pools.get(pool)
        if record is None:
            raise NotFound(
                f"The simulated host {self._host} has no pool {pool}; define it first.", kind="Pool", id=pool
            )
        return record

    def _folder(self, pool: str) -> Path:
        record = self._record(pool)
        if not record.active:
            raise BackendError(
                f"The pool {pool} on {self._host} is not started; start it first.",
                operation="use the pool",
                host=self._host,
                reason="not started",
            )
        return Path(record.definition.target)

    def _path(self, pool: str, name: str) -> Path:
        return self._folder(pool) / check_file_name(name)

    def _existing(self, pool: str, name: str) -> VolumeFacts:
        facts = self.find_volume(pool, name)
        if facts is None:
            raise NotFound(f"The pool {pool} on {self._host} has no volume {name}.", kind="Volume", id=name)
        return facts

    def _same_or_refuse(self, pool: str, spec: VolumeSpec, known: VolumeFacts) -> VolumeFacts:
        if (known.capacity_bytes, known.format) == (spec.capacity_bytes, spec.format):
            return known
        raise AlreadyExists(
            f"The pool {pool} on {self._host} has another volume {spec.name} of {known.capacity_bytes} bytes "
            f"({known.format.value}); choose another name.",
            kind="Volume",
            property="Name",
            value=spec.name,
        )

    def _check_room(self, pool: str, wanted: int) -> None:
        available = self._available(pool, wanted)
        if wanted > available:
            raise StorageFull(
                f"The pool {pool} on {self._host} has {available} bytes, not {wanted}; use a larger pool.",
                pool=pool,
                requested=wanted,
                available=available,
            )

    def _available(self, pool: str, wanted: int) -> int:
        """What is free, measured anew only where that may matter: to measure is to look at every file of the pool."""
        until, available = self._measured.get(pool, (0.0, 0))
        began = time.monotonic()
        if began > until or available < 2 * wanted + AMPLE_BYTES:
            available = self.pool_stats(pool).available_bytes
            ended = time.monotonic()
            self._measured[pool] = (ended + max(MEASURED_SECONDS, (ended - began) / MEASURING_SHARE), available)
        return available

    def _check_unused(self, path: Path) -> None:
        users = tuple(self._world.open_files.get(str(path), ()))
        if users:
            by = sorted(f"{machine} on {host}" for host, machine in users)
            raise InUse(
                f"{path} is in use by the running machine {', '.join(by)}; power it off or detach it first.", by=by
            )

    def _grow(self, pool: str, facts: VolumeFacts, capacity_bytes: int) -> VolumeFacts:
        if capacity_bytes < facts.capacity_bytes:
            raise Conflict(f"{facts.name} has {facts.capacity_bytes} bytes and is never shrunk to {capacity_bytes}.")
        with _operating(f"grow {facts.name} in the pool", pool, self._host), Path(facts.path).open("r+b") as stream:
            _grow_stream(stream, facts.format, capacity_bytes)
        grown = _facts(Path(facts.path))
        return facts if grown is None else grown

    def _put(self, pool: str, path: Path, fill: Callable[[BinaryIO], None]) -> None:
        """Fills a hidden file and gives it its name at once, so that a volume is whole or absent."""
        partial = _partial(path)
        try:
            with _operating(f"make {path.name} in the pool", pool, self._host):
                with partial.open("x+b") as stream:
                    fill(stream)
                os.link(partial, path)  # unlike a rename it never replaces what is there
        finally:
            partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{uuid4()}{PARTIAL_SUFFIX}")


def _facts(path: Path) -> VolumeFacts | None:
    try:
        status = path.stat()
        image = inspect_image(path)
        kind, capacity = image.format, image.virtual_bytes
    except FileNotFoundError:
        return None
    except HawkFishError:
        # Not an image that we would take; to whoever lists the folder it is a file of so many bytes.
        kind, capacity = VolumeFormat.RAW, status.st_size
    return VolumeFacts(
        name=path.name, capacity_bytes=capacity, allocated_bytes=status.st_blocks * 512, format=kind, path=str(path)
    )


def _grow_stream(stream: BinaryIO, kind: VolumeFormat, capacity_bytes: int) -> None:
    if kind is VolumeFormat.QCOW2:
        grow_qcow2(stream, capacity_bytes)
    elif kind is VolumeFormat.RAW:
        stream.truncate(capacity_bytes)
    else:
        raise NotSupported(f"A simulated host does not grow {kind.value} volumes.", operation="resize_volume")


def _copy_sparse(source: BinaryIO, target: BinaryIO) -> None:
    """Copies the data and skips the holes."""
    end = os.fstat(source.fileno()).st_size
    target.truncate(end)
    for start, stop in _data_ranges(source.fileno(), end):
        source.seek(start)
        target.seek(start)
        left = stop - start
        while left and (piece := source.read(min(left, PIECE_BYTES))):
            target.write(piece)
            left -= len(piece)
    target.flush()


def _data_ranges(descriptor: int, end: int) -> Iterator[tuple[int, int]]:
    position = 0
    while position < end:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:
            return  # nothing but a hole until the end
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, position


@contextmanager
def _operating(doing: str, pool: str, host: str) -> Iterator[None]:
    """Turns what the operating system refuses into our errors."""
    try:
        yield
    except FileExistsError as error:
        raise AlreadyExists(
            f"Cannot {doing} {pool} on {host}: {error.filename2 or error.filename} exists already.",
            kind="File",
            property="Name",
            value=str(error.filename2 or error.filename),
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"Cannot {doing} {pool} on {host}: {error.strerror}; free some space.", pool=pool
            ) from error
        raise BackendError(
            f"Cannot {doing} {pool} on {host}: {error.strerror}.",
            operation=doing,
            host=host,
            reason=str(error.strerror),
        ) from error
