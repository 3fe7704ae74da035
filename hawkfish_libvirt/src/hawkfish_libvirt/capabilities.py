"""What libvirt says of a host: its capabilities XML and those of its emulator, as objects."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from hawkfish_libvirt.xml_tools import attribute, parse_text


@dataclass(frozen=True, kw_only=True)
class HostCapabilities:
    """The parts of `virConnectGetCapabilities` that matter here; `qemu_user` is the numeric user of QEMU processes."""

    uuid: str
    architecture: str
    cpu_model: str
    guest_types: frozenset[str]
    qemu_user: int | None

    @classmethod
    def parse(cls, text: str) -> HostCapabilities:
        """Reads the XML."""
        root = parse_text(text)
        architecture = root.findtext("host/cpu/arch", "")
        guests = root.findall(f"guest/arch[@name='{architecture}']/domain")
        return cls(
            uuid=root.findtext("host/uuid", ""),
            architecture=architecture,
            cpu_model=root.findtext("host/cpu/model", ""),
            guest_types=frozenset(guest.get("type", "") for guest in guests),
            qemu_user=_qemu_user(text),
        )


def _qemu_user(text: str) -> int | None:
    for model in parse_text(text).findall("host/secmodel"):
        if model.findtext("model") == "dac":
            label = model.findtext("baselabel") or ""
            user = label.split(":")[0].lstrip("+")
            return int(user) if user.isdecimal() else None
    return None


@dataclass(frozen=True, kw_only=True)
class EmulatorCapabilities:
    """The parts of `virConnectGetDomainCapabilities` that matter here.

    Attributes:
        cpu_models: Named models that processors of guests can be here.
        nested_feature: The feature that lets guests run guests, where they can have it.
        raw_variables: Whether the variables of its UEFI are kept in a plain file.
        secure_boot: Whether a firmware is installed that can refuse what is not signed.
        usb_disks: Whether disks can hang on USB.
    """

    emulator: str
    machine_type: str
    uefi: bool
    cpu_modes: frozenset[str]
    cpu_models: tuple[str, ...]
    nested_feature: str | None
    raw_variables: bool
    secure_boot: bool
    usb_disks: bool

    @classmethod
    def parse(cls, text: str) -> EmulatorCapabilities:
        """Reads the XML."""
        root = parse_text(text)
        firmwares = [value.text for value in root.findall("os/enum[@name='firmware']/value")]
        modes = [mode.get("name", "") for mode in root.findall("cpu/mode") if mode.get("supported") == "yes"]
        return cls(
            emulator=root.findtext("path", ""),
            machine_type=root.findtext("machine", ""),
            uefi="efi" in firmwares,
            cpu_modes=frozenset(modes),
            cpu_models=tuple(
                sorted(
                    item.text or ""
                    for item in root.findall("cpu/mode[@name='custom']/model")
                    if item.get("usable") == "yes"
                )
            ),
            # Which of several a machine gets is libvirt's choice.
            raw_variables=all((value.text or "").endswith(".fd") for value in root.findall("os/loader/value")),
            secure_boot=any(item.text == "yes" for item in root.findall("os/loader/enum[@name='secure']/value")),
            usb_disks=any(item.text == "usb" for item in root.findall("devices/disk/enum[@name='bus']/value")),
            nested_feature=_nested_feature(root.find("cpu/mode[@name='host-model']")),
        )


def _nested_feature(host_model: ET.Element | None) -> str | None:
    """What the host's own model, as guests can have it, says of `vmx` and `svm`; models of AMD have the latter in themselves."""
    if host_model is None:
        return None
    policies = {item.get("name"): item.get("policy") for item in host_model.findall("feature")}
    if "vmx" in policies:
        return "vmx" if policies["vmx"] == "require" else None
    amd = host_model.findtext("vendor") == "AMD"
    return "svm" if policies.get("svm", "require" if amd else "") == "require" else None


def pool_path(text: str) -> str:
    """The folder in a pool's XML."""
    return parse_text(text).findtext("target/path", "")


def network_bridge(text: str) -> str | None:
    """The bridge in a network's XML."""
    return attribute(parse_text(text), "bridge", "name")


def is_bridge(text: str) -> bool:
    """Whether libvirt's description of a host's interface is a bridge's."""
    return parse_text(text).get("type") == "bridge"
