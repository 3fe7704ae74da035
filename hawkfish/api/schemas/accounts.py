"""Bodies of requests to Accounts and Sessions."""

from __future__ import annotations

from typing import Any

from marshmallow import post_load

from hawkfish.api.schemas.base import PatchSchema, StrictSchema
from hawkfish.api.schemas.fields import Choice, Items, Secret, Text, Truth
from hawkfish.domain.accounts import Role

USER_NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9._@+-]*"
USER_NAME_FORM = "letters, digits and . _ @ + -, the first of them a letter, digit or _"
LONGEST_PASSWORD = 256
ACCOUNT_TYPES = {"Redfish": "Redfish"}


def _user_name(**options: Any) -> Text:
    return Text(data_key="UserName", least=1, most=64, pattern=USER_NAME_PATTERN, form=USER_NAME_FORM, **options)


class NewAccountSchema(StrictSchema):
    """The body of POST to Accounts."""

    read_only = frozenset({"Locked", "Name", "Description"})

    user_name = _user_name(required=True)
    password = Secret(data_key="Password", least=1, most=LONGEST_PASSWORD, required=True)
    role = Choice(Role, data_key="RoleId", required=True)
    enabled = Truth(data_key="Enabled")
    password_change_required = Truth(data_key="PasswordChangeRequired")
    account_types = Items(Choice(ACCOUNT_TYPES), data_key="AccountTypes", most=1)

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Gives the arguments of `accounts.create`."""
        values.pop("account_types", None)
        return values


class AccountPatchSchema(PatchSchema):
    """The body of PATCH on an account; gives the arguments of `accounts.update`."""

    read_only = frozenset({"Name", "Description", "AccountTypes"})

    user_name = _user_name()
    password = Secret(data_key="Password", least=1, most=LONGEST_PASSWORD)
    role = Choice(Role, data_key="RoleId")
    enabled = Truth(data_key="Enabled")
    locked = Truth(data_key="Locked")
    password_change_required = Truth(data_key="PasswordChangeRequired")


class NewSessionSchema(StrictSchema):
    """The body of POST to Sessions."""

    user_name = Text(data_key="UserName", most=1024, required=True)
    password = Secret(data_key="Password", most=1024, required=True)
    context = Text(data_key="Context", most=1024)
