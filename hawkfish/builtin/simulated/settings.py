"""What a simulated host is like: settings of the host, also accepted as a query in its URI. Light: imported by `plugin.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import Firmware
from hawkfish.errors import PluginConfigInvalid
from hawkfish.plugins.config_fields import ConfigField, validate_config

DRIVER = "simulated"
SOCKET_NAME = "simulator.sock"
STATE_NAME = "simulator.state"

CAPABILITIES = frozenset(
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
        ComputeCapability.BULK_DEFINE,
        ComputeCapability.BULK_VOLUMES,
    }
)
"""What the driver can do; consoles and live migration are claimed when they work."""

CONFIG_FIELDS = (
    ConfigField(name="cpus", type=int, minimum=1, maximum=4096, help="Logical processors of the host (64)"),
    ConfigField(name="memory_mib", type=int, minimum=256, maximum=2**30, help="Memory of the host in MiB (262144)"),
    ConfigField(name="storage_gib", type=int, minimum=1, maximum=2**30, help="Size of each pool in GiB (10240)"),
    ConfigField(
        name="boot_seconds", type=float, minimum=0, maximum=3600, help="Time from power on to a ready guest (2)"
    ),
    ConfigField(
        name="shutdown_seconds", type=float, minimum=0, maximum=3600, help="Time that a guest takes to shut down (1)"
    ),
    ConfigField(name="ignores_shutdown", type=bool, help="Guests do not obey the power button (no)"),
    ConfigField(
        name="firmware",
        choices=tuple(item.value for item in Firmware),
        help="The one firmware of the host (it has both)",
    ),
    ConfigField(name="lacks", help="Capabilities that the host is to be without, separated by commas"),
)

_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_-]{1,63})*")
_BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """What a simulated host is like; see `CONFIG_FIELDS`."""

    cpus: int = 64
    memory_mib: int = 262144
    storage_gib: int = 10240
    boot_seconds: float = 2.0
    shutdown_seconds: float = 1.0
    ignores_shutdown: bool = False
    firmware: Firmware | None = None
    lacks: tuple[ComputeCapability, ...] = ()


def parse_host(uri: str, settings: Mapping[str, Any]) -> tuple[str, HostSettings]:
    """Reads `simulated:///NAME?cpus=64&...`; `settings` of the host win over the query.

    Raises:
        PluginConfigInvalid: The address or a setting has the wrong form.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:  # such as simulated://[
        parts = urlsplit("")
    name = parts.path.removeprefix("/")
    if parts.scheme != DRIVER or parts.netloc or not _HOSTNAME.fullmatch(name):
        raise PluginConfigInvalid(
            f"{uri!r} is not the address of a simulated host; use simulated:///NAME, such as simulated:///rack1.",
            plugin=DRIVER,
            field="uri",
        )
    given = {key: _typed(key, text) for key, text in parse_qsl(parts.query, keep_blank_values=True)}
    given.update({key: value for key, value in settings.items() if value is not None})
    checked = validate_config(CONFIG_FIELDS, given, plugin=DRIVER)
    values = {key: value for key, value in checked.items() if value is not None}
    if "firmware" in values:
        values["firmware"] = Firmware(values["firmware"])
    if "lacks" in values:
        values["lacks"] = _capabilities(values["lacks"])
    return name, HostSettings(**values)


def _typed(key: str, text: str) -> Any:
    """The text of a query as the field's type; what does not fit stays text, and the check names it."""
    wanted = next((item.type for item in CONFIG_FIELDS if item.name == key), str)
    if wanted is bool:
        return _BOOLEANS.get(text.lower(), text)
    try:
        return wanted(text)
    except ValueError:
        return text


def _capabilities(text: str) -> tuple[ComputeCapability, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in {item.value for item in CAPABILITIES}]
    if unknown:
        raise PluginConfigInvalid(
            f"A simulated host has no capability {unknown[0]!r} to lack; "
            f"choose from {', '.join(sorted(item.value for item in CAPABILITIES))}.",
            plugin=DRIVER,
            field="lacks",
        )
    return tuple(ComputeCapability(word) for word in words)
