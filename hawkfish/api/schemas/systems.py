"""Bodies of requests to Systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, post_load, validates_schema

from hawkfish.api.schemas.base import ActionSchema, PatchSchema, StrictSchema
from hawkfish.api.schemas.fields import (
    REQUIRED,
    Choice,
    Items,
    Labels,
    MacAddress,
    Part,
    Text,
    Truth,
    Uuid,
    Whole,
    refuse,
)
from hawkfish.domain.boot import BOOT_MODES, BOOT_TARGETS
from hawkfish.domain.machines import (
    Bridge,
    DiskBus,
    Firmware,
    NamedNetwork,
    NetworkInterfaceModel,
    UserMode,
)
from hawkfish.domain.placement import PlacementRule, PlacementStrategy
from hawkfish.domain.storage import VolumeFormat
from hawkfish.domain.systems import (
    BootOverrideEnabled,
    NewDisk,
    NewNetworkInterface,
    NewSystem,
    ResetType,
    SystemChanges,
)
from hawkfish.errors import PropertyConflict, PropertyMissing

GIB = 1024**3
LARGEST_DISK_GIB = 64 * 1024
LARGEST_MEMORY_MIB = 16 * 1024 * 1024
MOST_CPUS = 512
MOST_DISKS = 26
MOST_NETWORK_INTERFACES = 28
MOST_BOOT_OPTIONS = 256
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]*"
NAME_FORM = "letters, digits, '.', '_' and '-', the first of them a letter or digit"

STRATEGIES = {"Spread": PlacementStrategy.SPREAD, "Pack": PlacementStrategy.PACK}


def name_field(**options: Any) -> Text:
    """The name of a system or a host."""
    return Text(data_key="Name", least=1, most=64, pattern=NAME_PATTERN, form=NAME_FORM, **options)


def image_reference() -> Text:
    """An image of the catalogue."""
    return Text(data_key="ImageId", least=1, most=64, pattern=NAME_PATTERN, form="the id or the name of an image")


def _description() -> Text:
    return Text(data_key="Description", most=1024)


def _asset_tag() -> Text:
    return Text(data_key="AssetTag", most=256, allow_none=True)


class DiskSchema(StrictSchema):
    """An entry of `Disks`."""

    capacity_bytes = Whole(data_key="CapacityBytes", least=1024 * 1024, most=LARGEST_DISK_GIB * GIB)
    capacity_gib = Whole(data_key="CapacityGiB", least=1, most=LARGEST_DISK_GIB)
    image = Text(
        data_key="Image", least=1, most=4096, pattern=r"[^\x00-\x1f\x7f]+", form="a path without control characters"
    )
    image_id = image_reference()
    format = Choice(VolumeFormat, data_key="Format")
    bus = Choice(DiskBus, data_key="Bus")
    pool = Text(data_key="Pool", least=1, most=128, pattern=r"[^\x00-\x1f\x7f]+", form="the name or id of a pool")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> NewDisk:
        """Makes the domain value."""
        gib = values.pop("capacity_gib", None)
        if gib is not None and "capacity_bytes" in values:
            raise refuse(PropertyConflict, "CapacityGiB", "stands beside CapacityBytes; send one of them", gib)
        if gib is not None:
            values["capacity_bytes"] = gib * GIB
        if "image" in values and "image_id" in values:
            raise refuse(PropertyConflict, "ImageId", "stands beside Image; send one of them", values["image_id"])
        if not values.keys() & {"image", "image_id", "capacity_bytes"}:
            rule = "is absent; a disk needs CapacityGiB or CapacityBytes, or an ImageId whose size it takes"
            raise refuse(PropertyMissing, "CapacityGiB", rule)
        return NewDisk(**values)


class NetworkInterfaceSchema(StrictSchema):
    """An entry of `NetworkInterfaces`."""

    network = Text(data_key="Network", least=1, most=64, pattern=r"[A-Za-z0-9._-]+", form="the name of a network")
    bridge = Text(data_key="Bridge", least=1, most=15, pattern=r"[A-Za-z0-9._-]+", form="the name of a bridge")
    vlan = Whole(data_key="VLANId", least=1, most=4094)
    user_mode = Truth(data_key="UserMode")
    mac_address = MacAddress(data_key="MACAddress")
    model = Choice(NetworkInterfaceModel, data_key="Model")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> NewNetworkInterface:
        """Makes the domain value."""
        network, bridge = values.pop("network", None), values.pop("bridge", None)
        user_mode, vlan = values.pop("user_mode", False), values.pop("vlan", None)
        if sum([network is not None, bridge is not None, user_mode]) > 1:
            raise refuse(
                PropertyConflict, "Network", "stands beside another; send one of Network, Bridge and UserMode", network
            )
        if vlan is not None and bridge is None:
            raise refuse(PropertyConflict, "VLANId", "goes with Bridge only", vlan)
        if network is not None:
            values["attachment"] = NamedNetwork(name=network)
        elif bridge is not None:
            values["attachment"] = Bridge(name=bridge, vlan=vlan)
        elif user_mode:
            values["attachment"] = UserMode()
        return NewNetworkInterface(**values)


class PlacementSchema(StrictSchema):
    """The object `Placement` of a new system: what is asked of its host."""

    labels = Labels(data_key="Labels")
    strategy = Choice(STRATEGIES, data_key="Strategy")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> PlacementRule:
        """Makes the domain value."""
        return PlacementRule(**values)


class NewSystemSchema(StrictSchema):
    """The body of POST to Systems; loads what is asked for, and whether the answer is only to say where it would go."""

    name = name_field(required=True)
    id = Uuid(data_key="UUID")
    profile = Text(data_key="ProfileId", least=1, most=64, pattern=NAME_PATTERN, form="the id or the name of a profile")
    profile_revision = Whole(data_key="ProfileRevision", least=1, most=2**31 - 1)
    vcpus = Whole(data_key="CPU", least=1, most=MOST_CPUS)
    memory_mib = Whole(data_key="MemoryMiB", least=16, most=LARGEST_MEMORY_MIB)
    disk_gib = Whole(data_key="DiskGiB", least=1, most=LARGEST_DISK_GIB)
    image_id = image_reference()
    firmware = Choice(Firmware, data_key="Firmware")
    disks = Items(Part(DiskSchema), data_key="Disks", most=MOST_DISKS)
    network_interfaces = Items(Part(NetworkInterfaceSchema), data_key="NetworkInterfaces", most=MOST_NETWORK_INTERFACES)
    host = Text(data_key="HostId", least=1, most=64, pattern=NAME_PATTERN, form="the id or the name of a host")
    placement = Part(PlacementSchema, data_key="Placement")
    dry_run = Truth(data_key="DryRun")
    labels = Labels(data_key="Labels")
    power_on = Truth(data_key="PowerOn")
    description = _description()
    asset_tag = _asset_tag()

    # Also where other properties are wrong: all that is wrong is said at once.
    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def demand_sizes(self, _values: dict[str, Any], body: Mapping[str, Any], **_: Any) -> None:
        """Without a profile the sizes must be given."""
        missing = [name for name in ("CPU", "MemoryMiB") if name not in body]
        if missing and "ProfileId" not in body:
            raise ValidationError({name: [REQUIRED] for name in missing})

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> tuple[NewSystem, bool]:
        """Makes the domain value; `DiskGiB` and `ImageId` are short for the first disk."""
        disks = tuple(values.pop("disks", ()))
        dry_run = values.pop("dry_run", False)
        gib, image_id = values.pop("disk_gib", None), values.pop("image_id", None)
        if gib is not None or image_id is not None:
            disks = (NewDisk(capacity_bytes=None if gib is None else gib * GIB, image_id=image_id), *disks)
        if "network_interfaces" in values:
            values["network_interfaces"] = tuple(values["network_interfaces"])
        values["asset_tag"] = values.get("asset_tag") or ""
        return NewSystem(disks=disks, **values), dry_run


def boot_reference() -> Text:
    """A boot option, as a boot order names it."""
    return Text(least=1, most=64, pattern=r"[!-~]+", form="the BootOptionReference of a boot option")


class BootSchema(StrictSchema):
    """The object `Boot` of a PATCH."""

    read_only = frozenset({"BootOptions", "BootNext", "Certificates", "BootSourceOverrideTargets"})

    boot_enabled = Choice(BootOverrideEnabled, data_key="BootSourceOverrideEnabled")
    boot_device = Choice(BOOT_TARGETS, data_key="BootSourceOverrideTarget")
    firmware = Choice(BOOT_MODES, data_key="BootSourceOverrideMode")
    boot_order = Items(boot_reference(), data_key="BootOrder", most=MOST_BOOT_OPTIONS)


class HawkFishSystemSchema(StrictSchema):
    """The object `Oem.HawkFish` of a PATCH."""

    read_only = frozenset(
        {
            "Host",
            "HostName",
            "Project",
            "State",
            "Failure",
            "Stale",
            "Observed",
            "Differences",
            "ObservedAt",
            "Firmware",
            "Disks",
            "NetworkInterfaces",
            "Profile",
            "ProfileRevision",
            "SerialLogURI",
            "Driver",
        }
    )

    labels = Labels(data_key="Labels")
    vcpus = Whole(data_key="CPU", least=1, most=MOST_CPUS)
    memory_mib = Whole(data_key="MemoryMiB", least=16, most=LARGEST_MEMORY_MIB)


class OemSystemSchema(StrictSchema):
    """The object `Oem` of a PATCH."""

    hawkfish = Part(HawkFishSystemSchema, data_key="HawkFish")


class SystemPatchSchema(PatchSchema):
    """The body of PATCH on a System."""

    read_only = frozenset(
        {
            "UUID",
            "SystemType",
            "Manufacturer",
            "Model",
            "SerialNumber",
            "PowerState",
            "ProcessorSummary",
            "MemorySummary",
            "HostName",
            "Name",
        }
    )

    description = _description()
    asset_tag = _asset_tag()
    boot = Part(BootSchema, data_key="Boot")
    oem = Part(OemSystemSchema, data_key="Oem")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> SystemChanges:
        """Makes the domain value."""
        if values.get("asset_tag", "") is None:
            values["asset_tag"] = ""
        boot = values.pop("boot", {})
        oem = values.pop("oem", {}).get("hawkfish", {})
        if "boot_order" in boot:
            boot["boot_order"] = tuple(boot["boot_order"])
        return SystemChanges(boot_device_given="boot_device" in boot, **values, **boot, **oem)


class ResetSchema(ActionSchema):
    """The parameters of ComputerSystem.Reset."""

    action: ClassVar[str] = "ComputerSystem.Reset"

    reset_type = Choice(ResetType, data_key="ResetType", required=True)

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> ResetType:
        """Makes the domain value."""
        reset_type: ResetType = values["reset_type"]
        return reset_type
