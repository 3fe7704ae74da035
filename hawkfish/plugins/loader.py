"""The plugin host: loads every plugin by itself, says what each offers, makes drivers and calls the broadcast hooks."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from threading import Lock
from types import MappingProxyType
from typing import Any, TypeVar

import pluggy

from hawkfish.errors import HawkFishError, PluginError, QuotaExceeded
from hawkfish.plugins import ENTRY_POINT_GROUP
from hawkfish.plugins.compute import CAPABILITY_INTERFACES, ComputeDriver
from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.console import ConsoleProtocol
from hawkfish.plugins.context import FenceConfig, HostConfig, PluginContext, PoolConfig
from hawkfish.plugins.fencing import FenceAgent
from hawkfish.plugins.hookspecs import PROJECT, HawkFishSpecs
from hawkfish.plugins.isolation import LoadedPlugin, describe_error, load_isolated
from hawkfish.plugins.migration import MigrationStrategy
from hawkfish.plugins.quota import QuotaChecker, QuotaDenial, QuotaRequest
from hawkfish.plugins.records import (
    AdmissionPolicyPlugin,
    CliCommandPlugin,
    ComputeDriverPlugin,
    ConsoleProtocolPlugin,
    Event,
    FenceAgentPlugin,
    IdentityProviderPlugin,
    MigrationStrategyPlugin,
    PluginRecord,
    QuotaCheckerPlugin,
    StoragePoolPlugin,
)
from hawkfish.plugins.registry import Offer, find_conflicts, kind_of, missing_modules
from hawkfish.plugins.reports import PluginReport, PluginStatus
from hawkfish.plugins.storage import POOL_CAPABILITY_INTERFACES, StoragePool

logger = logging.getLogger(__name__)

RecordT = TypeVar("RecordT", bound=PluginRecord)
MadeT = TypeVar("MadeT")
CapabilityT = TypeVar("CapabilityT")


@dataclass(frozen=True, kw_only=True)
class BroadcastFailure:
    """A plugin's implementation of a broadcast hook that raised."""

    plugin: str
    hook: str
    error: BaseException


class PluginHost:
    """All plugins of this process. Made by `load`; nothing is changed afterwards."""

    def __init__(
        self, manager: pluggy.PluginManager, plugins: Iterable[LoadedPlugin], *, context: PluginContext | None = None
    ) -> None:
        self.manager = manager
        self._plugins = tuple(plugins)
        self._offers = _find_offers(self._plugins)
        self._context = context
        self._checkers: dict[str, QuotaChecker] = {}
        self._checkers_lock = Lock()
        self.reports = tuple(_complete_report(plugin, self._offers) for plugin in self._plugins)
        """What became of each plugin, core first, then by name."""

    @classmethod
    def load(
        cls,
        *,
        sources: Iterable[EntryPoint] | None = None,
        blocked: Iterable[str] = (),
        strict: bool = False,
        settings: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        context: PluginContext | None = None,
    ) -> PluginHost:
        """Loads every plugin; a bad one is reported and the rest work.

        Args:
            sources: Entry points to load instead of those installed.
            blocked: Names of plugins, or of distributions, that are not loaded.
            strict: Refuse to go on when a plugin is not sound.
            settings: The tables `[plugins.<name>]`, by plugin.
            context: This installation, for what is made later; commands that only list plugins have none.

        Raises:
            PluginError: `strict` is set, and a plugin is not sound or a table belongs to none; all are named.
        """
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(HawkFishSpecs)
        found = entry_points(group=ENTRY_POINT_GROUP) if sources is None else sources
        ordered = sorted(found, key=_load_order)
        names = frozenset(blocked)
        host = cls(
            manager,
            [load_isolated(manager, item, settings=settings.get(item.name, {}), blocked=names) for item in ordered],
            context=context,
        )
        problems = [str(report) for report in host.reports if not report.is_sound]
        orphans = sorted(set(settings) - {item.name for item in ordered})
        problems += [f"the table [plugins.{name}] belongs to no plugin that is installed" for name in orphans]
        for problem in problems:
            logger.warning("plugin: %s", problem)
        if strict and problems:
            raise PluginError(
                "Not every plugin can be used, and strict_plugins is set. Repair, remove or block: "
                + "; ".join(problems),
                plugin=", ".join(report.name for report in host.reports if not report.is_sound),
            )
        return host

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def compute_drivers(self) -> Mapping[str, ComputeDriverPlugin]:
        """Compute drivers that can be used, by name."""
        return self._usable(ComputeDriverPlugin)

    @property
    def storage_pools(self) -> Mapping[str, StoragePoolPlugin]:
        """Storage pool types that can be used, by name."""
        return self._usable(StoragePoolPlugin)

    @property
    def migration_strategies(self) -> Mapping[str, MigrationStrategyPlugin]:
        """Migration strategies that can be used, by name, in the order in which they are tried."""
        usable = self._usable(MigrationStrategyPlugin)
        return MappingProxyType(dict(sorted(usable.items(), key=lambda item: (item[1].order, item[0]))))

    @property
    def console_protocols(self) -> Mapping[str, ConsoleProtocolPlugin]:
        """Console protocols that can be used, by name."""
        return self._usable(ConsoleProtocolPlugin)

    @property
    def quota_checkers(self) -> Mapping[str, QuotaCheckerPlugin]:
        """Quota checkers that can be used, by name; `check_quota` asks the others too, and they deny."""
        return self._usable(QuotaCheckerPlugin)

    @property
    def fence_agents(self) -> Mapping[str, FenceAgentPlugin]:
        """Fence agents that can be used, by name."""
        return self._usable(FenceAgentPlugin)

    @property
    def identity_providers(self) -> Mapping[str, IdentityProviderPlugin]:
        """Identity providers that can be used, by name."""
        return self._usable(IdentityProviderPlugin)

    @property
    def admission_policies(self) -> Mapping[str, AdmissionPolicyPlugin]:
        """Admission policies that can be used, by name."""
        return self._usable(AdmissionPolicyPlugin)

    @property
    def cli_commands(self) -> Mapping[str, CliCommandPlugin]:
        """Commands that can be used, by their words."""
        return self._usable(CliCommandPlugin)

    def _usable(self, record_type: type[RecordT]) -> Mapping[str, RecordT]:
        found = {
            offer.record.name: offer.record
            for offer in self._offers
            if isinstance(offer.record, record_type) and not offer.problem
        }
        return MappingProxyType(dict(sorted(found.items())))

    # --- making things -----------------------------------------------------------------------------------------------

    def create_compute_driver(
        self, name: str, config: HostConfig, context: PluginContext | None = None
    ) -> ComputeDriver:
        """Makes the driver of one host; it is not opened yet.

        Args:
            name: Name of the driver.
            config: The host; its `settings` as they were given.
            context: This installation; default the one that `load` got.

        Raises:
            PluginConfigInvalid: The host's settings do not fit; the message names the key.
            PluginError: There is no such driver, it cannot be used here, or its factory failed.
        """
        record, offer = self._find(ComputeDriverPlugin, name)
        checked = replace(config, settings=validate_config(record.config_fields, config.settings, plugin=name))
        given = self._context_for(offer, context)
        driver = _make(offer, lambda: record.factory(checked, given), ComputeDriver)
        _check_promises(offer, driver, record.provides, CAPABILITY_INTERFACES)
        return driver

    def create_storage_pool(self, name: str, config: PoolConfig, context: PluginContext | None = None) -> StoragePool:
        """Makes the plugin's object of one pool; nothing is prepared yet.

        Args:
            name: Name of the pool type.
            config: The pool; its `config` as it was given.
            context: This installation; default the one that `load` got.

        Raises:
            PluginConfigInvalid: The pool's configuration does not fit; the message names the key.
            PluginError: There is no such type, it cannot be used here, or its factory failed.
        """
        record, offer = self._find(StoragePoolPlugin, name)
        checked = replace(config, config=validate_config(record.config_fields, config.config, plugin=name))
        given = self._context_for(offer, context)
        pool = _make(offer, lambda: record.factory(checked, given), StoragePool)
        _check_promises(offer, pool, record.provides, POOL_CAPABILITY_INTERFACES)
        return pool

    def create_fence_agent(self, name: str, config: FenceConfig, context: PluginContext | None = None) -> FenceAgent:
        """Makes the agent of one host's fence device, its `config` as it was given; raises like `create_compute_driver`."""
        record, offer = self._find(FenceAgentPlugin, name)
        checked = replace(config, config=validate_config(record.config_fields, config.config, plugin=name))
        given = self._context_for(offer, context)
        return _make(offer, lambda: record.factory(checked, given), FenceAgent)

    def create_migration_strategy(self, name: str, context: PluginContext | None = None) -> MigrationStrategy:
        """Makes a migration strategy; raises `PluginError` like `create_compute_driver`."""
        record, offer = self._find(MigrationStrategyPlugin, name)
        given = self._context_for(offer, context)
        return _make(offer, lambda: record.factory(given), MigrationStrategy)

    def create_console_protocol(self, name: str, context: PluginContext | None = None) -> ConsoleProtocol:
        """Makes a console protocol; raises `PluginError` like `create_compute_driver`."""
        record, offer = self._find(ConsoleProtocolPlugin, name)
        given = self._context_for(offer, context)
        return _make(offer, lambda: record.factory(given), ConsoleProtocol)

    def create_cli_command(self, name: str) -> type:
        """Gives the class of a command; raises `PluginError` like `create_compute_driver`."""
        record, offer = self._find(CliCommandPlugin, name)
        return _make(offer, record.factory, type)

    def _find(self, record_type: type[RecordT], name: str) -> tuple[RecordT, Offer]:
        label = kind_of(record_type).label
        for offer in self._offers:
            if isinstance(offer.record, record_type) and offer.record.name == name:
                _refuse_unusable(offer)
                return offer.record, offer
        known = ", ".join(self._usable(record_type)) or "none"
        raise PluginError(
            f"There is no {label} named {name!r}; there are: {known}. Install the plugin that has it, or see why it is "
            "missing with `hawkfish plugins list`.",
            plugin=name,
        )

    def _context_for(self, offer: Offer, context: PluginContext | None) -> PluginContext:
        return replace(self._installation(context), settings=offer.settings)

    def _installation(self, context: PluginContext | None) -> PluginContext:
        if found := context or self._context:
            return found
        raise PluginError("The plugins were loaded for listing only; load them with a context to use them.", plugin="")

    # --- quota -------------------------------------------------------------------------------------------------------

    def check_quota(self, request: QuotaRequest) -> None:
        """Asks every quota checker; any denial wins, and one that fails or cannot be used denies.

        Raises:
            QuotaExceeded: At least one denies; the message holds what each of them says.
        """
        denials = [
            (offer.record.name, denial)
            for offer in self._offers
            if isinstance(offer.record, QuotaCheckerPlugin)
            and (denial := self._ask_checker(offer, offer.record, request)) is not None
        ]
        if not denials:
            return
        checker, first = denials[0]
        usage = request.usage.get(first.resource)
        raise QuotaExceeded(
            " ".join(denial.message for _, denial in denials),
            resource=first.resource,
            limit=usage.limit if usage else None,
            used=usage.used if usage else None,
            requested=request.amounts.get(first.resource),
            checker=checker,
        )

    def _ask_checker(self, offer: Offer, record: QuotaCheckerPlugin, request: QuotaRequest) -> QuotaDenial | None:
        try:
            answer: object = self._checker(offer, record).check(request)
            if answer is None or isinstance(answer, QuotaDenial):
                return answer
            raise TypeError(f"it answered with a {type(answer).__name__}")  # noqa: TRY301  handled like any failure
        except (Exception, SystemExit):
            logger.exception("quota checker %s of plugin %s failed", record.name, offer.plugin_label)
            return QuotaDenial(
                resource="",
                message=f"The quota checker {record.name!r} could not be asked, and so the request is denied; an "
                "administrator finds the reason in the log, and can repair or block its plugin.",
            )

    def _checker(self, offer: Offer, record: QuotaCheckerPlugin) -> QuotaChecker:
        _refuse_unusable(offer)
        with self._checkers_lock:
            if record.name not in self._checkers:
                given = self._context_for(offer, None)
                self._checkers[record.name] = _make(offer, lambda: record.factory(given), QuotaChecker)
            return self._checkers[record.name]

    # --- broadcasts --------------------------------------------------------------------------------------------------

    def event_listeners(self) -> Mapping[str, Callable[[Event], None]]:
        """How to tell each plugin that implements `hawkfish_event` of an event, by plugin; what it raises passes."""
        implementations = self.manager.hook.hawkfish_event.get_hookimpls()
        return {item.plugin_name: partial(_tell, item) for item in reversed(implementations)}

    def broadcast_event(self, event: Event) -> list[BroadcastFailure]:
        """Tells every plugin what happened; failures are logged and returned, never raised."""
        return self._broadcast("hawkfish_event", lambda _: {"event": event})

    def startup(self, context: PluginContext | None = None) -> list[BroadcastFailure]:
        """Tells every plugin that this process is ready to work; each gets a context with its own settings."""
        installation = self._installation(context)
        settings = {plugin.key: plugin.settings for plugin in self._plugins}
        return self._broadcast(
            "hawkfish_startup", lambda key: {"context": replace(installation, settings=settings[key])}
        )

    def shutdown(self) -> list[BroadcastFailure]:
        """Tells every plugin that this process ends."""
        return self._broadcast("hawkfish_shutdown", lambda _: {})

    def _broadcast(self, hook: str, arguments: Callable[[str], Mapping[str, Any]]) -> list[BroadcastFailure]:
        failures = []
        # pluggy would stop at the first implementation that raises, so each is called alone; its order is kept.
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            given = arguments(implementation.plugin_name)
            try:
                implementation.function(*(given[name] for name in implementation.argnames))
            except (Exception, SystemExit) as error:
                logger.exception("%s of plugin %s failed", hook, implementation.plugin_name)
                failures.append(BroadcastFailure(plugin=implementation.plugin_name, hook=hook, error=error))
        return failures


def _tell(implementation: pluggy.HookImpl, event: Event) -> None:
    implementation.function(*(event for _ in implementation.argnames))


def _load_order(entry_point: EntryPoint) -> tuple[bool, str, str]:
    distribution = entry_point.dist.name if entry_point.dist else ""
    return distribution != PROJECT, entry_point.name, distribution


def _find_offers(plugins: Iterable[LoadedPlugin]) -> tuple[Offer, ...]:
    offers = [
        Offer(
            plugin=plugin.key,
            plugin_label=plugin.report.label,
            kind=item.kind,
            record=item.record,
            settings=item.settings,
            missing=missing_modules(item.record),
        )
        for plugin in plugins
        for item in plugin.records
    ]
    conflicts = find_conflicts(offers)
    return tuple(
        replace(offer, conflict="" if rivals is None else f"its name is offered by each of {', '.join(rivals)}")
        for offer in offers
        for rivals in [conflicts.get((offer.kind.hook, offer.record.name))]
    )


def _complete_report(plugin: LoadedPlugin, offers: Iterable[Offer]) -> PluginReport:
    own = [offer for offer in offers if offer.plugin == plugin.key]
    if plugin.report.status is not PluginStatus.ACTIVE or not own:
        return plugin.report
    # Records that share a problem (three of them that need libvirt) make one sentence.
    counted = Counter(
        f"the {offer.kind.label} {offer.record.name!r} is not used: {offer.conflict}"
        if offer.conflict
        else offer.missing
        for offer in own
        if offer.problem
    )
    status = PluginStatus.ACTIVE
    if all(offer.problem for offer in own):
        status = PluginStatus.UNAVAILABLE if any(offer.missing for offer in own) else PluginStatus.FAILED
    return replace(
        plugin.report, status=status, reason="; ".join(counted), records=tuple(offer.report() for offer in own)
    )


def _refuse_unusable(offer: Offer) -> None:
    if offer.problem:
        state = "not used" if offer.conflict else "unavailable"
        raise PluginError(
            f"The {offer.kind.label} {offer.record.name!r} of plugin {offer.plugin_label} is {state}: {offer.problem}.",
            plugin=offer.record.name,
        )


def _make(offer: Offer, factory: Callable[[], MadeT], made_type: type[Any]) -> MadeT:
    """Calls a factory and checks what it made; errors on purpose pass, all others become `PluginError`."""
    name = f"{offer.kind.label} {offer.record.name!r} of plugin {offer.plugin_label}"
    try:
        made = factory()
    except HawkFishError:
        raise
    except ImportError as error:
        missing = error.name or str(error)
        raise PluginError(
            f"The {name} is unavailable: {missing} cannot be imported ({describe_error(error)}). Install it on this "
            "machine.",
            plugin=offer.record.name,
        ) from error
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"The {name} could not be made: {describe_error(error)}. Report this to the author of the plugin.",
            plugin=offer.record.name,
        ) from error
    if not isinstance(made, made_type):
        raise PluginError(
            f"The {name} could not be made: its factory gave a {type(made).__name__}, not a {made_type.__name__}.",
            plugin=offer.record.name,
        )
    return made


def _check_promises(
    offer: Offer, made: object, provides: Iterable[CapabilityT], interfaces: Mapping[CapabilityT, type]
) -> None:
    """Refuses what lacks an interface that its record claims, before anything is offered because of the claim."""
    for capability in provides:
        interface = interfaces.get(capability)  # some capabilities are facts without methods
        if interface is not None and not isinstance(made, interface):
            raise PluginError(
                f"The {offer.kind.label} {offer.record.name!r} of plugin {offer.plugin_label} claims {capability} and its "
                f"{type(made).__name__} is no {interface.__name__}. Report this to the author of the plugin.",
                plugin=offer.record.name,
            )
