"""What the entry point names. Light: the driver is imported by the factory, when a host needs it."""

from __future__ import annotations

from collections.abc import Iterator

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.plugins import hookimpl
from hawkfish.plugins.compute import ComputeDriver
from hawkfish.plugins.config_fields import ConfigField
from hawkfish.plugins.context import HostConfig, PluginContext
from hawkfish.plugins.records import ComputeDriverPlugin

HAWKFISH_PLUGIN_API = 1


def _processes(host: HostConfig, context: PluginContext) -> ComputeDriver:
    from hawkfish_processes.driver import ProcessDriver

    return ProcessDriver(host, context)


@hookimpl
def hawkfish_compute_drivers() -> Iterator[ComputeDriverPlugin]:
    """The driver `processes`."""
    yield ComputeDriverPlugin(
        name="processes",
        summary="Machines that are processes of this computer, to learn from",
        factory=_processes,
        config_fields=(
            ConfigField(name="memory_mib", type=int, default=1024, minimum=64, help="Memory that machines may have"),
        ),
        provides=frozenset({ComputeCapability.PAUSE}),
        uri_examples=("processes:///var/lib/machines",),
    )
