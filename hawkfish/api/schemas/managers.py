"""What may be asked of managers."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import post_load

from hawkfish.api.schemas.base import ActionSchema, PatchSchema
from hawkfish.api.schemas.fields import Choice, Text
from hawkfish.domain.managers import ManagerResetType


class ManagerPatchSchema(PatchSchema):
    """The body of PATCH on a Manager."""

    read_only = frozenset(
        {
            "Name",
            "ManagerType",
            "Manufacturer",
            "Model",
            "FirmwareVersion",
            "DateTime",
            "DateTimeLocalOffset",
            "LastResetTime",
            "LogServices",
            "EthernetInterfaces",
            "NetworkProtocol",
            "ServiceEntryPointUUID",
            "PowerState",
            "VirtualMedia",
        }
    )

    service_identification = Text(
        data_key="ServiceIdentification",
        most=255,
        pattern=r"[^\x00-\x1f\x7f]*",
        form="free of control characters",
        allow_none=True,
    )

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> str:
        """Makes the domain value."""
        text: str = values["service_identification"] or ""  # nothing else can be asked for, and something was
        return text


class ManagerResetSchema(ActionSchema):
    """The parameters of Manager.Reset; without a type the service chooses (DSP0268, Manager.Reset)."""

    action: ClassVar[str] = "Manager.Reset"

    reset_type = Choice(ManagerResetType, data_key="ResetType")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> ManagerResetType:
        """Makes the domain value."""
        reset_type: ManagerResetType = values.get("reset_type", ManagerResetType.GRACEFUL_RESTART)
        return reset_type
