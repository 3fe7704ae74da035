"""Loading one plugin, so that whatever is wrong with it stays with it."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pluggy

from hawkfish.errors import HawkFishError, PluginConfigInvalid, PluginError
from hawkfish.plugins import HAWKFISH_PLUGIN_API, HAWKFISH_PLUGIN_API_OLDEST
from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.records import PluginRecord
from hawkfish.plugins.registry import RECORD_KINDS, RecordKind, check_record
from hawkfish.plugins.reports import PluginReport, PluginStatus

logger = logging.getLogger(__name__)

MOST_RECORDS = 1000
"""A hook that hands over more is taken for an endless generator."""


@dataclass(frozen=True, kw_only=True)
class OwnedRecord:
    """A record with its kind and with the plugin settings that it asked for."""

    kind: RecordKind
    record: PluginRecord
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LoadedPlugin:
    """The outcome for one entry point.

    Attributes:
        key: Its name in the plugin manager, unique among those loaded.
        report: What became of it so far; records and conflicts are filled in when all are loaded.
        records: What it handed over.
        settings: Its table, validated: the fields of all its records together.
    """

    key: str
    report: PluginReport
    records: tuple[OwnedRecord, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class _Incompatible(Exception):
    """The plugin speaks another API, or does not say which."""

    def __init__(self, message: str, declared: int | None) -> None:
        super().__init__(message)
        self.declared = declared


def load_isolated(
    manager: pluggy.PluginManager, entry_point: EntryPoint, *, settings: Mapping[str, Any], blocked: frozenset[str]
) -> LoadedPlugin:
    """Loads the plugin of one entry point; whatever goes wrong becomes its report, and nothing of it stays registered.

    Args:
        manager: Where it is registered.
        entry_point: Names the plugin's module.
        settings: The plugin's table, as it was given.
        blocked: Names of plugins and of distributions that are not loaded.
    """
    distribution = entry_point.dist.name if entry_point.dist else ""
    version = entry_point.dist.version if entry_point.dist else ""
    key = f"{distribution}:{entry_point.name}" if distribution else entry_point.name
    declared: int | None = None

    def outcome(status: PluginStatus, reason: str = "") -> PluginReport:
        return PluginReport(
            name=entry_point.name,
            distribution=distribution,
            version=version,
            status=status,
            api=declared,
            reason=reason,
        )

    if blocked & {entry_point.name, distribution}:
        return LoadedPlugin(key=key, report=outcome(PluginStatus.BLOCKED, "the settings block it"))
    try:
        module = _import(entry_point)
        declared = _declared_api(module)
        _check_api(declared)
        records, table = _register(manager, module, key, settings)
    except _Incompatible as error:
        declared = error.declared
        return LoadedPlugin(key=key, report=outcome(PluginStatus.INCOMPATIBLE, str(error)))
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        logger.debug("plugin %s failed to load", key, exc_info=True)
        return LoadedPlugin(key=key, report=outcome(PluginStatus.FAILED, describe_error(error)))
    return LoadedPlugin(key=key, report=outcome(PluginStatus.ACTIVE), records=records, settings=table)


def describe_error(error: BaseException) -> str:
    """One line about an exception of somebody else's code; our own errors speak for themselves."""
    text = " ".join(str(error).split())
    if isinstance(error, HawkFishError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _import(entry_point: EntryPoint) -> object:
    try:
        return entry_point.load()
    except (Exception, SystemExit):
        # A plugin for a later HawkFish mostly fails by importing what this one lacks; the number says what to do about it.
        if (declared := _literal_api(entry_point.module)) is not None:
            _check_api(declared)
        raise


def _declared_api(module: object) -> int | None:
    declared = getattr(module, "HAWKFISH_PLUGIN_API", None)
    return declared if type(declared) is int else None


def _literal_api(module: str) -> int | None:
    """Reads the number from the source of a module that cannot be imported."""
    try:
        spec = find_spec(module)
        tree = ast.parse(Path(spec.origin).read_bytes()) if spec and spec.origin else ast.Module([], [])
    except (Exception, SystemExit):  # noqa: BLE001  to look for it imports its package, which may be what fails
        return None
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="HAWKFISH_PLUGIN_API")], value=ast.Constant(value=int(number))):
                return number
    return None


def _check_api(declared: int | None) -> None:
    window = f"{HAWKFISH_PLUGIN_API_OLDEST} to {HAWKFISH_PLUGIN_API}"
    if declared is None:
        reason = f"it does not declare HAWKFISH_PLUGIN_API, the number of the plugin API it was written for ({window})"
    elif declared > HAWKFISH_PLUGIN_API:
        reason = f"it needs plugin API {declared} and this HawkFish speaks {window}; update HawkFish"
    elif declared < HAWKFISH_PLUGIN_API_OLDEST:
        reason = f"it speaks plugin API {declared} and this HawkFish speaks {window}; update the plugin"
    else:
        return
    raise _Incompatible(reason, declared)


def _register(
    manager: pluggy.PluginManager, module: object, key: str, settings: Mapping[str, Any]
) -> tuple[tuple[OwnedRecord, ...], Mapping[str, Any]]:
    """Registers the plugin and drains its hooks; after an error nothing of it is left in the manager."""
    if (other := manager.get_name(module)) is not None:
        raise PluginError(f"another entry point, {other}, names the same module")
    if manager.has_plugin(key):
        raise PluginError(f"another entry point is named {key} too")
    try:
        manager.register(module, key)
        manager.check_pending()  # only this finds a misspelt hook
        _refuse_wrappers(manager, module)
        records = tuple((kind, record) for kind in RECORD_KINDS for record in _drain(manager, module, kind))
        _refuse_own_duplicates(records)
        owned = _share_settings(records, settings, key)
    except BaseException:
        if manager.is_registered(module):  # it is not where register itself refused it
            manager.unregister(module)
        raise
    return owned, MappingProxyType({name: value for item in owned for name, value in item.settings.items()})


def _refuse_wrappers(manager: pluggy.PluginManager, module: object) -> None:
    for caller in manager.get_hookcallers(module) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is module and (implementation.wrapper or implementation.hookwrapper):
                raise PluginError(
                    f"{caller.name} is a wrapper; each implementation is called alone, so write a plain one"
                )


def _drain(manager: pluggy.PluginManager, module: object, kind: RecordKind) -> Iterable[PluginRecord]:
    """Calls the plugin's implementations of one hook and empties what they return, while errors can still be blamed."""
    for implementation in getattr(manager.hook, kind.hook).get_hookimpls():
        if implementation.plugin is not module:
            continue
        given = implementation.function()
        if given is None:
            raise PluginError(f"{kind.hook} returned None; yield records or return a list of them")
        found = [check_record(kind, record) for record in islice(given, MOST_RECORDS + 1)]
        if len(found) > MOST_RECORDS:
            raise PluginError(f"{kind.hook} does not stop after {MOST_RECORDS} records")
        yield from found


def _refuse_own_duplicates(records: Iterable[tuple[RecordKind, PluginRecord]]) -> None:
    seen = set()
    for kind, record in records:
        if (kind.hook, record.name) in seen:
            raise PluginError(f"it offers the {kind.label} {record.name!r} twice")
        seen.add((kind.hook, record.name))


def _share_settings(
    records: tuple[tuple[RecordKind, PluginRecord], ...], settings: Mapping[str, Any], key: str
) -> tuple[OwnedRecord, ...]:
    """Gives each record the part of the plugin's table that it asked for; a key that none asked for is refused."""
    known = {item.name for _, record in records for item in record.settings_fields}
    if unknown := sorted(set(settings) - known):
        raise PluginConfigInvalid(
            f"its table of settings has the unknown key {unknown[0]!r}; it knows {', '.join(sorted(known)) or 'none'}",
            plugin=key,
            field=unknown[0],
        )
    return tuple(
        OwnedRecord(
            kind=kind,
            record=record,
            settings=validate_config(
                record.settings_fields,
                {item.name: settings[item.name] for item in record.settings_fields if item.name in settings},
                plugin=key,
            ),
        )
        for kind, record in records
    )
