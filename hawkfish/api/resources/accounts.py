"""AccountService, its Accounts and its Roles."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, expected_version, send
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Address, Collection, Resource, Singleton, paged
from hawkfish.api.schemas.accounts import AccountPatchSchema, NewAccountSchema
from hawkfish.domain.accounts import ROLE_PRIVILEGES, Account, Actor, Privilege, Role
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.errors import NotFound
from hawkfish.services.passwords import PASSWORD_LENGTHS


def account_document(account: Account) -> Document:
    """A ManagerAccount, without its password."""
    body = {
        "@odata.id": f"{links.ACCOUNTS}/{account.id}",
        "@odata.type": "#ManagerAccount.v1_14_1.ManagerAccount",
        "Id": str(account.id),
        "Name": f"Account {account.user_name}",
        "UserName": account.user_name,
        "Password": None,
        "RoleId": account.role.value,
        "Enabled": account.enabled,
        "Locked": account.locked,
        "PasswordChangeRequired": account.password_change_required,
        "AccountTypes": ["Redfish"],
        "Links": {"Role": link(links.ROLES, account.role.value)},
    }
    return Document(body, account.version)


class AccountServiceResource(Singleton):
    """/redfish/v1/AccountService."""

    def document(self) -> Document:
        """The service."""
        settings = self.application.settings
        body: dict[str, Any] = {
            "@odata.id": links.ACCOUNT_SERVICE,
            "@odata.type": "#AccountService.v1_18_1.AccountService",
            "Id": "AccountService",
            "Name": "Account service",
            "ServiceEnabled": True,
            "Status": {"State": "Enabled", "Health": "OK"},
            "HTTPBasicAuth": "Enabled",
            "LocalAccountAuth": "Enabled",
            "SupportedAccountTypes": ["Redfish"],
            "MinPasswordLength": PASSWORD_LENGTHS[0],
            "MaxPasswordLength": PASSWORD_LENGTHS[1],
            "AccountLockoutThreshold": settings.lockout_threshold,
            "AccountLockoutDuration": settings.lockout_duration,
            "Accounts": {"@odata.id": links.ACCOUNTS},
            "Roles": {"@odata.id": links.ROLES},
        }
        return Document(body)


class AccountsResource(Collection[Account]):
    """/redfish/v1/AccountService/Accounts."""

    path = links.ACCOUNTS
    kind = "ManagerAccountCollection"
    title = "Accounts"

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Account]:
        """The accounts that the actor may see, oldest first."""
        return paged(self.application.accounts.list(actor), wanted, self.key)

    def key(self, item: Account) -> str:
        """Its age, then its id."""
        return f"{item.created_at} {item.id}"

    def document(self, item: Account) -> Document:
        """One account."""
        return account_document(item)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Makes an account."""
        wanted = NewAccountSchema.read(self.read(req))
        account = offload(self.application.accounts.create, req.context.actor, **wanted)
        document = account_document(account)
        resp.set_header("Location", document.body["@odata.id"])
        send(req, resp, document, 201)


class AccountResource(Resource):
    """One account."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, account_id: str) -> None:
        """Shows the account."""
        send(req, resp, self._find(req, account_id))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, account_id: str) -> None:
        """Changes the account."""
        wanted = AccountPatchSchema.read(self.read(req))
        version = self._version(req, account_id)
        account = offload(
            self.application.accounts.update,
            req.context.actor,
            _identity(account_id),
            expected_version=version,
            **wanted,
        )
        send(req, resp, account_document(account))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, account_id: str) -> None:
        """Deletes the account."""
        version = self._version(req, account_id)
        offload(self.application.accounts.delete, req.context.actor, _identity(account_id), version)
        resp.status = 204

    def _find(self, req: falcon.Request, account_id: str) -> Document:
        return account_document(offload(self.application.accounts.get, req.context.actor, _identity(account_id)))

    def _version(self, req: falcon.Request, account_id: str) -> int | None:
        """The version that the caller has read, where it says so with If-Match."""
        if req.get_header("If-Match") is None:
            return None
        return expected_version(req, self._find(req, account_id))


class RolesResource(Collection[Role]):
    """/redfish/v1/AccountService/Roles: the standard ones, which cannot be changed."""

    path = links.ROLES
    kind = "RoleCollection"
    title = "Roles"

    def page(self, _actor: Actor, wanted: PageRequest, _address: Address) -> Page[Role]:
        """The roles."""
        return paged(Role, wanted, self.key)

    def key(self, item: Role) -> str:
        """Its name."""
        return item.value

    def identity(self, item: Role) -> str:
        """Its name."""
        return item.value

    def document(self, item: Role) -> Document:
        """One role."""
        return role_document(item)


class RoleResource(Resource):
    """One role."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, role_id: str) -> None:
        """Shows the role."""
        if role_id not in {role.value for role in Role}:
            raise NotFound(f"There is no role {role_id}; see {links.ROLES}.", kind="Role", id=role_id)
        send(req, resp, role_document(Role(role_id)))


def role_document(role: Role) -> Document:
    """A Role."""
    body = {
        "@odata.id": f"{links.ROLES}/{role.value}",
        "@odata.type": "#Role.v1_3_3.Role",
        "Id": role.value,
        "Name": f"Role {role.value}",
        "RoleId": role.value,
        "IsPredefined": True,
        "AssignedPrivileges": [privilege.value for privilege in Privilege if privilege in ROLE_PRIVILEGES[role]],
    }
    return Document(body)


def _identity(account_id: str) -> UUID:
    try:
        return UUID(account_id)
    except ValueError:
        raise NotFound(f"There is no account {account_id}.", kind="ManagerAccount", id=account_id) from None
