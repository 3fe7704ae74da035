"""The kinds of records, the rules that a record must keep, and who may use which name."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from typing import Any

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.errors import PluginConfigInvalid, PluginError
from hawkfish.plugins.config_fields import ConfigField, config_schema, validate_config
from hawkfish.plugins.records import (
    AdmissionPolicyPlugin,
    CliCommandPlugin,
    ComputeDriverPlugin,
    ConsoleProtocolPlugin,
    FenceAgentPlugin,
    IdentityProviderPlugin,
    MigrationStrategyPlugin,
    PluginRecord,
    QuotaCheckerPlugin,
    StoragePoolPlugin,
)
from hawkfish.plugins.reports import RecordReport
from hawkfish.plugins.storage import PoolCapability

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_WORDS = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)*")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class RecordKind:
    """One kind of record: the hook that hands it over, its class and what people call it."""

    hook: str
    record_type: type[PluginRecord]
    label: str
    capabilities: type[Enum] | None = None
    name_form: re.Pattern[str] = _NAME
    name_rule: str = "lower-case letters, digits and hyphens, beginning with a letter"


RECORD_KINDS = (
    RecordKind(
        hook="hawkfish_compute_drivers",
        record_type=ComputeDriverPlugin,
        label="compute driver",
        capabilities=ComputeCapability,
    ),
    RecordKind(
        hook="hawkfish_storage_pools",
        record_type=StoragePoolPlugin,
        label="storage pool",
        capabilities=PoolCapability,
    ),
    RecordKind(hook="hawkfish_migration_strategies", record_type=MigrationStrategyPlugin, label="migration strategy"),
    RecordKind(hook="hawkfish_console_protocols", record_type=ConsoleProtocolPlugin, label="console protocol"),
    RecordKind(hook="hawkfish_quota_checkers", record_type=QuotaCheckerPlugin, label="quota checker"),
    RecordKind(hook="hawkfish_fence_agents", record_type=FenceAgentPlugin, label="fence agent"),
    RecordKind(hook="hawkfish_identity_providers", record_type=IdentityProviderPlugin, label="identity provider"),
    RecordKind(hook="hawkfish_admission_policies", record_type=AdmissionPolicyPlugin, label="admission policy"),
    RecordKind(
        hook="hawkfish_cli_commands",
        record_type=CliCommandPlugin,
        label="command",
        name_form=_WORDS,
        name_rule="words of lower-case letters, digits and hyphens, with single spaces between them",
    ),
)
"""Every kind of record, by the hook that hands it over."""

_KIND_OF_TYPE = {kind.record_type: kind for kind in RECORD_KINDS}


def kind_of(record_type: type[PluginRecord]) -> RecordKind:
    """The kind of a record class."""
    return _KIND_OF_TYPE[record_type]


# --- rules for one record --------------------------------------------------------------------------------------------


def check_record(kind: RecordKind, record: object) -> PluginRecord:
    """Checks one thing that a hook handed over.

    Raises:
        PluginError: It is not a record of this kind, or breaks a rule; the message says which.
    """
    if not isinstance(record, kind.record_type):
        raise PluginError(f"{kind.hook} must give {kind.record_type.__name__} records, not {_shown(record)}")
    if not isinstance(record.name, str) or not kind.name_form.fullmatch(record.name):
        raise PluginError(f"the {kind.label} name {_shown(record.name)} is not allowed; use {kind.name_rule}")
    for problem in _problems(kind, record):
        raise PluginError(f"the {kind.label} {record.name!r} {problem}")
    return record


def _problems(kind: RecordKind, record: PluginRecord) -> Iterable[str]:
    if not callable(getattr(record, "factory", None)):
        yield "has a factory that cannot be called"
    if not isinstance(record.summary, str):
        yield "has a summary that is no text"
    yield from _text_tuple_problems("requires_modules", record.requires_modules)
    yield from _text_tuple_problems("host_commands", getattr(record, "host_commands", ()))
    yield from _field_problems("settings_fields", record.settings_fields)
    yield from _field_problems("config_fields", getattr(record, "config_fields", ()))
    if kind.capabilities is not None:
        provides: Any = getattr(record, "provides", frozenset())
        if not isinstance(provides, frozenset) or not all(isinstance(item, kind.capabilities) for item in provides):
            yield f"must say what it provides by a frozenset of {kind.capabilities.__name__}"


def _text_tuple_problems(attribute: str, value: object) -> Iterable[str]:
    if not isinstance(value, tuple) or not all(isinstance(item, str) and item for item in value):
        yield f"must have a tuple of texts as {attribute}"


def _field_problems(attribute: str, fields: object) -> Iterable[str]:
    if not isinstance(fields, tuple) or not all(isinstance(item, ConfigField) for item in fields):
        yield f"must have a tuple of ConfigField as {attribute}"
        return
    seen = set()
    for item in fields:
        if not _FIELD_NAME.fullmatch(item.name):
            yield f"has the field {item.name!r} in {attribute}; use lower case with underscores"
        if item.name in seen:
            yield f"has two fields {item.name!r} in {attribute}"
        if item.type not in {str, int, float, bool}:
            yield f"has the field {item.name!r} of type {_shown(item.type)}; use str, int, float or bool"
        elif problem := _unfit_default(item):
            yield f"has the field {item.name!r} in {attribute} with a rule or a default that does not fit: {problem}"
        seen.add(item.name)


def _unfit_default(item: ConfigField) -> str:
    """Tries the field on its own default, so that its author sees the mistake, not the first administrator."""
    try:
        re.compile(item.pattern or "")
        if item.default is not None:
            validate_config((item,), {item.name: item.default}, plugin="the record")
    except (re.error, TypeError, PluginConfigInvalid) as error:
        return str(error)
    return ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}"  # noqa: PLR2004  what fits into one line


# --- all records together --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A record together with the plugin that offers it.

    Attributes:
        plugin: Key of the plugin, unique among those loaded.
        plugin_label: The plugin, for messages.
        settings: The part of the plugin's table that the record asked for, validated.
        missing: Why it cannot be used here; empty if nothing is missing.
        conflict: Who else offers the name; empty if nobody.
    """

    plugin: str
    plugin_label: str
    kind: RecordKind
    record: PluginRecord
    settings: Mapping[str, Any]
    missing: str = ""
    conflict: str = ""

    @property
    def problem(self) -> str:
        """Why the record cannot be used; empty if it can."""
        return self.conflict or self.missing

    def report(self) -> RecordReport:
        """The record as reports show it."""
        provides: Iterable[str] = getattr(self.record, "provides", ())
        return RecordReport(
            kind=self.kind.label,
            name=self.record.name,
            summary=self.record.summary,
            capabilities=tuple(sorted(str(capability) for capability in provides)),
            config_schema=config_schema(self.record.config_fields) if hasattr(self.record, "config_fields") else {},
            settings_schema=config_schema(self.record.settings_fields),
            problem=self.problem,
        )


def missing_modules(record: PluginRecord) -> str:
    """Says which of the modules that the factory imports are not installed; empty if none. Nothing is imported."""
    absent = [module for module in record.requires_modules if not _is_installed(module)]
    return f"{' and '.join(absent)} cannot be imported" if absent else ""


def _is_installed(module: str) -> bool:
    # To look for a submodule would import its parent, so that only the first part is looked for; the rest is found out
    # when the factory is called.
    root = module.partition(".")[0]
    if sys.modules.get(root) is not None:
        return True
    try:
        return find_spec(root) is not None
    except (ImportError, ValueError):
        return False


def find_conflicts(offers: Sequence[Offer]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Names that more than one plugin offers.

    Returns:
        From the hook and the name to the labels of the plugins.
    """
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for offer in offers:
        owners[offer.kind.hook, offer.record.name].append(offer.plugin_label)
    return {key: tuple(labels) for key, labels in owners.items() if len(labels) > 1}
