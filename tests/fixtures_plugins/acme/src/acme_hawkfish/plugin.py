from __future__ import annotations

import sys
from collections.abc import Iterable

from hawkfish.plugins import hookimpl
from hawkfish.plugins.compute import ComputeDriver
from hawkfish.plugins.config_fields import ConfigField
from hawkfish.plugins.console import ConsoleProtocol
from hawkfish.plugins.context import FenceConfig, HostConfig, PluginContext, PoolConfig
from hawkfish.plugins.fencing import FenceAgent
from hawkfish.plugins.identity import AdmissionDenial, AdmissionPolicy, AdmissionRequest, IdentityProvider
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
    QuotaCheckerPlugin,
    StoragePoolPlugin,
)
from hawkfish.plugins.storage import PoolCapability, StoragePool

HAWKFISH_PLUGIN_API = 1


def _driver(host: HostConfig, context: PluginContext) -> ComputeDriver:
    from acme_hawkfish.driver import AcmeDriver

    return AcmeDriver(host.uri, timeout=context.call_timeout, region=context.settings["region"])


@hookimpl
def hawkfish_compute_drivers() -> Iterable[ComputeDriverPlugin]:
    yield ComputeDriverPlugin(
        name="acme",
        summary="Acme hypervisors",
        factory=_driver,
        settings_fields=(ConfigField(name="region", default="eu", choices=("eu", "us"), help="Where the hosts are"),),
        config_fields=(ConfigField(name="rack", type=int, minimum=1, help="Number of the rack"),),
        uri_examples=("acme://host.example",),
    )


def _pool(pool: PoolConfig, context: PluginContext) -> StoragePool:
    from acme_hawkfish.pool import ArrayPool

    return ArrayPool(pool.config["address"], context.read_secret(pool.config["password"]))


@hookimpl
def hawkfish_storage_pools() -> Iterable[StoragePoolPlugin]:
    yield StoragePoolPlugin(
        name="acme-array",
        factory=_pool,
        config_fields=(
            ConfigField(name="address", required=True, help="Address of the array"),
            ConfigField(name="password", secret=True, required=True, help="Password of the array"),
        ),
        provides=frozenset({PoolCapability.SHARED, PoolCapability.THIN}),
    )


def _patient(context: PluginContext) -> MigrationStrategy:
    from acme_hawkfish.patient import PatientStrategy

    return PatientStrategy()


@hookimpl
def hawkfish_migration_strategies() -> Iterable[MigrationStrategyPlugin]:
    yield MigrationStrategyPlugin(name="patient", factory=_patient, order=50)


def _rdp(context: PluginContext) -> ConsoleProtocol:
    from acme_hawkfish.rdp import RdpProtocol

    return RdpProtocol()


@hookimpl
def hawkfish_console_protocols() -> Iterable[ConsoleProtocolPlugin]:
    yield ConsoleProtocolPlugin(name="rdp", summary="Remote desktop", factory=_rdp)


class SmallMachines(QuotaChecker):
    def check(self, request: QuotaRequest) -> QuotaDenial | None:
        if request.amounts.get("vCPUs", 0) > 8:
            return QuotaDenial(resource="vCPUs", message="Machines may have at most 8 vCPUs; ask for fewer.")
        return None


@hookimpl
def hawkfish_quota_checkers() -> Iterable[QuotaCheckerPlugin]:
    yield QuotaCheckerPlugin(name="small-machines", factory=lambda context: SmallMachines())


def _strip(fence: FenceConfig, context: PluginContext) -> FenceAgent:
    from acme_hawkfish.strip import PowerStrip

    return PowerStrip(fence.config["address"], fence.config["outlet"])


@hookimpl
def hawkfish_fence_agents() -> Iterable[FenceAgentPlugin]:
    yield FenceAgentPlugin(
        name="acme-strip",
        factory=_strip,
        config_fields=(ConfigField(name="address", required=True), ConfigField(name="outlet", type=int, required=True)),
    )


def _login(context: PluginContext) -> IdentityProvider:
    from acme_hawkfish.oidc import AcmeLogin

    return AcmeLogin()


@hookimpl
def hawkfish_identity_providers() -> Iterable[IdentityProviderPlugin]:
    yield IdentityProviderPlugin(name="acme-login", factory=_login)


class OfficeHours(AdmissionPolicy):
    def admit(self, request: AdmissionRequest) -> AdmissionDenial | None:
        if request.verb == "systems.delete":
            return AdmissionDenial(rule="office-hours", message="Systems are deleted in office hours only.")
        return None


@hookimpl
def hawkfish_admission_policies() -> Iterable[AdmissionPolicyPlugin]:
    yield AdmissionPolicyPlugin(name="office-hours", factory=lambda context: OfficeHours())


def _report() -> type:
    from acme_hawkfish.report import Report

    return Report


@hookimpl
def hawkfish_cli_commands() -> Iterable[CliCommandPlugin]:
    yield CliCommandPlugin(name="acme report", summary="What Acme thinks of your machines", factory=_report)


@hookimpl
def hawkfish_event(event: Event) -> None:
    sys.stdout.write(f"{event.message_id} {event.subject}\n")


@hookimpl
def hawkfish_startup(context: PluginContext) -> None:
    (context.data_dir / "acme.started").touch()


@hookimpl
def hawkfish_shutdown() -> None:
    sys.stdout.write("good night\n")
