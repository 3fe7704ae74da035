"""What core itself registers, through the same hooks as everyone. Imports nothing heavy: factories do."""

from __future__ import annotations

from collections.abc import Iterator

from hawkfish.builtin.simulated.settings import CAPABILITIES, CONFIG_FIELDS
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.plugins import hookimpl
from hawkfish.plugins.compute import ComputeDriver
from hawkfish.plugins.config_fields import ConfigField
from hawkfish.plugins.context import HostConfig, PluginContext, PoolConfig
from hawkfish.plugins.records import ComputeDriverPlugin, StoragePoolPlugin
from hawkfish.plugins.storage import PoolCapability, StoragePool

HAWKFISH_PLUGIN_API = 1


def _simulated(host: HostConfig, context: PluginContext) -> ComputeDriver:
    from hawkfish.builtin.simulated.driver import SimulatedDriver

    return SimulatedDriver(host, context)


def _directory(pool: PoolConfig, context: PluginContext) -> StoragePool:
    from hawkfish.builtin.directory_pool import DirectoryPool

    return DirectoryPool(pool, context)


@hookimpl
def hawkfish_compute_drivers() -> Iterator[ComputeDriverPlugin]:
    """The driver `simulated`."""
    yield ComputeDriverPlugin(
        name="simulated",
        summary="Simulated hosts: machines that run no software, for testing clients",
        factory=_simulated,
        config_fields=CONFIG_FIELDS,
        provides=CAPABILITIES,
        uri_examples=("simulated:///rack1", "simulated:///rack1?cpus=64&memory_mib=262144&boot_seconds=0.5"),
    )


@hookimpl
def hawkfish_storage_pools() -> Iterator[StoragePoolPlugin]:
    """The pool type `dir`."""
    yield StoragePoolPlugin(
        name="dir",
        summary="A folder of volume files on each host",
        factory=_directory,
        config_fields=(
            ConfigField(
                name="path",
                pattern=r"/[^\0]*",
                maximum=1024,
                help="Folder on each host, absolute; by default one of the pool's own in the host's data folder",
            ),
        ),
        requires=frozenset({ComputeCapability.HOST_STORAGE}),
        provides=frozenset(
            {
                PoolCapability.THIN,
                PoolCapability.RESIZE,
                PoolCapability.CLONE,
                PoolCapability.CONTENT,
                PoolCapability.BULK,
            }
        ),
    )
