"""Host storage by libvirt's storage API. A volume is looked up by name; a pool is listed only where its list is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO, TypeVar

import libvirt

from hawkfish.domain.storage import PoolDefinition, PoolStats, VolumeFacts, VolumeFormat, VolumeSpec
from hawkfish.errors import AlreadyExists, Conflict, ForeignObject, HostUnavailable, InvalidRequest, NotFound
from hawkfish.plugins.compute import HostStorage
from hawkfish.plugins.control import UNCONTROLLED, OperationControl
from hawkfish.plugins.files import check_file_name
from hawkfish_libvirt.calls import Beat
from hawkfish_libvirt.host import LibvirtHost
from hawkfish_libvirt.pool_xml import VolumeXml, build_pool, parse_pool

Result = TypeVar("Result")

_CHUNK = 1024 * 1024
_SECTOR = 512
_INCOMPLETE = (
    ".incomplete"  # an empty volume beside one that is being copied: a crash must not leave half a copy as a whole
)


class LibvirtStorage(HostStorage):
    """`HostStorage` of one host; the driver is one."""

    _host: LibvirtHost

    def define_pool(self, definition: PoolDefinition) -> None:
        """See `HostStorage`."""
        text = build_pool(definition)

        def run(raw: libvirt.virConnect) -> None:
            pool = lookup_pool(raw, definition.name)
            if pool is None:
                pool = self._define(raw, definition.target, text)
            elif parse_pool(pool.XMLDesc(0)) != definition:
                raise ForeignObject(
                    f"Pool {definition.name} exists on host {self._host.name} with another definition and was left alone. "
                    "Choose another name.",
                    operation="define pool",
                    host=self._host.name,
                    reason="another definition",
                )
            pool.setAutostart(1)

        self._call(f"Defining pool {definition.name}", run)

    def _define(self, raw: libvirt.virConnect, target: PurePosixPath, text: str) -> libvirt.virStoragePool:
        """Defines a pool; libvirt gives a folder to one pool only, and tells of it by the other's name alone."""
        try:
            return raw.storagePoolDefineXML(text, 0)
        except libvirt.libvirtError as error:
            holder = find_pool_at(raw, target)
            if holder is None:
                raise
            raise ForeignObject(
                f"Folder {target} of host {self._host.name} belongs to its pool {holder}, which was left alone. Choose another "
                f"folder; or, if nobody uses that pool any more (an installation that is gone left it), forget it there: "
                f"virsh pool-destroy {holder}; virsh pool-undefine {holder} (its files stay).",
                operation="define pool",
                host=self._host.name,
                reason=f"the folder belongs to pool {holder}",
            ) from error

    def start_pool(self, name: str) -> None:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect) -> None:
            pool = self._pool(raw, name)
            if pool.isActive():
                return
            try:
                pool.create(0)
            except libvirt.libvirtError:
                pool.build(0)  # most likely the folder does not exist; an existing one is not touched before
                pool.create(0)

        self._call(f"Starting pool {name}", run)

    def stop_pool(self, name: str) -> None:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect) -> None:
            pool = lookup_pool(raw, name)
            if pool is not None and pool.isActive():
                pool.destroy()

        self._call(f"Stopping pool {name}", run)

    def remove_pool(self, name: str) -> None:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect) -> None:
            pool = lookup_pool(raw, name)
            if pool is None:
                return
            if pool.isActive():
                pool.destroy()
            if pool.isPersistent():
                pool.undefine()

        self._call(f"Removing pool {name}", run)

    def pool_stats(self, name: str) -> PoolStats:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect) -> PoolStats:
            pool = self._active_pool(raw, name)
            refresh_pool(pool)
            _state, capacity, allocated, available = pool.info()
            return PoolStats(capacity_bytes=capacity, allocated_bytes=allocated, available_bytes=available)

        return self._call(f"Measuring pool {name}", run)

    def list_volumes(self, pool: str) -> tuple[VolumeFacts, ...]:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect) -> tuple[VolumeFacts, ...]:
            found = self._active_pool(raw, pool)
            refresh_pool(found)
            facts = [VolumeXml.parse(volume.XMLDesc(0)).facts() for volume in found.listAllVolumes(0)]
            return tuple(sorted(facts, key=lambda item: item.name))

        return self._call(f"Listing pool {pool}", run)

    def find_volume(self, pool: str, name: str) -> VolumeFacts | None:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect) -> VolumeFacts | None:
            volume = lookup_volume(self._active_pool(raw, pool), name)
            return _facts(volume) if volume is not None else None

        return self._call(f"Looking up volume {pool}/{name}", run)

    def create_volume(self, pool: str, spec: VolumeSpec) -> VolumeFacts:
        """See `HostStorage`."""
        if spec.capacity_bytes < 1:
            raise InvalidRequest(f"Volume {pool}/{spec.name} of {spec.capacity_bytes} bytes cannot be made; ask for 1.")
        return self.create_file(pool, spec)

    def create_file(self, pool: str, spec: VolumeSpec) -> VolumeFacts:
        """The same for a file that may be empty, as a log is at first."""
        check_file_name(spec.name)

        def run(raw: libvirt.virConnect) -> VolumeFacts:
            found = self._active_pool(raw, pool)
            volume = lookup_volume(found, spec.name)
            if volume is None:
                return _facts(found.createXML(VolumeXml.of(spec).build(), 0))
            facts = _facts(volume)
            if facts.format is spec.format and facts.capacity_bytes == _rounded(spec):
                return facts
            raise self._differs(pool, spec, facts)

        return self._call(f"Making volume {pool}/{spec.name}", run, subject=f"{pool}/{spec.name}")

    def delete_volume(self, pool: str, name: str) -> None:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect) -> None:
            found = self._active_pool(raw, pool)
            for each in (name, name + _INCOMPLETE):
                volume = lookup_volume(found, each)
                if volume is not None:
                    volume.delete(0)

        self._call(f"Deleting volume {pool}/{name}", run, subject=f"{pool}/{name}")

    def resize_volume(
        self, pool: str, name: str, capacity_bytes: int, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        """See `HostStorage`."""
        control.check()

        def run(raw: libvirt.virConnect) -> VolumeFacts:
            volume = self._volume(self._active_pool(raw, pool), pool, name)
            facts = _facts(volume)
            wanted = _rounded(VolumeSpec(name=name, capacity_bytes=capacity_bytes, format=facts.format))
            if wanted < facts.capacity_bytes:
                raise Conflict(
                    f"Volume {pool}/{name} has {facts.capacity_bytes} bytes and is not made smaller; ask for more."
                )
            if wanted > facts.capacity_bytes:
                volume.resize(wanted, 0)
            return _facts(volume)

        return self._call(f"Resizing volume {pool}/{name}", run, subject=f"{pool}/{name}")

    def clone_volume(
        self, pool: str, source: str, spec: VolumeSpec, control: OperationControl = UNCONTROLLED
    ) -> VolumeFacts:
        """See `HostStorage`. libvirt neither says how far it is nor stops in the middle."""
        check_file_name(spec.name)
        control.check()
        original = self.find_volume(pool, source)
        if original is None:
            raise self._no_volume(pool, source)
        seconds = self._host.timeout + original.allocated_bytes / (10 * 1024 * 1024)

        def run(raw: libvirt.virConnect, _beat: Beat) -> VolumeFacts:
            found = self._active_pool(raw, pool)
            marker = lookup_volume(found, spec.name + _INCOMPLETE)
            copy = lookup_volume(found, spec.name)
            if copy is not None and marker is None:
                facts = _facts(copy)
                if facts.format is spec.format and facts.capacity_bytes >= _rounded(spec):
                    return facts
                raise self._differs(pool, spec, facts)
            if copy is not None:
                copy.delete(0)
            if marker is None:
                sign = VolumeXml(name=spec.name + _INCOMPLETE, capacity_bytes=0, format=VolumeFormat.RAW.value)
                marker = found.createXML(sign.build(), 0)
            wanted = VolumeXml.of(spec)
            start = replace(wanted, capacity_bytes=original.capacity_bytes)
            copy = found.createXMLFrom(start.build(), self._volume(found, pool, source), 0)
            if _rounded(spec) > _facts(copy).capacity_bytes:
                copy.resize(_rounded(spec), 0)
            marker.delete(0)
            return _facts(copy)

        if spec.capacity_bytes < original.capacity_bytes:
            raise Conflict(
                f"A copy of {pool}/{source} needs at least its {original.capacity_bytes} bytes; ask for as many or more."
            )
        return self._host.storage.transfer(
            f"Copying volume {pool}/{source}", run, seconds, subject=f"{pool}/{spec.name}"
        )

    def upload_volume(
        self, pool: str, name: str, content: BinaryIO, length: int, control: OperationControl = UNCONTROLLED
    ) -> None:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect, beat: Beat) -> None:
            volume = self._volume(self._active_pool(raw, pool), pool, name)
            stream = raw.newStream()
            done = 0
            volume.upload(stream, 0, length)
            try:
                while done < length:
                    piece = _read(content, min(_CHUNK, length - done), f"{pool}/{name}")
                    send(stream, piece)
                    done += len(piece)
                    beat()
                    control.report(done)
                stream.finish()
            except BaseException:
                _abort(stream)
                raise

        self._host.storage.transfer(f"Writing volume {pool}/{name}", run, self._host.timeout, subject=f"{pool}/{name}")

    def download_volume(self, pool: str, name: str) -> Iterator[bytes]:
        """See `HostStorage`."""

        def begin(raw: libvirt.virConnect) -> libvirt.virStream:
            volume = self._volume(self._active_pool(raw, pool), pool, name)
            stream = raw.newStream()
            volume.download(stream, 0, 0)
            return stream

        operation = f"Reading volume {pool}/{name}"
        stream = self._call(operation, begin)
        ended = False
        try:
            while piece := self._call(operation, lambda _raw: receive(stream, _CHUNK)):
                yield piece
            ended = True
            self._call(operation, lambda _raw: stream.finish())
        finally:
            if not ended and self._host.storage.is_up:
                self._call(operation, lambda _raw: _abort(stream))

    def pool_path(self, pool: str) -> str:
        """See `HostStorage`."""

        def run(raw: libvirt.virConnect) -> str:
            definition = parse_pool(self._pool(raw, pool).XMLDesc(0))
            if definition is None:
                raise Conflict(f"Pool {pool} on host {self._host.name} has no folder.")
            return str(definition.target)

        return self._call(f"Looking up pool {pool}", run)

    def read_volume(self, pool: str, name: str, offset: int, length: int) -> bytes:
        """A part of a volume; empty beyond its end."""

        def run(raw: libvirt.virConnect) -> bytes:
            volume = lookup_volume(self._active_pool(raw, pool), name)
            size = _facts(volume).capacity_bytes if volume is not None else 0
            first = max(size + offset, 0) if offset < 0 else offset
            wanted = min(length, size - first)
            if volume is None or wanted <= 0:
                return b""
            stream = raw.newStream()
            volume.download(stream, first, wanted)
            data = receive(stream, wanted)
            stream.finish()
            return data

        return self._call(f"Reading volume {pool}/{name}", run)

    def _call(
        self, operation: str, function: Callable[[libvirt.virConnect], Result], *, subject: str | None = None
    ) -> Result:
        return self._host.storage.call(operation, function, self._host.timeout, subject=subject)

    def _pool(self, raw: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
        pool = lookup_pool(raw, name)
        if pool is None:
            raise NotFound(
                f"Host {self._host.name} has no pool {name}; attach the pool to the host.", kind="pool", id=name
            )
        return pool

    def _active_pool(self, raw: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
        pool = self._pool(raw, name)
        if not pool.isActive():
            raise HostUnavailable(
                f"Pool {name} of host {self._host.name} is stopped; start it.",
                operation="storage",
                host=self._host.name,
                reason="the pool is stopped",
            )
        return pool

    def _volume(self, found: libvirt.virStoragePool, pool: str, name: str) -> libvirt.virStorageVol:
        volume = lookup_volume(found, name)
        if volume is None:
            raise self._no_volume(pool, name)
        return volume

    def _no_volume(self, pool: str, name: str) -> NotFound:
        return NotFound(f"Pool {pool} of host {self._host.name} has no volume {name}.", kind="volume", id=name)

    def _differs(self, pool: str, spec: VolumeSpec, facts: VolumeFacts) -> AlreadyExists:
        return AlreadyExists(
            f"Pool {pool} has a volume {spec.name} of {facts.capacity_bytes} bytes in {facts.format.value}, not of "
            f"{spec.capacity_bytes} in {spec.format.value}; choose another name or delete it.",
            kind="volume",
            property="name",
            value=spec.name,
        )


def lookup_pool(raw: libvirt.virConnect, name: str) -> libvirt.virStoragePool | None:
    """The pool; None if there is none of that name."""
    try:
        return raw.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return None
        raise


def find_pool_at(raw: libvirt.virConnect, target: PurePosixPath) -> str | None:
    """The name of the pool that has a folder."""
    for pool in raw.listAllStoragePools(0):
        found = parse_pool(pool.XMLDesc(0))
        if found is not None and found.target == target:
            return found.name
    return None


def lookup_volume(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """The volume; None if libvirt knows none of that name there."""
    if "\0" in name:
        return None  # libvirt would look for what stands before it
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def _facts(volume: libvirt.virStorageVol) -> VolumeFacts:
    return VolumeXml.parse(volume.XMLDesc(0)).facts()


def _rounded(spec: VolumeSpec) -> int:
    """qcow2 counts in sectors."""
    if spec.format is VolumeFormat.RAW:
        return spec.capacity_bytes
    return -(-spec.capacity_bytes // _SECTOR) * _SECTOR


def refresh_pool(pool: libvirt.virStoragePool) -> None:
    """Has libvirt look at what is there."""
    try:
        pool.refresh(0)
    except libvirt.libvirtError as error:
        # A transfer is running in the pool; what libvirt knows already has to do.
        if "asynchronous jobs" not in (error.get_error_message() or ""):
            raise


def read_whole(raw: libvirt.virConnect, volume: libvirt.virStorageVol, most: int) -> bytes:
    """The content of a small volume, at most so many bytes of it."""
    stream = raw.newStream()
    volume.download(stream, 0, 0)
    try:
        data = receive(stream, most)
        if len(data) == most:
            _abort(stream)
        else:
            stream.finish()
    except BaseException:
        _abort(stream)
        raise
    return data


def write_at(raw: libvirt.virConnect, volume: libvirt.virStorageVol, offset: int, data: bytes) -> None:
    """Writes into the middle of a volume."""
    stream = raw.newStream()
    volume.upload(stream, offset, len(data))
    try:
        send(stream, data)
        stream.finish()
    except BaseException:
        _abort(stream)
        raise


def _read(content: BinaryIO, length: int, volume: str) -> bytes:
    piece = content.read(length)
    if not piece:
        raise Conflict(f"The content for volume {volume} ended before the length that was announced; send it again.")
    return piece


def send(stream: libvirt.virStream, data: bytes) -> None:
    """Sends all of it."""
    view = memoryview(data)
    while view:
        sent = stream.send(bytes(view))
        view = view[sent:]


def receive(stream: libvirt.virStream, length: int) -> bytes:
    """Receives that much, or less where the stream ends before."""
    pieces = []
    missing = length
    while missing and (piece := stream.recv(min(missing, 262144))):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _abort(stream: libvirt.virStream) -> None:
    try:
        stream.abort()
    except libvirt.libvirtError:
        return  # it has failed already, which is why it is aborted
