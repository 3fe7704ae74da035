"""What hooks hand over: frozen records that name a thing, say what it needs and can do, and carry its factory.

A record is read without loading anything heavy: `plugin.py` imports no libvirt, the factory does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hawkfish.domain.events import Event as Event  # noqa: PLC0414  what `hawkfish_event` gets is named here too
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.plugins.compute import ComputeDriver
from hawkfish.plugins.config_fields import ConfigField
from hawkfish.plugins.console import ConsoleProtocol
from hawkfish.plugins.context import FenceConfig, HostConfig, PluginContext, PoolConfig
from hawkfish.plugins.fencing import FenceAgent
from hawkfish.plugins.identity import AdmissionPolicy, IdentityProvider
from hawkfish.plugins.migration import MigrationStrategy
from hawkfish.plugins.quota import QuotaChecker
from hawkfish.plugins.storage import PoolCapability, StoragePool


@dataclass(frozen=True, kw_only=True)
class PluginRecord:
    """What all records have.

    Attributes:
        name: Lower case; what rows and commands use. Unique among records of its kind.
        summary: One line for people.
        requires_modules: Modules that the factory imports; where one is missing the plugin is listed as unavailable.
        settings_fields: Fields of its own table `[plugins.<name>]` in hawkfish.toml.
    """

    name: str
    summary: str = ""
    requires_modules: tuple[str, ...] = ()
    settings_fields: tuple[ConfigField, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComputeDriverPlugin(PluginRecord):
    """A kind of host. `uri_examples` are shown to people; `config_fields` are a host's settings."""

    factory: Callable[[HostConfig, PluginContext], ComputeDriver]
    config_fields: tuple[ConfigField, ...] = ()
    provides: frozenset[ComputeCapability] = frozenset()
    uri_examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoragePoolPlugin(PluginRecord):
    """A type of storage pool.

    Attributes:
        requires: What a host must offer for this type; any driver whose hosts do is good enough.
        host_commands: Programs it needs on a host for what it provides.
    """

    factory: Callable[[PoolConfig, PluginContext], StoragePool]
    config_fields: tuple[ConfigField, ...] = ()
    provides: frozenset[PoolCapability] = frozenset()
    requires: frozenset[ComputeCapability] = frozenset()
    host_commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MigrationStrategyPlugin(PluginRecord):
    """A way to move machines. Strategies are tried from the lowest `order` up; `live` says whether the guest runs on."""

    factory: Callable[[PluginContext], MigrationStrategy]
    live: bool = True
    order: int = 100


@dataclass(frozen=True, kw_only=True)
class ConsoleProtocolPlugin(PluginRecord):
    """A console protocol; its name is what `SupportsConsole.console_kinds` says."""

    factory: Callable[[PluginContext], ConsoleProtocol]


@dataclass(frozen=True, kw_only=True)
class QuotaCheckerPlugin(PluginRecord):
    """A quota checker."""

    factory: Callable[[PluginContext], QuotaChecker]


@dataclass(frozen=True, kw_only=True)
class FenceAgentPlugin(PluginRecord):
    """A kind of fence device; `config_fields` are a host's fence settings."""

    factory: Callable[[FenceConfig, PluginContext], FenceAgent]
    config_fields: tuple[ConfigField, ...] = ()


@dataclass(frozen=True, kw_only=True)
class IdentityProviderPlugin(PluginRecord):
    """An identity provider. Reserved: registered and listed now, asked from 0.9."""

    factory: Callable[[PluginContext], IdentityProvider]


@dataclass(frozen=True, kw_only=True)
class AdmissionPolicyPlugin(PluginRecord):
    """An admission policy. Reserved: registered and listed now, asked from 0.9."""

    factory: Callable[[PluginContext], AdmissionPolicy]


@dataclass(frozen=True, kw_only=True)
class CliCommandPlugin(PluginRecord):
    """A command; `name` is its words (`acme report`), `factory` gives the cliff command class."""

    factory: Callable[[], type]
