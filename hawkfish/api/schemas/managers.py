"""What may be asked of managers."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import post_load

from hawkfish.api.schemas.base import ActionSchema
from hawkfish.api.schemas.fields import Choice
from hawkfish.domain.managers import ManagerResetType


class ManagerResetSchema(ActionSchema):
    """The parameters of Manager.Reset; without a type the service chooses (DSP0268, Manager.Reset)."""

    action: ClassVar[str] = "Manager.Reset"

    reset_type = Choice(ManagerResetType, data_key="ResetType")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> ManagerResetType:
        """Makes the domain value."""
        reset_type: ManagerResetType = values.get("reset_type", ManagerResetType.GRACEFUL_RESTART)
        return reset_type
