"""BIOS attributes: what a virtual machine really has of a server's set-up menu, in names and values that clients set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hawkfish.domain.machines import BootDevice, Firmware, FirmwareSetup, NestedVirtualisation
from hawkfish.domain.systems import System

REGISTRY = "HawkFishBiosAttributeRegistry.v1_0_0"

BOOT_MODE, CPU_MODEL, NESTED_VIRTUALIZATION, NETWORK_BOOT = (
    "BootMode",
    "CpuModel",
    "NestedVirtualization",
    "NetworkBoot",
)
ENABLED, DISABLED = "Enabled", "Disabled"
BOOT_MODES: Mapping[str, Firmware] = MappingProxyType({"Uefi": Firmware.UEFI, "LegacyBios": Firmware.BIOS})


@dataclass(frozen=True, kw_only=True)
class BiosAttribute:
    """What the registry says of an attribute.

    Attributes:
        values: What it can be, each with a description; empty where that depends on the host.
        default: What resetting the BIOS makes of it; None where that leaves it as it is, or depends on the host.
    """

    name: str
    title: str
    help: str
    values: Mapping[str, str]
    default: str | None = None


BIOS_ATTRIBUTES: tuple[BiosAttribute, ...] = (
    BiosAttribute(
        name=BOOT_MODE,
        title="Boot mode",
        help="The firmware that the system starts with; the same as Boot.BootSourceOverrideMode of the system. "
        "Resetting the BIOS leaves it as it is, since what is installed needs it.",
        values={"Uefi": "UEFI", "LegacyBios": "BIOS"},
    ),
    BiosAttribute(
        name=CPU_MODEL,
        title="Processor model",
        help="What the system's processors are like. The models that the host offers are in Oem.HawkFish.CPUModels of "
        "the system's Bios; the first of them is the usual one.",
        values={},
    ),
    BiosAttribute(
        name=NESTED_VIRTUALIZATION,
        title="Nested virtualization",
        help="Whether the system's processors can run virtual machines themselves. Present where the host can tell them.",
        values={"Auto": "As the processor model has it", ENABLED: "They can", DISABLED: "They cannot"},
        default="Auto",
    ),
    BiosAttribute(
        name=NETWORK_BOOT,
        title="Network boot",
        help="Whether the firmware tries network interfaces. Present where the system has one.",
        values={ENABLED: "In their place in the boot order", DISABLED: "Only where a boot override asks for it"},
        default=ENABLED,
    ),
)


def attributes_of(system: System, firmware: Firmware, setup: FirmwareSetup) -> dict[str, str]:
    """The attributes that a system has, with the values that stand for a firmware and its set-up."""
    values = {BOOT_MODE: next(name for name, mode in BOOT_MODES.items() if mode is firmware)}
    if system.cpu_models:
        values[CPU_MODEL] = setup.cpu_model or system.cpu_models[0]
    if system.nests:
        values[NESTED_VIRTUALIZATION] = setup.nested_virtualisation.value
    if BootDevice.NETWORK in system.boot_devices:
        values[NETWORK_BOOT] = ENABLED if setup.network_boot else DISABLED
    return values


def present_attributes(system: System) -> dict[str, str]:
    """The attributes as the machine has them."""
    return attributes_of(system, system.present_firmware, system.present_setup)


def future_attributes(system: System) -> dict[str, str]:
    """The attributes as the next start will have them."""
    return attributes_of(system, system.firmware, system.setup)


def allowed_values(system: System) -> dict[str, tuple[str, ...]]:
    """What each attribute of a system can be on its host."""
    modes = tuple(name for name, mode in BOOT_MODES.items() if mode in system.firmwares | {system.firmware})
    nested, switches = tuple(NestedVirtualisation), (ENABLED, DISABLED)
    every = {
        BOOT_MODE: modes,
        CPU_MODEL: system.cpu_models,
        NESTED_VIRTUALIZATION: tuple(item.value for item in nested),
        NETWORK_BOOT: switches,
    }
    return {name: every[name] for name in future_attributes(system)}
