"""An installation for requests of every kind: one of each thing in it, put back when a request took it away.

Also what it looks like from inside: a refused request must leave no trace in any table.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Select, create_engine, delete, select

from hawkfish.api import links
from hawkfish.api.app import ROUTES
from hawkfish.db.base import Base
from hawkfish.db.models import ScreenshotRow, SystemRow, TaskRow
from hawkfish.db.models.logs import LogClearingRow
from hawkfish.domain.accounts import SYSTEM_ACTOR, AuditOutcome
from hawkfish.domain.hosts import HostChanges
from hawkfish.domain.images import ImageState
from hawkfish.domain.subscriptions import RetryPolicy, Subscription, SubscriptionState, SubscriptionType
from hawkfish.errors import NotFound
from hawkfish.testing.waiting import wait_until
from tests.api.installation import PASSWORD, Api, add_host

VICTIM = "victim"
SETTLE_SECONDS = 120.0

_WORKERS_OWN = frozenset(
    {
        "hf_task_workers",
        "hf_host_watches",
        "hf_event_sinks",
        "hf_login_failures",
        "hf_stranger_refusals",
        "hf_deliveries",
    }
)
"""Tables of heartbeats, of deliveries and of wrong passwords; no request is behind them, or every wrong one is."""

_OBSERVED = {
    "hf_sessions": {"used_at"},
    "hf_hosts": {"state", "state_reason", "state_changed_at", "seen_at", "facts", "version"},
    "hf_storage_pools": {"version"},
    "hf_storage_pool_hosts": {"stats"},
    "hf_systems": {
        *("power_state", "power_transition", "power_task_id", "run_id", "observed", "observed_at", "stale", "version"),
    },
    "hf_virtual_media": {"source_key", "held_key", "held_digest", "task_id", "version"},
    "hf_media_sources": {"sealed_password", "digest", "etag", "last_modified", "fetched_at"},
    "hf_media_contents": {"used_at"},
    "hf_media_copies": {"ready"},
    "hf_events": {"sequence"},
    "hf_installation": {"audit_kept_from"},
}
"""Columns that the worker writes by itself, when a machine or a host changes."""

Traces = Mapping[str, frozenset[Any]]


@dataclass(repr=False)
class World:
    """What the requests are sent to.

    Attributes:
        api: A client with the administrator's session.
        engine: A way into the database beside the service.
        places: For each beginning of a route that ends in a parameter, addresses where something is.
        roles: Clients with the sessions of an Operator and of a ReadOnly.
        changed: A request was accepted, so that something may be missing or be too much.
        seen: The rows that were there when it was last looked, if nothing was accepted since.
    """

    api: Api
    engine: Engine
    places: dict[str, list[str]] = field(default_factory=dict)
    roles: dict[str, Api] = field(default_factory=dict)
    changed: bool = False
    seen: Traces | None = None

    def __repr__(self) -> str:
        """Short, since every failure shows it."""
        return "World()"

    @classmethod
    def of(cls, api: Api) -> World:
        """Fills an installation."""
        url = api.application.settings.database_url
        world = cls(api, create_engine(url.replace("postgresql://", "postgresql+psycopg://")))
        for role in ("Operator", "ReadOnly"):
            body = {"UserName": role.lower(), "Password": PASSWORD, "RoleId": role}
            assert api.post(links.ACCOUNTS, body).status_code == 201
            world.roles[role] = api.anonymous().login(role.lower(), PASSWORD)
        world.restore()
        return world

    # -- what is there -----------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Takes away what requests made, and puts back what they took."""
        self.settle()
        services = self.api.application
        if self.api.get(links.SESSIONS).status_code == 401:  # a manager was reset
            self.api.headers = self.api.anonymous().login("admin", PASSWORD).headers
            for role, caller in self.roles.items():
                caller.headers = self.api.anonymous().login(role.lower(), PASSWORD).headers
        with self.engine.begin() as connection:
            connection.execute(delete(LogClearingRow))  # entries of logs have to be there, too
        for system in self._rows(select(SystemRow.id).where(SystemRow.name != VICTIM)):
            self._wait(services.systems.delete(SYSTEM_ACTOR, UUID(system.id)))
        for host in services.hosts.list(SYSTEM_ACTOR):
            if host.name != "rack1":
                self._wait(services.hosts.remove(SYSTEM_ACTOR, host.id))
        for account in services.accounts.list(SYSTEM_ACTOR):
            if account.user_name not in {"admin", "operator", "readonly", VICTIM}:
                services.accounts.delete(SYSTEM_ACTOR, account.id)
        moved = not self.places
        if not services.hosts.list(SYSTEM_ACTOR):
            add_host(services)
            moved = True
        usual = {"vcpu_overcommit": None, "memory_overcommit": 1.0, "reserved_vcpus": 0, "reserved_memory_mib": 0}
        (host,) = services.hosts.list(SYSTEM_ACTOR)
        services.hosts.update(SYSTEM_ACTOR, host.id, HostChanges(schedulable=True, labels={}, limits=usual))
        for pool in services.hosts.pools(SYSTEM_ACTOR):
            services.hosts.update_pool(SYSTEM_ACTOR, pool.id, overcommit=1.0)
        accounts = {account.user_name: account for account in services.accounts.list(SYSTEM_ACTOR)}
        if VICTIM not in accounts:
            self.api.post(links.ACCOUNTS, {"UserName": VICTIM, "Password": PASSWORD, "RoleId": "Operator"})
            moved = True
        if not any(session.user_name == VICTIM for session in services.sessions.list(SYSTEM_ACTOR)):
            services.accounts.update(
                SYSTEM_ACTOR,
                next(a.id for a in services.accounts.list(SYSTEM_ACTOR) if a.user_name == VICTIM),
                password=PASSWORD,
                enabled=True,
                password_change_required=False,
            )
            self.api.anonymous().login(VICTIM, PASSWORD)
            moved = True
        for image in services.images.all(SYSTEM_ACTOR):
            # With content it takes no other, so that the upload could not be reached.
            if image.name != VICTIM or image.state is not ImageState.AWAITING:
                self._wait(services.images.delete(SYSTEM_ACTOR, image.id))
        for profile in services.profiles.all(SYSTEM_ACTOR):
            if profile.name != VICTIM:
                services.profiles.delete(SYSTEM_ACTOR, profile.id)
        if not services.images.all(SYSTEM_ACTOR):
            assert self.api.finish(self.api.post(links.IMAGES, {"Name": VICTIM})).status_code == 201
            moved = True
        if not services.profiles.all(SYSTEM_ACTOR):
            body = {"Name": VICTIM, "CPU": 1, "MemoryMiB": 64}
            assert self.api.post(links.PROFILES, body).status_code == 201
            moved = True
        subscriptions = [
            item for item in services.subscriptions.all(SYSTEM_ACTOR) if item.type is SubscriptionType.POST
        ]
        for subscription in subscriptions:
            if not _is_for_good(subscription):
                with contextlib.suppress(NotFound):  # the worker may have come to its end with it
                    services.subscriptions.delete(SYSTEM_ACTOR, subscription.id)
        if not any(map(_is_for_good, subscriptions)):
            # Nobody listens there, so that there are deliveries soon.
            body = {"Destination": "http://127.0.0.1:9/", "Protocol": "Redfish", "Context": VICTIM}
            made = self.api.post(links.SUBSCRIPTIONS, {**body, "DeliveryRetryPolicy": "RetryForever"})
            deliveries = f"{made.headers['Location']}/Oem/HawkFish/Deliveries"
            assert self.api.post(f"{links.EVENT_SERVICE}/Actions/EventService.SubmitTestEvent").status_code == 204
            wait_until(lambda: self.api.get(deliveries).json["Members"], "a delivery is tried")
            moved = True
        if not self._rows(select(SystemRow.id)):
            system = self.api.system(VICTIM, PowerOn=True, NetworkInterfaces=[{"UserMode": True}])
            action = f"{links.SYSTEMS}/{system['Id']}/Actions/Oem/HawkFishSystem.Screenshot"
            assert self.api.finish(self.api.post(action)).status_code == 200
            moved = True
        self.settle()
        if moved:
            self._look_around()
        self.changed, self.seen = False, None

    def _wait(self, accepted: Any) -> None:
        if accepted.task is not None:
            self.api.application.tasks.wait(SYSTEM_ACTOR, accepted.task.id, SETTLE_SECONDS)

    def settle(self) -> None:
        """Waits until no task is left that has not ended."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while waiting := self._rows(select(TaskRow.id).where(TaskRow.ended_at.is_(None))):
            assert time.monotonic() < deadline, waiting
            self.api.application.tasks.wait(SYSTEM_ACTOR, waiting[0].id, 1.0)

    def _rows(self, wanted: Select[Any]) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(wanted).all()

    def _look_around(self) -> None:
        """Finds the addresses of all there is, by reading everything."""
        self.places.clear()
        picture = self._rows(select(ScreenshotRow.system_id, ScreenshotRow.id))[0]
        self._note(f"{links.SYSTEMS}/{picture[0]}/Oem/HawkFish/Screenshots/{picture[1]}")
        # What goes away must not be the administrator's own.
        services = self.api.application
        for account in services.accounts.list(SYSTEM_ACTOR):
            if account.user_name == VICTIM:
                self._note(f"{links.ACCOUNTS}/{account.id}")
        for session in services.sessions.list(SYSTEM_ACTOR):
            if session.user_name == VICTIM:
                self._note(f"{links.SESSIONS}/{session.id}")
        self._note(re.findall(r"/redfish/v1/Schemas/[^\"]+", self.api.get("/redfish/v1/$metadata").text)[0])
        waiting, seen = [links.ROOT, "/redfish"], set()
        while waiting:
            path = waiting.pop()
            if path in seen or "/Actions/" in path:
                continue
            seen.add(path)
            self._note(path)
            answer = self.api.get(path)
            if answer.headers.get("Content-Type") == "application/json":
                found = set(re.findall(r'"(/redfish/v1/[^"#]*)"', answer.text))
                # Logs and tasks grow with every request; a few of each are enough.
                waiting += [item for item in sorted(found) if not _is_many(item) or not self._knows(item)]

    def _note(self, path: str) -> None:
        parts = path.split("/")
        for route in ROUTES:
            pattern = route.split("/")
            for end, name in enumerate(pattern, 1):
                if end > len(parts) or not (name.startswith("{") or name == parts[end - 1]):
                    break
                if name.startswith("{"):
                    found = self.places.setdefault("/".join(pattern[:end]), [])
                    here = "/".join(parts[:end])
                    if here not in found:
                        found.append(here)

    def _knows(self, path: str) -> bool:
        return any(
            path.rpartition("/")[0] == item.rpartition("/")[0] for found in self.places.values() for item in found
        )

    def address(self, route: str) -> str:
        """An address that the route answers, where something is.

        Raises:
            LookupError: There is nothing of the kind; `restore` must make it.
        """
        begin, _, _ = route.rpartition("}")
        if not begin:
            return route
        begin += "}"
        if begin in self.places:
            return self.places[begin][0] + route[len(begin) :]
        name = begin.rpartition("/")[2]
        for known, found in self.places.items():
            if known.endswith(name):
                return begin.replace(name, found[0].rpartition("/")[2]) + route[len(begin) :]
        raise LookupError(f"Nothing is known for {name} of {route}: let World.restore make one and find its address.")

    def known_values(self) -> dict[str, tuple[Any, ...]]:
        """Values of properties that name things which are there."""
        host = self.address(f"{links.HOSTS}/{{host_id}}").rpartition("/")[2]
        pool = self.address(f"{links.POOLS}/{{pool_id}}").rpartition("/")[2]
        return {
            "HostId": ("rack1", host),
            "Pool": (pool,),
            "Driver": ("simulated",),
            "URI": ("simulated:///rack2", "simulated:///rack2?boot_seconds=x", "simulated://["),
            "UserName": (VICTIM, "admin", "someone"),
            "ProfileId": (VICTIM,),
            "ImageId": (VICTIM,),
            "Image": (VICTIM, "/etc/passwd"),
            "Destination": ("http://127.0.0.1:9/none", "http://169.254.1.1/", "ftp://x/", "http://x@127.0.0.1/"),
            "URL": ("http://127.0.0.1:9/none", "http://[", "file:///etc/passwd", "ftp://x/", "http://x@127.0.0.1:9/"),
            "LocalPath": ("/etc/passwd", "../x", "/proc/self/mem"),
            "PoolPath": ("/etc/passwd", "/proc/self/mem"),
            "CPU": (1, 2),
            "MemoryMiB": (64, 512),
            "DiskGiB": (1,),
            "CapacityGiB": (1,),
        }

    # -- from inside --------------------------------------------------------------------------------------------------

    def before(self) -> Traces:
        """The rows as they are before a request."""
        if self.seen is None or self.changed:
            self.seen = self.traces()
        return self.seen

    def traces(self) -> Traces:
        """All rows that only a request writes."""
        with self.engine.connect() as connection:
            return {
                table.name: frozenset(_rows(connection, table))
                for table in Base.metadata.sorted_tables
                if table.name not in _WORKERS_OWN
            }


def _rows(connection: Any, table: Any) -> Iterator[tuple[Any, ...]]:
    left_out = _OBSERVED.get(table.name, set())
    wanted = select(*(column for column in table.c if column.name not in left_out))
    if table.name == "hf_audit":
        wanted = wanted.where(table.c.outcome == AuditOutcome.ALLOWED)
    if table.name == "hf_subscriptions":
        wanted = wanted.where(table.c.type == SubscriptionType.POST)  # streams are opened by reading
    if table.name == "hf_events":
        wanted = wanted.where(table.c.actor.is_not(None))
    for row in connection.execute(wanted):
        yield tuple(repr(value) if isinstance(value, (dict, list)) else value for value in row)


def difference(before: Traces, after: Traces) -> dict[str, Any]:
    """The rows of which only one side knows."""
    return {name: sorted(map(repr, before[name] ^ after[name]))[:4] for name in before if before[name] != after[name]}


def _is_for_good(subscription: Subscription) -> bool:
    """Whether it is the one of these tests, and the worker will not by itself suspend or remove it, since nobody listens there."""
    return (
        subscription.context == VICTIM
        and subscription.state is SubscriptionState.ENABLED
        and subscription.retry_policy in {RetryPolicy.FOREVER, RetryPolicy.FOREVER_WITH_BACKOFF}
    )


def _is_many(path: str) -> bool:
    return "/Entries/" in path or "/Tasks/" in path or "/TaskMonitors/" in path
