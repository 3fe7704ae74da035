"""What the entry point names: a checker so small that it needs no module of its own."""

from __future__ import annotations

from collections.abc import Iterator

from hawkfish.plugins import hookimpl
from hawkfish.plugins.config_fields import ConfigField
from hawkfish.plugins.context import PluginContext
from hawkfish.plugins.quota import QuotaChecker, QuotaDenial, QuotaRequest
from hawkfish.plugins.records import QuotaCheckerPlugin

HAWKFISH_PLUGIN_API = 1


class MachineSize(QuotaChecker):
    """One request may ask for so many vCPUs and so much memory, whatever the project has left."""

    def __init__(self, vcpus: int, memory_mib: int) -> None:
        self._most = {"vCPUs": vcpus, "MemoryMiB": memory_mib}

    def check(self, request: QuotaRequest) -> QuotaDenial | None:
        for resource, most in self._most.items():
            if request.amounts.get(resource, 0) > most:
                message = f"A machine may have {most} {resource} here; ask for less, or ask an administrator."
                return QuotaDenial(resource=resource, message=message)
        return None


def _machine_size(context: PluginContext) -> QuotaChecker:
    return MachineSize(context.settings["vcpus"], context.settings["memory_mib"])


@hookimpl
def hawkfish_quota_checkers() -> Iterator[QuotaCheckerPlugin]:
    """The checker `machine-size`."""
    yield QuotaCheckerPlugin(
        name="machine-size",
        summary="No machine larger than allowed",
        factory=_machine_size,
        settings_fields=(
            ConfigField(name="vcpus", type=int, default=8, minimum=1, help="Most vCPUs of a machine"),
            ConfigField(name="memory_mib", type=int, default=16384, minimum=16, help="Most memory of a machine in MiB"),
        ),
    )
