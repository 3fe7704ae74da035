"""`<source>` of a disk, and its translation from and to `ConnectionInfo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from hawkfish.domain.storage import BlockDevice, ConnectionInfo, FilePath, NetworkDisk
from hawkfish.errors import NotSupported
from hawkfish_libvirt.xml_tools import add

_LOCAL = {"file": "file", "block": "dev"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a disk's bytes are.

    Attributes:
        xml_type: libvirt's disk type: `file`, `block` or `network` (others are read, never written).
        place: Path, or name at a server.
    """

    xml_type: str
    place: str
    protocol: str | None = None
    host: str | None = None
    port: int | None = None

    @property
    def text(self) -> str:
        """For people."""
        if self.xml_type != "network":
            return self.place
        return f"{self.protocol}://{self.host or ''}{f':{self.port}' if self.port else ''}/{self.place}"


def build_source(source: Source) -> ET.Element:
    """The `<source>` element."""
    if source.xml_type in _LOCAL:
        return ET.Element("source", {_LOCAL[source.xml_type]: source.place})
    element = ET.Element("source", {"protocol": source.protocol or "", "name": source.place})
    if source.host:
        add(element, "host", name=source.host, **({"port": str(source.port)} if source.port else {}))
    return element


def parse_source(disk: ET.Element) -> Source | None:
    """The source of a `<disk>`; None for an empty drive."""
    element, xml_type = disk.find("source"), disk.get("type", "file")
    if element is None:
        return None
    if xml_type in _LOCAL:
        place = element.get(_LOCAL[xml_type])
        return Source(xml_type=xml_type, place=place) if place else None
    if xml_type == "network":
        host = element.find("host")
        port = host.get("port") if host is not None else None
        return Source(
            xml_type=xml_type,
            place=element.get("name", ""),
            protocol=element.get("protocol"),
            host=host.get("name") if host is not None else None,
            port=int(port) if port else None,
        )
    return Source(xml_type=xml_type, place=element.get("volume") or element.get("dir") or xml_type)


def source_of(connection: ConnectionInfo) -> Source:
    """What a pool plugin answered, in libvirt's terms.

    Raises:
        NotSupported: It needs a secret, which this driver does not hand to libvirt yet.
    """
    match connection:
        case FilePath(path=path):
            return Source(xml_type="file", place=str(path))
        case BlockDevice(path=path):
            return Source(xml_type="block", place=str(path))
        case NetworkDisk(secret=None):
            return Source(
                xml_type="network",
                place=connection.name,
                protocol=connection.protocol,
                host=connection.host,
                port=connection.port,
            )
        case _:
            raise NotSupported(
                "Network disks that need a secret cannot be attached by the libvirt driver; use a pool without one.",
                operation="attach",
            )


def connection_of(source: Source) -> ConnectionInfo | None:
    """The reverse of `source_of`, as far as it has a meaning for pools."""
    if source.xml_type == "file":
        return FilePath(path=PurePosixPath(source.place))
    if source.xml_type == "block":
        return BlockDevice(path=PurePosixPath(source.place))
    if source.xml_type == "network" and source.protocol and source.host:
        return NetworkDisk(protocol=source.protocol, name=source.place, host=source.host, port=source.port or 0)
    return None
