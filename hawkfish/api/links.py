"""The addresses of resources."""

from __future__ import annotations

from uuid import UUID

ROOT = "/redfish/v1/"
SYSTEMS = "/redfish/v1/Systems"
MANAGERS = "/redfish/v1/Managers"
CHASSIS = "/redfish/v1/Chassis"
SESSION_SERVICE = "/redfish/v1/SessionService"
SESSIONS = f"{SESSION_SERVICE}/Sessions"
ACCOUNT_SERVICE = "/redfish/v1/AccountService"
ACCOUNTS = f"{ACCOUNT_SERVICE}/Accounts"
ROLES = f"{ACCOUNT_SERVICE}/Roles"
EVENT_SERVICE = "/redfish/v1/EventService"
SUBSCRIPTIONS = f"{EVENT_SERVICE}/Subscriptions"
STREAM = f"{EVENT_SERVICE}/SSE"
TASK_SERVICE = "/redfish/v1/TaskService"
TASKS = f"{TASK_SERVICE}/Tasks"
TASK_MONITORS = f"{TASK_SERVICE}/TaskMonitors"
SCHEMAS = "/redfish/v1/Schemas"
JSON_SCHEMAS = "/redfish/v1/JsonSchemas"
REGISTRIES = "/redfish/v1/Registries"
OEM = "/redfish/v1/Oem/HawkFish"
HOSTS = f"{OEM}/Hosts"
AUDIT = f"{OEM}/Audit"
IMAGES = f"{OEM}/Images"
PROFILES = f"{OEM}/Profiles"
PLUGINS = f"{OEM}/Plugins"
POOLS = f"{OEM}/Storage/Pools"


def link(collection: str, identity: UUID | str) -> dict[str, str]:
    """A reference to a member of a collection."""
    return {"@odata.id": f"{collection}/{identity}"}


def described_by(odata_type: str) -> str | None:
    """The value of the header `Link` for a resource of that type."""
    name = odata_type.removeprefix("#").rpartition(".")[0]
    if name.startswith("HawkFish"):
        plain = name.partition(".")[0]
        return f"<{JSON_SCHEMAS}/{plain}/{name}.json>; rel=describedby"
    return f"<http://redfish.dmtf.org/schemas/v1/{name}.json>; rel=describedby"
