"""The page of the API: every address with its methods, who may use them, and what is sent."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

from marshmallow import fields as plain

from _reference.properties import DESCRIPTIONS
from hawkfish.api import links
from hawkfish.api.app import ROUTES
from hawkfish.api.errors import TABLE
from hawkfish.api.middleware.authentication import LOGIN, PUBLIC
from hawkfish.api.queries import EXPANDED_PAGE_LIMIT, MAX_LEVELS, PAGE_LIMIT
from hawkfish.api.resources.base import MOST_SIFTED, Collection, Resource
from hawkfish.api.schemas import fields
from hawkfish.api.schemas.base import StrictSchema
from hawkfish.domain.accounts import ROLE_PRIVILEGES, Role
from hawkfish.services.authorization import RULES

AREAS = {
    "Service": (),
    "Systems": (links.SYSTEMS,),
    "Managers": (links.MANAGERS,),
    "Chassis": (links.CHASSIS,),
    "Tasks": (links.TASK_SERVICE,),
    "Hosts": (links.HOSTS,),
    "Storage pools": (links.POOLS,),
    "Images": (links.IMAGES,),
    "Profiles": (links.PROFILES,),
    "Events": (links.EVENT_SERVICE,),
    "Sessions": (links.SESSION_SERVICE,),
    "Accounts and roles": (links.ACCOUNT_SERVICE,),
    "Audit trail": (links.AUDIT,),
    "Plugins": (links.PLUGINS,),
    "Schemas and registries": (links.SCHEMAS, links.JSON_SCHEMAS, links.REGISTRIES),
}

VERBS: tuple[tuple[str, dict[str, str]], ...] = (
    (r"/metrics", {"GET": "metrics.read"}),
    (r".*/Systems", {"GET": "systems.read", "POST": "systems.create"}),
    (r".*/Systems/[^/]+", {"GET": "systems.read", "PATCH": "systems.update", "DELETE": "systems.delete"}),
    (r".*/ComputerSystem\.Reset", {"POST": "systems.reset"}),
    (r".*/ComputerSystem\.SetDefaultBootOrder", {"POST": "systems.default_boot_order"}),
    (r".*/HawkFishSystem\.Screenshot", {"POST": "systems.screenshot"}),
    (r".*/Screenshots/[^/]+", {"GET": "systems.screenshot"}),
    (r".*/SerialLog", {"GET": "systems.serial_log"}),
    (r".*/Storage/[^/]+/Volumes", {"POST": "volumes.create"}),
    (r".*/Bios(/Settings)?", {"GET": "systems.read", "PATCH": "bios.update"}),
    (r".*/Bios\.ResetBios", {"POST": "bios.reset"}),
    (r".*/SecureBoot", {"GET": "systems.read", "PATCH": "secure_boot.update"}),
    (r".*/SecureBoot\.ResetKeys", {"POST": "secure_boot.reset_keys"}),
    (r".*/Manager\.Reset", {"POST": "managers.reset"}),
    (r".*/Managers/[^/]+", {"PATCH": "managers.update"}),
    (r".*/Managers/[^/]+/(EthernetInterfaces|NetworkProtocol)(/.+)?", {"GET": "managers.read"}),
    (r".*/VirtualMedia(/[^/]+)?", {"GET": "media.read", "PATCH": "media.update"}),
    (r".*/VirtualMedia\.InsertMedia", {"POST": "media.insert"}),
    (r".*/VirtualMedia\.EjectMedia", {"POST": "media.eject"}),
    (r".*/LogService\.ClearLog", {"POST": "logs.clear"}),
    (r".*/LogServices/[^/]+/Entries.*", {"GET": "logs.read"}),
    (r".*/Hosts", {"GET": "hosts.read", "POST": "hosts.add"}),
    (r".*/Hosts/[^/]+", {"GET": "hosts.read", "PATCH": "hosts.update", "DELETE": "hosts.remove"}),
    (r".*/HawkFishHost\.Forget", {"POST": "hosts.forget"}),
    (r".*/Pools", {"GET": "pools.read"}),
    (r".*/Pools/[^/]+", {"GET": "pools.read", "PATCH": "pools.update"}),
    (r".*/Images", {"GET": "images.read", "POST": "images.add"}),
    (r".*/HawkFishImageCollection\.Prune", {"POST": "images.prune"}),
    (r".*/Images/[^/]+", {"GET": "images.read", "DELETE": "images.delete"}),
    (r".*/Images/[^/]+/Content", {"PUT": "images.add"}),
    (r".*/Profiles", {"GET": "profiles.read", "POST": "profiles.create"}),
    (r".*/Profiles/[^/]+", {"GET": "profiles.read", "PATCH": "profiles.update", "DELETE": "profiles.delete"}),
    (r".*/Tasks(/[^/]+)?", {"GET": "tasks.read"}),
    (r".*/HawkFishTask\.Cancel", {"POST": "tasks.cancel"}),
    (r".*/TaskMonitors/[^/]+", {"GET": "tasks.read", "DELETE": "tasks.cancel"}),
    (r".*/EventService\.SubmitTestEvent", {"POST": "events.submit_test"}),
    (r".*/EventService/SSE", {"GET": "events.listen"}),
    (r".*/Subscriptions(/Members)?", {"GET": "subscriptions.list", "POST": "subscriptions.create"}),
    (
        r".*/Subscriptions/[^/]+",
        {"GET": "subscriptions.read", "PATCH": "subscriptions.update", "DELETE": "subscriptions.delete"},
    ),
    (r".*/Subscriptions/[^/]+/Oem/HawkFish/Deliveries(/[^/]+)?", {"GET": "subscriptions.read"}),
    (r".*/Subscriptions/[^/]+/Actions/.+", {"POST": "subscriptions.update"}),
    (r".*/Sessions(/Members)?", {"GET": "sessions.list"}),
    (r".*/Sessions/[^/]+", {"GET": "sessions.read", "DELETE": "sessions.delete"}),
    (r".*/Accounts(/Members)?", {"GET": "accounts.list", "POST": "accounts.create"}),
    (r".*/Accounts/[^/]+", {"GET": "accounts.read", "PATCH": "accounts.update", "DELETE": "accounts.delete"}),
    (r".*/Audit(/[^/]+)?", {"GET": "audit.read"}),
    (r".*/Plugins(/.+)?", {"GET": "plugins.read"}),
)
"""Which verb of the services a method asks for."""

LOGIN_ONLY = (
    r"/redfish/v1/(AccountService|EventService|SessionService|TaskService)",
    r".*/Roles(/[^/]+)?",
    r".*/(Managers|Chassis)(/[^/]+)?",
    r".*/Chassis/[^/]+/Drives(/[^/]+)?",
    r".*/Chassis/[^/]+/Drives(/.+)?",
    r".*/LogServices(/[^/]+)?",
    r".*/Systems/[^/]+/(Processors|Memory|EthernetInterfaces|Storage|BootOptions)(/.+)?",
    r"/redfish/v1/(JsonSchemas|Schemas|Registries)(/.+)?",
)
"""Addresses that every account may read. A test asks the API itself for all of this."""

NOTES = {
    "accounts.update": "everybody may change `Password` of the own account",
    "accounts.list": "who is no Administrator sees the own account only",
    "subscriptions.list": "who is no Administrator sees the own subscriptions only",
    "sessions.list": "who is no Administrator sees the own sessions only",
    "logs.read": "the log `Audit` takes Administrator",
}


def verb_of(path: str, method: str) -> str | None:
    """The verb that a request asks for; None where a login is enough, or nothing is.

    Raises:
        LookupError: Nobody has said so.
    """
    verb = next((verbs for pattern, verbs in VERBS if re.fullmatch(pattern, path)), {}).get(method)
    readable = method == "GET" and any(re.fullmatch(pattern, path) for pattern in LOGIN_ONLY)
    if verb is None and not readable and not is_public(path, method):
        raise LookupError(f"{method} {path} has no verb in docs/_reference/api.py; add it to VERBS.")
    return verb


def is_public(path: str, method: str) -> bool:
    """Whether it takes no login."""
    return path in PUBLIC or (method == "POST" and path in LOGIN)


def roles_of(verb: str) -> list[Role]:
    """The roles that a verb takes, whosever the subject is."""
    return [role for role in Role if RULES[verb].privilege in ROLE_PRIVILEGES[role]]


def api_page() -> Iterator[str]:
    """Every address, by area."""
    yield from _introduction()
    for area, paths in areas().items():
        yield from (f"## {area}", "")
        for path in paths:
            yield from _address(path, ROUTES[path])


def areas() -> dict[str, list[str]]:
    """The addresses of each area; one that no other area has is the service's own."""
    found: dict[str, list[str]] = {area: [] for area in AREAS}
    for path in ROUTES:
        area = next((area for area, beginnings in AREAS.items() if _begins(path, beginnings)), "Service")
        found[area].append(path)
    return found


def _begins(path: str, beginnings: tuple[str, ...]) -> bool:
    return any(path == item or path.startswith(f"{item}/") for item in beginnings)


def _introduction() -> Iterator[str]:
    yield from (
        *("---", "tocdepth: 2", "---", ""),
        "# API",
        "",
        "The API is Redfish (DSP0266), at `/redfish/v1/`. A session (`POST /redfish/v1/SessionService/Sessions`, then the header",
        "`X-Auth-Token`) or HTTP Basic says who is asking. The properties that standard types show are described by the schemas of",
        f"DMTF; those of our own types by the files that `{links.JSON_SCHEMAS}` leads to. Here is what may be sent.",
        "",
        "Work that changes a machine is a task. If it ends within `sync_wait_ms` ([settings](../settings.md)) the answer is the",
        "usual one; else it is 202 with the address of a task monitor in `Location`. `Prefer: respond-async` asks for 202 at once,",
        "`Idempotency-Key: TEXT` makes a repeated POST join the first. `If-Match` with an `ETag` refuses a change of what was changed",
        "meanwhile (412), `If-None-Match` spares an unchanged answer (304).",
        "",
        "## Query options",
        "",
        "| Option | Of | What it does |",
        "| --- | --- | --- |",
        f"| `$top=N`, `$skip=N` | collections | a part of them; {PAGE_LIMIT} links or {EXPANDED_PAGE_LIMIT} members at once |",
        "| `$filter=EXPRESSION` | collections | members that meet it: `eq ne gt ge lt le and or not ( )` |",
        "| `only` | collections | the member itself, if there is just one |",
        "| `$select=A,B/C` | resources | these properties only |",
        f"| `$expand=.`, `*` or `~`, `($levels=N)` | resources | what links lead to in their place, up to {MAX_LEVELS} levels |",
        "",
        "What does not fit a page is behind `Members@odata.nextLink`. `$filter` by a property that is not indexed is answered for",
        f"collections of up to {MOST_SIFTED} members. Another option with `$` is refused with 501.",
        "",
        "## Errors by status",
        "",
        "Each is described in [](errors.md).",
        "",
        "| Status | Errors |",
        "| --- | --- |",
    )
    statuses: dict[int, list[str]] = {}
    for kind, found in TABLE.items():
        statuses.setdefault(found.status, []).append(f"`{kind.__name__}`")
    statuses[405] = ["the resource has no such method; the header `Allow` says which it has"]
    for status, kinds in sorted(statuses.items()):
        yield f"| {status} | {', '.join(kinds)} |"
    yield ""


def _address(path: str, resource: type[Resource]) -> Iterator[str]:
    yield from (f"### `{path}`", "")
    about = _about(resource)
    if kind := _kind(path, resource):
        about = f"Type: `{kind}`. {about}"
    if about:
        yield from (about.strip(), "")
    for method in resource.allow:
        if method == "HEAD":
            continue
        responder = getattr(resource, f"on_{method.lower()}")
        does = (inspect.getdoc(responder) or "").partition("\n")[0]
        yield f"- **{method}** ({_who(path, method)}): {does}"
    if issubclass(resource, Collection) and resource.fields:
        yield f"- Indexed for `$filter`: {', '.join(f'`{name}`' for name in resource.fields)}."
    yield ""
    for method in resource.allow:
        schema = body_of(getattr(resource, f"on_{method.lower()}")) if method in {"POST", "PATCH"} else None
        if schema is not None and schema().fields:
            yield from (f"Body of {method}:", "", *_table(schema), "")


def _about(resource: type[Resource]) -> str:
    """What a resource says of itself beyond its address."""
    text = " ".join((inspect.getdoc(resource) or "").partition("\n\n")[0].split())
    text = re.sub(r"^/\S+[:.]", "", text).strip()
    return text[:1].upper() + text[1:]


def _kind(path: str, resource: type[Resource]) -> str:
    if found := getattr(resource, "kind", ""):
        return str(found)
    above = ROUTES.get(path.rpartition("/")[0])
    if path.endswith("}") and above is not None and hasattr(above, "kind"):
        return str(above.kind).removesuffix("Collection")
    match = re.search(r'"@odata\.type": f?"#(\w+)\.', inspect.getsource(resource))
    return match[1] if match else ""


def _who(path: str, method: str) -> str:
    if is_public(path, method):
        return "no login"
    verb = verb_of(path, method)
    if verb is None:
        return "any role"
    roles = roles_of(verb)
    who = "any role" if len(roles) == len(Role) else ", ".join(role.value for role in roles)
    if RULES[verb].own is not None:
        who += ", and everybody for the own"
    return f"{who}; {NOTES[verb]}" if verb in NOTES else who


def body_of(responder: Any) -> type[StrictSchema] | None:
    """The schema of what a method reads."""
    match = re.search(r"(\w+Schema)\.read\(", inspect.getsource(responder))
    return getattr(sys.modules[responder.__module__], match[1]) if match else None


def _table(schema: type[StrictSchema]) -> Iterator[str]:
    yield from ("| Property | Type | What it is |", "| --- | --- | --- |")
    yield from _rows(schema, "")


def _rows(schema: type[StrictSchema], above: str) -> Iterator[str]:
    for declared in schema().fields.values():
        name = f"{above}{declared.data_key}"
        text = description_of(name.replace("[]", ""))
        needed = " **(required)**" if declared.required else ""
        yield f"| `{name}`{needed} | {_type(declared)} | {text} |"
        inner = declared.inner if isinstance(declared, plain.List) else declared
        if isinstance(inner, plain.Nested):
            part: Any = type(inner.schema)
            yield from _rows(part, f"{name}[]/" if isinstance(declared, plain.List) else f"{name}/")


def description_of(place: str) -> str:
    """What a property is, by its place in the body.

    Raises:
        LookupError: Nobody has said so.
    """
    name = place.rpartition("/")[2]
    try:
        return DESCRIPTIONS.get(place) or DESCRIPTIONS[name]
    except KeyError:
        raise LookupError(
            f"The property {place} has no description in docs/_reference/properties.py; add it."
        ) from None


def _type(declared: plain.Field[Any]) -> str:
    text = _plain_type(declared)
    return f"{text}, or null" if declared.allow_none else text


def _plain_type(declared: plain.Field[Any]) -> str:  # noqa: PLR0911  one line for each kind
    match declared:
        case fields.Items():
            return f"list of up to {declared.most}: {_plain_type(declared.inner)}"
        case plain.Nested():
            return "object"
        case fields.Choice():
            return "one of " + ", ".join(f"`{choice}`" for choice in declared.choices)
        case fields.Whole():
            return f"integer, {declared.least} to {declared.most}"
        case fields.Number():
            return f"number, {declared.least:g} to {declared.most:g}"
        case fields.Truth():
            return "true or false"
        case fields.Labels():
            return f"object of strings, up to {fields.LABELS_LIMIT}"
        case fields.Uuid() | fields.MacAddress():
            return declared.form
        case fields.Text():
            form = f": {declared.form}" if declared.form else ""
            return f"string of {declared.least} to {declared.most} characters{form}"
    return "object"
