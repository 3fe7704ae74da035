"""Bodies of requests to Profiles."""

from __future__ import annotations

from typing import Any

from marshmallow import post_load

from hawkfish.api.schemas.base import PatchSchema, StrictSchema
from hawkfish.api.schemas.fields import Choice, Items, Labels, Part, Text, Whole
from hawkfish.api.schemas.systems import (
    LARGEST_DISK_GIB,
    LARGEST_MEMORY_MIB,
    MOST_CPUS,
    MOST_NETWORK_INTERFACES,
    NetworkInterfaceSchema,
    image_reference,
    name_field,
)
from hawkfish.domain.machines import Firmware

_SHOWN = frozenset({"Revision", "RevisionCount", "Systems", "Image", "CreatedAt", "CreatedBy"})


class ProfileInterfaceSchema(NetworkInterfaceSchema):
    """An entry of `NetworkInterfaces` of a profile; a MAC address belongs to one system."""

    class Meta(NetworkInterfaceSchema.Meta):
        """All but the address."""

        exclude = ("mac_address",)


class NewProfileSchema(StrictSchema):
    """The body of POST to Profiles."""

    read_only = _SHOWN

    name = name_field(required=True)
    description = Text(data_key="Description", most=1024)
    vcpus = Whole(data_key="CPU", least=1, most=MOST_CPUS, required=True)
    memory_mib = Whole(data_key="MemoryMiB", least=16, most=LARGEST_MEMORY_MIB, required=True)
    disk_gib = Whole(data_key="DiskGiB", least=1, most=LARGEST_DISK_GIB)
    firmware = Choice(Firmware, data_key="Firmware")
    image = image_reference()
    network_interfaces = Items(Part(ProfileInterfaceSchema), data_key="NetworkInterfaces", most=MOST_NETWORK_INTERFACES)
    labels = Labels(data_key="Labels")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Gives the values by the names of the domain."""
        if "network_interfaces" in values:
            values["network_interfaces"] = tuple(values["network_interfaces"])
        return values


class ProfilePatchSchema(PatchSchema):
    """The body of PATCH on a profile, which makes a new revision."""

    read_only = _SHOWN | {"Name"}

    description = Text(data_key="Description", most=1024)
    vcpus = Whole(data_key="CPU", least=1, most=MOST_CPUS)
    memory_mib = Whole(data_key="MemoryMiB", least=16, most=LARGEST_MEMORY_MIB)
    disk_gib = Whole(data_key="DiskGiB", least=1, most=LARGEST_DISK_GIB)
    firmware = Choice(Firmware, data_key="Firmware")
    image = image_reference()
    network_interfaces = Items(Part(ProfileInterfaceSchema), data_key="NetworkInterfaces", most=MOST_NETWORK_INTERFACES)
    labels = Labels(data_key="Labels")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Gives the values by the names of the domain."""
        if "network_interfaces" in values:
            values["network_interfaces"] = tuple(values["network_interfaces"])
        return values
