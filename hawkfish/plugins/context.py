"""What core hands to plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hawkfish.plugins.config_fields import SecretReference


@dataclass(frozen=True, kw_only=True)
class PluginContext:
    """The surroundings of a plugin.

    Attributes:
        installation_id: UUID of this installation; drivers stamp it into what they make.
        data_dir: Folder of this installation on the controller.
        call_timeout: Seconds that an ordinary operation may take.
        settings: The plugin's own table `[plugins.<name>]`, validated by its record's `settings_fields`.
        read_secret: Gives the value of a secret by its reference; call it late, keep the value nowhere.
    """

    installation_id: str
    data_dir: Path
    call_timeout: float = 30.0
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    read_secret: Callable[[SecretReference], str] = field(repr=False, kw_only=True)


@dataclass(frozen=True, kw_only=True)
class HostConfig:
    """A host as its driver's factory gets it; `settings` are validated by the record's `config_fields`."""

    id: str
    name: str
    uri: str
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class FenceConfig:
    """A host's fence device as its agent's factory gets it.

    Attributes:
        host_id: Id of the host that it can cut off.
        host_name: The host's name, for messages.
        config: The host's fence settings, validated by the record's `config_fields`.
    """

    host_id: str
    host_name: str
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """A pool as its plugin's factory gets it; `config` is validated by the record's `config_fields`."""

    id: str
    name: str
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
