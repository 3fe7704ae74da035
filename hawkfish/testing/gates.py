"""Two-sided capability gates: what is claimed must work, what is not claimed must not be offered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import BootDevice, DiskSpec, StartOptions
from hawkfish.domain.storage import FilePath
from hawkfish.errors import NotSupported
from hawkfish.plugins.compute import CAPABILITY_INTERFACES, ComputeDriver, offered_capabilities
from hawkfish.plugins.storage import POOL_CAPABILITY_INTERFACES, PoolCapability, StoragePool

Capability = ComputeCapability
_DISK = DiskSpec(id="data", connection=FilePath(path=PurePosixPath("/nonexistent/hawkfish")))
_NETWORK_FIRST = StartOptions(boot_first=BootDevice.NETWORK)

USES: Mapping[ComputeCapability, Callable[[Any, UUID], object]] = {
    Capability.GRACEFUL_SHUTDOWN: lambda driver, machine: driver.request_shutdown(machine),
    Capability.RESET: lambda driver, machine: driver.reset_machine(machine),
    Capability.NMI: lambda driver, machine: driver.send_nmi(machine),
    Capability.PAUSE: lambda driver, machine: driver.pause_machine(machine),
    Capability.SCREENSHOT: lambda driver, machine: driver.take_screenshot(machine),
    Capability.SERIAL_LOG: lambda driver, machine: driver.read_serial_log(machine),
    Capability.CONSOLE: lambda driver, machine: driver.open_console(machine, "serial"),
    Capability.BOOT_OVERRIDE: lambda driver, machine: driver.start_machine(machine, _NETWORK_FIRST),
    Capability.MEDIA: lambda driver, machine: driver.change_medium(machine, "Cd", None),
    Capability.DISK_HOTPLUG: lambda driver, machine: driver.attach_disk(machine, _DISK),
    Capability.HOST_STORAGE: lambda driver, _machine: driver.pool_stats("hf-contract-absent"),
    Capability.HOST_COMMANDS: lambda driver, _machine: driver.run_command(["true"], 5.0),
    Capability.BULK_DEFINE: lambda driver, _machine: driver.define_machines([]),
    Capability.BULK_VOLUMES: lambda driver, _machine: driver.find_volumes("hf-contract-absent", []),
}
"""A use of each capability on one machine, as it is refused where the host lacks it."""


def assert_not_offered(driver: Any, capability: ComputeCapability, provides: frozenset[ComputeCapability]) -> None:
    """A capability that is not claimed is not in the code either: no interface, and nothing of it that could be called."""
    interface = CAPABILITY_INTERFACES[capability]
    assert capability not in driver.probe().capabilities or not isinstance(driver, interface)
    if capability not in provides:
        assert not isinstance(driver, interface), (
            f"{capability} is not in the record and {interface.__name__} is filled"
        )
        found = [name for name in _methods(interface) if hasattr(driver, name)]
        assert not found, f"{capability} is not in the record and {', '.join(found)} can be called"


def assert_refused(driver: Any, capability: ComputeCapability, machine_id: UUID) -> None:
    """What the code can do and this host cannot is refused as such, not tried."""
    if capability in USES:
        with pytest.raises(NotSupported):
            USES[capability](driver, machine_id)


def needs(*capabilities: ComputeCapability) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Runs a test of a contract (with a parameter `driver`) where the driver offers the capabilities.

    Elsewhere the test shows the other side: what is missing is not offered. Nothing is skipped.
    """

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(test)
        def gated(self: Any, driver: ComputeDriver, provides: frozenset[ComputeCapability], **fixtures: Any) -> None:
            offered = offered_capabilities(driver, driver.probe())
            missing = [item for item in capabilities if item not in offered]
            for item in missing:
                assert_not_offered(driver, item, provides)
            if not missing:
                test(self, driver=driver, **fixtures)

        return _with_parameter(gated, "provides")

    return decorate


def needs_pool(capability: PoolCapability) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Runs a test (with a parameter `pool`) where the record provides the capability; elsewhere the code must lack it."""

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(test)
        def gated(self: Any, pool: StoragePool, provides: frozenset[PoolCapability], **fixtures: Any) -> None:
            if capability in provides:
                test(self, pool=pool, **fixtures)
                return
            interface = POOL_CAPABILITY_INTERFACES.get(capability, type(None))
            assert not isinstance(pool, interface)
            found = [name for name in _methods(interface) if hasattr(pool, name)]
            assert not found, f"{capability} is not in the record and {', '.join(found)} can be called"

        return _with_parameter(gated, "provides")

    return decorate


def _methods(interface: type) -> list[str]:
    return [name for name in vars(interface) if not name.startswith("_")]


def _with_parameter(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Lets pytest hand over a fixture that the test behind the gate has not asked for."""
    signature = inspect.signature(function)
    if name not in signature.parameters:
        added = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]  # functions have it where it differs
            parameters=[*signature.parameters.values(), added]
        )
    return function
