"""What may be sent to the settings of a BIOS."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from marshmallow import post_load

from hawkfish.api.schemas.base import PatchSchema, StrictSchema
from hawkfish.api.schemas.fields import Choice, Labels, Part


class ApplyTime(StrEnum):
    """When settings are applied (Settings.ApplyTime); a start is the only time there is."""

    ON_RESET = "OnReset"


class ApplyTimeSchema(StrictSchema):
    """The object `@Redfish.SettingsApplyTime`."""

    apply_time = Choice(ApplyTime, data_key="ApplyTime")


class BiosSettingsSchema(PatchSchema):
    """The body of PATCH on the settings of a Bios."""

    read_only = frozenset({"AttributeRegistry", "Name", "Description", "ResetBiosToDefaultsPending", "Oem"})

    attributes = Labels(data_key="Attributes", what="value")
    apply_time = Part(ApplyTimeSchema, data_key="@Redfish.SettingsApplyTime")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> dict[str, str]:
        """Makes the domain value."""
        attributes: dict[str, str] = values.get("attributes", {})
        return attributes
