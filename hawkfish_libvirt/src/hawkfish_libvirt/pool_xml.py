"""libvirt's XML of pools and volumes as objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from hawkfish.domain.storage import PoolDefinition, PoolKind, VolumeFacts, VolumeFormat, VolumeSpec
from hawkfish.errors import NotSupported
from hawkfish_libvirt.xml_tools import add, attribute, parse_text, to_text

_TYPES = {PoolKind.DIRECTORY: "dir"}
_KINDS = {name: kind for kind, name in _TYPES.items()}

# QEMU's user must be able to pass through the folder to its own files, and nobody needs to list it.
_FOLDER_MODE = "0711"
_FILE_MODE = "0600"


def build_pool(definition: PoolDefinition) -> str:
    """The XML of a pool.

    Raises:
        NotSupported: This driver does not keep pools of that kind.
    """
    if definition.kind not in _TYPES:
        raise NotSupported(
            f"Pools of kind {definition.kind.value!r} cannot be kept by libvirt hosts yet; use a directory pool.",
            operation="define pool",
        )
    root = ET.Element("pool", type=_TYPES[definition.kind])
    add(root, "name", text=definition.name)
    target = add(root, "target")
    add(target, "path", text=str(definition.target))
    add(add(target, "permissions"), "mode", text=_FOLDER_MODE)
    return to_text(root)


def parse_pool(text: str) -> PoolDefinition | None:
    """Reads a pool; None if it is of a kind that this driver does not keep."""
    root = parse_text(text)
    kind = _KINDS.get(root.get("type", ""))
    if kind is None:
        return None
    return PoolDefinition(
        name=root.findtext("name", ""), kind=kind, target=PurePosixPath(root.findtext("target/path", "/"))
    )


@dataclass(frozen=True, kw_only=True)
class VolumeXml:
    """A `<volume>`; `format` is libvirt's word."""

    name: str
    capacity_bytes: int
    format: str
    allocated_bytes: int = 0
    path: str = ""

    @classmethod
    def of(cls, spec: VolumeSpec) -> VolumeXml:
        """The volume that is asked for."""
        return cls(name=spec.name, capacity_bytes=spec.capacity_bytes, format=spec.format.value)

    def build(self) -> str:
        """The XML of a new volume without space of its own yet."""
        root = ET.Element("volume", type="file")
        add(root, "name", text=self.name)
        add(root, "capacity", text=str(self.capacity_bytes), unit="bytes")
        add(root, "allocation", text="0", unit="bytes")
        target = add(root, "target")
        add(target, "format", type=self.format)
        add(add(target, "permissions"), "mode", text=_FILE_MODE)
        if self.format == VolumeFormat.QCOW2.value:
            add(target, "compat", text="1.1")
        return to_text(root)

    @classmethod
    def parse(cls, text: str) -> VolumeXml:
        """Reads libvirt's answer; its sizes are in bytes."""
        root = parse_text(text)
        return cls(
            name=root.findtext("name", ""),
            capacity_bytes=int(root.findtext("capacity", "0")),
            allocated_bytes=int(root.findtext("allocation", "0")),
            format=attribute(root, "target/format", "type") or VolumeFormat.RAW.value,
            path=root.findtext("target/path", ""),
        )

    def facts(self) -> VolumeFacts:
        """For pool plugins. What libvirt knows by another name (`iso`, `dir`, ...) is bytes to us."""
        known = {item.value for item in VolumeFormat}
        return VolumeFacts(
            name=self.name,
            capacity_bytes=self.capacity_bytes,
            allocated_bytes=self.allocated_bytes,
            format=VolumeFormat(self.format) if self.format in known else VolumeFormat.RAW,
            path=self.path,
        )
