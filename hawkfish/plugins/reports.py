"""What became of each plugin, for `hawkfish plugins list` and for the log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class PluginStatus(StrEnum):
    """What became of a plugin when it was loaded."""

    ACTIVE = "active"
    """Loaded; whatever of it is not usable is named in the reason."""
    BLOCKED = "blocked"
    """Not loaded, because the settings say so."""
    FAILED = "failed"
    """It raised, broke a rule, or nothing of it can be used."""
    INCOMPATIBLE = "incompatible"
    """Written for a plugin API that this version does not speak."""
    UNAVAILABLE = "unavailable"
    """Sound, but a module that it needs is not installed here."""


@dataclass(frozen=True, kw_only=True)
class RecordReport:
    """One record that a plugin offers.

    Attributes:
        kind: For people, such as `storage pool`.
        name: The record's name.
        summary: The record's own line.
        capabilities: What the record says that it provides, sorted.
        config_schema: JSON Schema of the configuration that the record takes; empty for kinds without one.
        settings_schema: JSON Schema of the record's part of the table `[plugins.<plugin>]`.
        problem: Why it cannot be used; empty if it can.
    """

    kind: str
    name: str
    summary: str
    capabilities: tuple[str, ...]
    config_schema: dict[str, Any]
    settings_schema: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class PluginReport:
    """One plugin.

    Attributes:
        name: Name of its entry point, which settings use too.
        distribution: Distribution that holds it; empty where that is not known.
        version: Version of the distribution.
        status: What became of it.
        api: Number of the plugin API that it declares; None if it was not read or is missing.
        reason: Why it, or something of it, cannot be used; empty if all is well.
        records: What it offers, the unusable records included.
    """

    name: str
    distribution: str
    version: str
    status: PluginStatus
    api: int | None = None
    reason: str = ""
    records: tuple[RecordReport, ...] = ()

    @property
    def label(self) -> str:
        """The plugin's name with its distribution, for messages."""
        if not self.distribution:
            return self.name
        return f"{self.name} ({self.distribution} {self.version})".replace(" )", ")")

    @property
    def is_sound(self) -> bool:
        """Whether nothing about it needs a look; a blocked plugin is as its administrator wants it."""
        return self.status is PluginStatus.BLOCKED or (self.status is PluginStatus.ACTIVE and not self.reason)

    @property
    def provides(self) -> dict[str, tuple[str, ...]]:
        """Names of all its records by kind."""
        names: dict[str, tuple[str, ...]] = {}
        for record in self.records:
            names[record.kind] = (*names.get(record.kind, ()), record.name)
        return names

    def __str__(self) -> str:
        return f"{self.label}: {self.status}" + (f": {self.reason}" if self.reason else "")
