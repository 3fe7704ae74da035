"""What may be asked of secure boot."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import post_load

from hawkfish.api.schemas.base import ActionSchema, PatchSchema
from hawkfish.api.schemas.fields import Choice, Truth
from hawkfish.domain.machines import SecureBootKeys

RESET_KEYS = {"ResetAllKeysToDefault": SecureBootKeys.FACTORY, "DeleteAllKeys": SecureBootKeys.NONE}
"""What becomes of the keys, in Redfish's words (SecureBoot.ResetKeysType)."""


class SecureBootSchema(PatchSchema):
    """The body of PATCH on a SecureBoot."""

    read_only = frozenset({"Name", "Description", "SecureBootCurrentBoot", "SecureBootMode", "SecureBootDatabases"})

    enabled = Truth(data_key="SecureBootEnable", required=True)

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> bool:
        """Makes the domain value."""
        enabled: bool = values["enabled"]
        return enabled


class ResetKeysSchema(ActionSchema):
    """The parameters of SecureBoot.ResetKeys."""

    action: ClassVar[str] = "SecureBoot.ResetKeys"

    keys = Choice(RESET_KEYS, data_key="ResetKeysType", required=True)

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> SecureBootKeys:
        """Makes the domain value."""
        keys: SecureBootKeys = values["keys"]
        return keys
