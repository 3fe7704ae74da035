"""What systems start from, in Redfish's words and in ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hawkfish.domain.machines import BootDevice, Firmware

BOOT_TARGETS: Mapping[str, BootDevice | None] = MappingProxyType(
    {
        "None": None,
        "Pxe": BootDevice.NETWORK,
        "Hdd": BootDevice.DISK,
        "Cd": BootDevice.CD,
        "Usb": BootDevice.USB,
        "Floppy": BootDevice.FLOPPY,
        "BiosSetup": BootDevice.SETUP,
    }
)
"""Redfish's words (ComputerSystem.BootSource) for what a system can be told to start from; None is the normal order."""

TARGET_OF: Mapping[BootDevice | None, str] = MappingProxyType({device: name for name, device in BOOT_TARGETS.items()})

BOOT_MODES: Mapping[str, Firmware] = MappingProxyType({"UEFI": Firmware.UEFI, "Legacy": Firmware.BIOS})
"""Redfish's words (ComputerSystem.BootSourceOverrideMode) for what starts a system."""

MODE_OF: Mapping[Firmware, str] = MappingProxyType({firmware: name for name, firmware in BOOT_MODES.items()})


@dataclass(frozen=True, kw_only=True)
class BootOption:
    """A device that a system can start from.

    Attributes:
        reference: The id of the disk, the drive or the network interface, by which the boot order names it. It stays as long
            as the device does.
        device: The group of devices that it belongs to.
    """

    reference: str
    device: BootDevice


def in_order(options: Sequence[BootOption], order: Iterable[str]) -> tuple[BootOption, ...]:
    """The options as `order` has them; those that it does not name follow as they are, and names of none are passed over."""
    by_reference = {option.reference: option for option in options}
    named = [by_reference[reference] for reference in dict.fromkeys(order) if reference in by_reference]
    return (*named, *(option for option in options if option not in named))


def same_order(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Whether two orders have those that both of them name in the same order."""
    both = set(wanted) & set(found)
    return [item for item in wanted if item in both] == [item for item in found if item in both]
