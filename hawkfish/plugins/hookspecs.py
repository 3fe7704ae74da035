"""The hooks of HawkFish. Hooks register, drivers do: a hook hands over records, core then calls what their factories make.

Each docstring holds a whole plugin module that can be pasted and run.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from hawkfish.plugins.context import PluginContext
from hawkfish.plugins.records import (
    AdmissionPolicyPlugin,
    CliCommandPlugin,
    ComputeDriverPlugin,
    ConsoleProtocolPlugin,
    Event,
    FenceAgentPlugin,
    IdentityProviderPlugin,
    MigrationStrategyPlugin,
    QuotaCheckerPlugin,
    StoragePoolPlugin,
)

PROJECT = "hawkfish"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HawkFishSpecs:
    """Every hook. There is no `firstresult` hook."""

    @hookspec
    def hawkfish_compute_drivers(self) -> Iterable[ComputeDriverPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers compute drivers. Machines on one kind of host.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.records import ComputeDriverPlugin

            HAWKFISH_PLUGIN_API = 1


            def _acme(host, context):
                from acme_hawkfish.driver import AcmeDriver  # heavy imports belong here

                return AcmeDriver(host.uri, timeout=context.call_timeout)


            @hookimpl
            def hawkfish_compute_drivers():
                yield ComputeDriverPlugin(name="acme", summary="Acme hypervisors", factory=_acme)
        """

    @hookspec
    def hawkfish_storage_pools(self) -> Iterable[StoragePoolPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers storage pool types. Volumes of one kind of storage.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.config_fields import ConfigField
            from hawkfish.plugins.records import StoragePoolPlugin
            from hawkfish.plugins.storage import PoolCapability

            HAWKFISH_PLUGIN_API = 1


            def _array(pool, context):
                from acme_hawkfish.pool import ArrayPool

                return ArrayPool(pool.config["address"], context.read_secret(pool.config["password"]))


            @hookimpl
            def hawkfish_storage_pools():
                yield StoragePoolPlugin(
                    name="acme-array",
                    factory=_array,
                    config_fields=(
                        ConfigField(name="address", required=True, help="Address of the array"),
                        ConfigField(name="password", secret=True, required=True, help="Password of the array"),
                    ),
                    provides=frozenset({PoolCapability.SHARED, PoolCapability.THIN}),
                )
        """

    @hookspec
    def hawkfish_migration_strategies(self) -> Iterable[MigrationStrategyPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers migration strategies. Ways to move a machine from host to host.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.records import MigrationStrategyPlugin

            HAWKFISH_PLUGIN_API = 1


            def _patient(context):
                from acme_hawkfish.patient import PatientStrategy

                return PatientStrategy()


            @hookimpl
            def hawkfish_migration_strategies():
                yield MigrationStrategyPlugin(name="patient", factory=_patient, live=True, order=50)
        """

    @hookspec
    def hawkfish_console_protocols(self) -> Iterable[ConsoleProtocolPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers console protocols. Ways to pass a console through a WebSocket.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.records import ConsoleProtocolPlugin

            HAWKFISH_PLUGIN_API = 1


            def _rdp(context):
                from acme_hawkfish.rdp import RdpProtocol

                return RdpProtocol()


            @hookimpl
            def hawkfish_console_protocols():
                yield ConsoleProtocolPlugin(name="rdp", summary="Remote desktop", factory=_rdp)
        """

    @hookspec
    def hawkfish_quota_checkers(self) -> Iterable[QuotaCheckerPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers quota checkers. Rules beyond the limits of a project. All are asked; any denial wins; one that fails denies.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.quota import QuotaChecker, QuotaDenial
            from hawkfish.plugins.records import QuotaCheckerPlugin

            HAWKFISH_PLUGIN_API = 1


            class SmallMachines(QuotaChecker):
                def check(self, request):
                    if request.amounts.get("vCPUs", 0) > 8:
                        return QuotaDenial(resource="vCPUs", message="Machines may have at most 8 vCPUs; ask for fewer.")
                    return None


            @hookimpl
            def hawkfish_quota_checkers():
                yield QuotaCheckerPlugin(name="small-machines", factory=lambda context: SmallMachines())
        """

    @hookspec
    def hawkfish_fence_agents(self) -> Iterable[FenceAgentPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers fence agents. Ways to make sure that a silent host is off.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.config_fields import ConfigField
            from hawkfish.plugins.records import FenceAgentPlugin

            HAWKFISH_PLUGIN_API = 1


            def _strip(fence, context):
                from acme_hawkfish.strip import PowerStrip

                return PowerStrip(fence.config["address"], fence.config["outlet"])


            @hookimpl
            def hawkfish_fence_agents():
                yield FenceAgentPlugin(
                    name="acme-strip",
                    factory=_strip,
                    config_fields=(ConfigField(name="address", required=True), ConfigField(name="outlet", type=int, required=True)),
                )
        """

    @hookspec
    def hawkfish_identity_providers(self) -> Iterable[IdentityProviderPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers identity providers. Reserved: listed now, asked from 0.9.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.records import IdentityProviderPlugin

            HAWKFISH_PLUGIN_API = 1


            def _oidc(context):
                from acme_hawkfish.oidc import AcmeLogin

                return AcmeLogin()


            @hookimpl
            def hawkfish_identity_providers():
                yield IdentityProviderPlugin(name="acme-login", factory=_oidc)
        """

    @hookspec
    def hawkfish_admission_policies(self) -> Iterable[AdmissionPolicyPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers admission policies. Reserved: listed now, asked from 0.9.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.identity import AdmissionDenial, AdmissionPolicy
            from hawkfish.plugins.records import AdmissionPolicyPlugin

            HAWKFISH_PLUGIN_API = 1


            class OfficeHours(AdmissionPolicy):
                def admit(self, request):
                    if request.verb == "systems.delete":
                        return AdmissionDenial(rule="office-hours", message="Systems are deleted in office hours only.")
                    return None


            @hookimpl
            def hawkfish_admission_policies():
                yield AdmissionPolicyPlugin(name="office-hours", factory=lambda context: OfficeHours())
        """

    @hookspec
    def hawkfish_cli_commands(self) -> Iterable[CliCommandPlugin]:  # type: ignore[empty-body]  # pluggy never calls the spec
        """Registers commands. Commands of `hawkfish`, as cliff classes.

        Returns:
            Records; a generator is fine.

        Example::

            from hawkfish.plugins import hookimpl
            from hawkfish.plugins.records import CliCommandPlugin

            HAWKFISH_PLUGIN_API = 1


            def _report():
                from acme_hawkfish.report import Report  # a subclass of cliff.lister.Lister

                return Report


            @hookimpl
            def hawkfish_cli_commands():
                yield CliCommandPlugin(name="acme report", summary="What Acme thinks of your machines", factory=_report)
        """

    @hookspec
    def hawkfish_event(self, event: Event) -> None:
        """Hears of everything that happened, after it was committed, in the worker, once at least.

        Each plugin is told in a thread of its own, in order. What it raises is logged, and while it does not return only its own
        events wait. Where too many have waited, the oldest are replaced by one `HawkFish.1.0.EventsDropped`.

        Args:
            event: What happened.

        Example::

            from hawkfish.plugins import hookimpl

            HAWKFISH_PLUGIN_API = 1


            @hookimpl
            def hawkfish_event(event):
                print(event.message_id, event.subject)
        """

    @hookspec
    def hawkfish_startup(self, context: PluginContext) -> None:
        """Called once in each process of the service when it is ready to work.

        Args:
            context: The installation.

        Example::

            from hawkfish.plugins import hookimpl

            HAWKFISH_PLUGIN_API = 1


            @hookimpl
            def hawkfish_startup(context):
                (context.data_dir / "acme.started").touch()
        """

    @hookspec
    def hawkfish_shutdown(self) -> None:
        """Called once in each process of the service before it ends in order.

        Example::

            from hawkfish.plugins import hookimpl

            HAWKFISH_PLUGIN_API = 1


            @hookimpl
            def hawkfish_shutdown():
                print("good night")
        """
