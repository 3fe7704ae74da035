"""Uses what each hook registers, the way the service does. The good fixture plugin and the docstrings give the same."""

import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

from hawkfish.errors import QuotaExceeded
from hawkfish.plugins.context import FenceConfig, HostConfig, PluginContext, PoolConfig
from hawkfish.plugins.loader import PluginHost
from hawkfish.plugins.quota import QuotaRequest, ResourceUsage
from hawkfish.plugins.records import Event
from hawkfish.plugins.secrets import read_secret


def make_host(data_dir: Path, **arguments: object) -> PluginHost:
    context = PluginContext(installation_id="exercise", data_dir=data_dir, call_timeout=7.5, read_secret=read_secret)
    return PluginHost.load(context=context, **arguments)


def _compute_driver(host: PluginHost, _: Path) -> object:
    driver = host.create_compute_driver("acme", HostConfig(id="1", name="one", uri="acme://one"))
    return [driver.probe().hypervisor, driver.probe().hostname, driver.timeout]


def _storage_pool(host: PluginHost, _: Path) -> object:
    os.environ["ACME_PASSWORD"] = "opensesame"
    config = {"address": "array.example", "password": "env:ACME_PASSWORD"}
    pool = host.create_storage_pool("acme-array", PoolConfig(id="1", name="one", config=config))
    return [pool.address, pool.password]


def _migration_strategy(host: PluginHost, _: Path) -> object:
    return [host.migration_strategies["patient"].order, type(host.create_migration_strategy("patient")).__name__]


def _console_protocol(host: PluginHost, _: Path) -> object:
    return [host.console_protocols["rdp"].summary, host.create_console_protocol("rdp").subprotocols[0]]


def _quota_checker(host: PluginHost, _: Path) -> object:
    usage = {"vCPUs": ResourceUsage(used=3, reserved=0, limit=100)}

    def ask(vcpus: int) -> str:
        request = QuotaRequest(project="p", actor="a", verb="systems.create", amounts={"vCPUs": vcpus}, usage=usage)
        try:
            host.check_quota(request)
        except QuotaExceeded as error:
            return (
                f"{error} {error.data['checker']} {error.data['used']} {error.data['limit']} {error.data['requested']}"
            )
        return "allowed"

    return [ask(8), ask(9)]


def _fence_agent(host: PluginHost, _: Path) -> object:
    config = FenceConfig(host_id="1", host_name="one", config={"address": "strip.example", "outlet": 3})
    agent = host.create_fence_agent("acme-strip", config)
    agent.fence()
    return [agent.outlet, agent.status()]


def _identity_provider(host: PluginHost, _: Path) -> object:
    return list(host.identity_providers)


def _admission_policy(host: PluginHost, _: Path) -> object:
    return list(host.admission_policies)


def _cli_command(host: PluginHost, _: Path) -> object:
    command = host.create_cli_command("acme report")
    return [command.__name__, command.take_action(None, None)[1][0][1]]


def _event(host: PluginHost, _: Path) -> object:
    event = Event(id=1, message_id="HawkFish.1.0.VolumeAttached", subject="volume:1", at=datetime.now(UTC))
    with redirect_stdout(io.StringIO()) as printed:
        failures = host.broadcast_event(event)
    return [printed.getvalue(), failures]


def _startup(host: PluginHost, data_dir: Path) -> object:
    failures = host.startup()
    return [(data_dir / "acme.started").exists(), failures]


def _shutdown(host: PluginHost, _: Path) -> object:
    with redirect_stdout(io.StringIO()) as printed:
        failures = host.shutdown()
    return [printed.getvalue(), failures]


EXERCISES: dict[str, tuple[Callable[[PluginHost, Path], object], object]] = {
    "hawkfish_compute_drivers": (_compute_driver, ["Acme 1", "acme://one", 7.5]),
    "hawkfish_storage_pools": (_storage_pool, ["array.example", "opensesame"]),
    "hawkfish_migration_strategies": (_migration_strategy, [50, "PatientStrategy"]),
    "hawkfish_console_protocols": (_console_protocol, ["Remote desktop", "binary"]),
    "hawkfish_quota_checkers": (
        _quota_checker,
        ["allowed", "Machines may have at most 8 vCPUs; ask for fewer. small-machines 3 100 9"],
    ),
    "hawkfish_fence_agents": (_fence_agent, [3, "off"]),
    "hawkfish_identity_providers": (_identity_provider, ["acme-login"]),
    "hawkfish_admission_policies": (_admission_policy, ["office-hours"]),
    "hawkfish_cli_commands": (_cli_command, ["Report", "fine"]),
    "hawkfish_event": (_event, ["HawkFish.1.0.VolumeAttached volume:1\n", []]),
    "hawkfish_startup": (_startup, [True, []]),
    "hawkfish_shutdown": (_shutdown, ["good night\n", []]),
}
"""For each hook: how it is used, and what comes of it."""


if __name__ == "__main__":  # run apart from pytest, with the plugin found by its entry point
    folder = Path(sys.argv[1])
    # Core's own plugins are left out, so that each answer comes from the third party alone.
    loaded = make_host(folder, blocked=sys.argv[2:])
    sys.stdout.write(json.dumps({hook: use(loaded, folder) for hook, (use, _) in EXERCISES.items()}))
