"""Registers the compute driver `libvirt`. Light on purpose: libvirt is imported by the factory only."""

from __future__ import annotations

from collections.abc import Iterable

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.plugins import hookimpl
from hawkfish.plugins.compute import ComputeDriver
from hawkfish.plugins.config_fields import ConfigField
from hawkfish.plugins.context import HostConfig, PluginContext
from hawkfish.plugins.records import ComputeDriverPlugin

HAWKFISH_PLUGIN_API = 1

CONFIG_FIELDS = (
    ConfigField(
        name="virt_type",
        default="auto",
        choices=("auto", "kvm", "qemu"),
        help="How guests are executed: kvm, qemu (plain emulation), or auto, which proves KVM by running a tiny guest",
    ),
    ConfigField(
        name="machine_type",
        default="q35",
        pattern=r"(pc-)?q35(-[a-z0-9.]+)*",
        help="QEMU machine type of new machines; a type with a version pins it",
    ),
    ConfigField(
        name="data_dir",
        default="/var/lib/hawkfish",
        pattern=r"/[^\s<>&'\"]+",
        help="Folder on the host where serial logs are kept; QEMU's user must be able to pass through it",
    ),
)

PROVIDES = frozenset(
    {
        ComputeCapability.GRACEFUL_SHUTDOWN,
        ComputeCapability.RESET,
        ComputeCapability.NMI,
        ComputeCapability.PAUSE,
        ComputeCapability.SCREENSHOT,
        ComputeCapability.EVENTS,
        ComputeCapability.SERIAL_LOG,
        ComputeCapability.BOOT_OVERRIDE,
        ComputeCapability.MEDIA,
        ComputeCapability.DISK_HOTPLUG,
        ComputeCapability.HOST_STORAGE,
    }
)


def make_driver(host: HostConfig, context: PluginContext) -> ComputeDriver:
    """Makes the driver of one host; nothing is connected yet."""
    from hawkfish_libvirt.driver import LibvirtDriver

    return LibvirtDriver(host, context)


@hookimpl
def hawkfish_compute_drivers() -> Iterable[ComputeDriverPlugin]:
    """Registers hosts that are reached through libvirt."""
    yield ComputeDriverPlugin(
        name="libvirt",
        summary="QEMU machines on hosts that run libvirtd, local or remote",
        requires_modules=("libvirt",),
        factory=make_driver,
        config_fields=CONFIG_FIELDS,
        provides=PROVIDES,
        uri_examples=(
            "qemu:///system",
            "qemu+ssh://root@host.example/system",
            "qemu+unix:///system?socket=/run/libvirt/libvirt-sock",
        ),
    )
