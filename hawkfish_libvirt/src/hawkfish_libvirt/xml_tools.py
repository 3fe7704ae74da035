"""Small helpers round ElementTree."""

from __future__ import annotations

from xml.etree import ElementTree as ET


def add(parent: ET.Element, tag: str, *, text: str | None = None, **attributes: str) -> ET.Element:
    """Appends an element."""
    element = ET.SubElement(parent, tag, attributes)
    if text is not None:
        element.text = text
    return element


def attribute(element: ET.Element, path: str, name: str) -> str | None:
    """An attribute of the first element at `path`, or None."""
    found = element.find(path)
    return found.get(name) if found is not None else None


def parse_text(text: str) -> ET.Element:
    """Parses XML that comes from libvirt, which is trusted and has no document type."""
    return ET.fromstring(text)  # noqa: S314  libvirt's own answer


def to_text(element: ET.Element) -> str:
    """The XML text of an element."""
    return ET.tostring(element, encoding="unicode")


_UNITS = {"b": 1 / 1024, "bytes": 1 / 1024, "KiB": 1, "k": 1, "MiB": 1024, "M": 1024, "GiB": 1024**2, "G": 1024**2}


def memory_kib(element: ET.Element | None) -> int:
    """What a `<memory>` element says, in KiB."""
    if element is None:
        return 0
    return int(int(element.text or "0") * _UNITS.get(element.get("unit", "KiB"), 1))
