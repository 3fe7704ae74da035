"""Bodies of requests to Hosts and Pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import INCLUDE, post_load

from hawkfish.api.schemas.base import ActionSchema, PatchSchema, StrictSchema
from hawkfish.api.schemas.fields import Labels, Number, Part, Text, Truth, Whole
from hawkfish.api.schemas.systems import LARGEST_MEMORY_MIB, NAME_PATTERN, name_field
from hawkfish.domain.hosts import HostChanges

_PRINTABLE = r"[^\x00-\x1f\x7f]+"
LEAST_OVERCOMMIT, MOST_OVERCOMMIT = 0.1, 1000
MOST_RESERVED_VCPUS = 4096


class HostSettingsSchema(StrictSchema):
    """The object `Settings` of a PATCH: how much of the host may be given. What the driver was told stays as it was."""

    vcpu_overcommit = Number(data_key="VCPUOvercommit", least=LEAST_OVERCOMMIT, most=MOST_OVERCOMMIT, allow_none=True)
    memory_overcommit = Number(data_key="MemoryOvercommit", least=LEAST_OVERCOMMIT, most=MOST_OVERCOMMIT)
    reserved_vcpus = Whole(data_key="ReservedVCPUs", least=0, most=MOST_RESERVED_VCPUS)
    reserved_memory_mib = Whole(data_key="ReservedMemoryMiB", least=0, most=LARGEST_MEMORY_MIB)

    @classmethod
    def knows_read_only(cls, name: str) -> bool:  # noqa: ARG003  whatever it is called
        """All others are the driver's, and are given when the host is added."""
        return True


class NewHostSettingsSchema(HostSettingsSchema):
    """The object `Settings` of a POST; gives the limits, and apart from them what is for the driver to check."""

    class Meta:
        """What is not ours is the driver's."""

        unknown = INCLUDE

    @post_load(pass_original=True)
    def split(self, values: dict[str, Any], original: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Tells them apart by the names that were sent."""
        ours = {str(field.data_key): name for name, field in self.fields.items()}
        return {
            "limits": {name: values[name] for key, name in ours.items() if key in original},
            "settings": {key: value for key, value in original.items() if key not in ours},
        }


class NewHostSchema(StrictSchema):
    """The body of POST to Hosts."""

    read_only = frozenset({"State", "StateReason", "Facts", "Capacity", "Schedulable"})

    name = name_field(required=True)
    driver = Text(data_key="Driver", least=1, most=64, pattern=NAME_PATTERN, form="the name of a driver", required=True)
    uri = Text(data_key="URI", most=1024, pattern=_PRINTABLE, form="an address of the driver's own form", required=True)
    settings = Part(NewHostSettingsSchema, data_key="Settings")
    labels = Labels(data_key="Labels")
    pool_path = Text(data_key="PoolPath", least=1, most=4096, pattern=r"/[^\x00-\x1f\x7f]*", form="an absolute path")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Gives the arguments of `hosts.add`."""
        return {**values, **values.pop("settings", {})}


class HostPatchSchema(PatchSchema):
    """The body of PATCH on a host."""

    read_only = frozenset(
        {"Name", "Driver", "URI", "State", "StateReason", "StateChangedAt", "LastContact", "Facts", "Capacity"}
    )

    schedulable = Truth(data_key="Schedulable")
    labels = Labels(data_key="Labels")
    limits = Part(HostSettingsSchema, data_key="Settings")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> HostChanges:
        """Makes the domain value."""
        return HostChanges(**values)


class ForgetHostSchema(ActionSchema):
    """The parameters of HawkFishHost.Forget; the name is asked for so that nobody forgets another host than is meant."""

    action: ClassVar[str] = "HawkFishHost.Forget"

    name = name_field(required=True)
    dry_run = Truth(data_key="DryRun")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> tuple[str, bool]:
        """Gives the name, and whether to only say what would be forgotten."""
        return values["name"], values.get("dry_run", False)


class PoolPatchSchema(PatchSchema):
    """The body of PATCH on a storage pool; gives the over-commit."""

    read_only = frozenset({"Name", "Type", "Config", "Hosts"})

    overcommit = Number(data_key="Overcommit", least=LEAST_OVERCOMMIT, most=MOST_OVERCOMMIT, required=True)
