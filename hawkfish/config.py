"""Settings: the environment (HF_*) over `hawkfish.toml` over defaults, read once into one frozen value."""

from __future__ import annotations

import ipaddress
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from environs import Env, EnvError

from hawkfish.errors import ConfigurationError

DEFAULT_HTTPS_PORT = 8443
DEFAULT_HTTP_PORT = 8000


def _default_data_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/hawkfish")
    from platformdirs import user_data_path

    return user_data_path("hawkfish")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the service can be told. Each field is `HF_<NAME>` in the environment and `<name>` in hawkfish.toml."""

    data_dir: Path
    """Folder of the database, certificates, sockets and the simulator's state; default `/var/lib/hawkfish` for root, else a
    folder of the user's own."""
    database_url: str
    """SQLAlchemy URL; default an SQLite file `hawkfish.db` in the data directory."""
    bind: str = f"127.0.0.1:{DEFAULT_HTTPS_PORT}"
    """HOST:PORT that the API listens on; without TLS the default port is 8000."""
    tls: bool = True
    """Whether the API speaks TLS with a certificate of the service's own CA."""
    tls_certificate: Path | None = None
    """PEM certificate chain to use instead of one of our own."""
    tls_key: Path | None = None
    """PEM private key that belongs to `tls_certificate`."""
    admin_password: str | None = field(default=None, repr=False)
    """First password of the account `admin`, used only when the account is made."""
    image_dirs: tuple[str, ...] = ()
    """Folders of image files that disks may be made from; default `images` in the data directory."""
    image_max_bytes: int = 64 * 1024**3
    """Largest image, in bytes, that is downloaded, uploaded or copied into the image store."""
    image_reserve_bytes: int = 256 * 1024**2
    """Room, in bytes, that the image store leaves free on its disk."""
    download_stall_seconds: float = 30.0
    """Longest silence of a server that an image is downloaded from; also the time over which its rate is measured."""
    download_least_rate: int = 1024
    """Bytes a second below which a download is given up."""
    trusted_ca_file: Path | None = None
    """PEM certificates of authorities that servers of images and receivers of events may be certified by, beside those that this
    machine trusts; it is read anew when it changes."""
    media_max_bytes: int = 16 * 1024**3
    """Largest image, in bytes, that is fetched for a virtual drive."""
    media_cache_bytes: int = 64 * 1024**3
    """Bytes that the cache of such images may take on the service's machine, and its copies on each host; what was not used for
    longest goes first, and never what is inserted."""
    media_wait: int = 1800
    """Seconds that a power-on waits for images that are still being fetched for the system's drives."""
    secret_key_file: Path | None = None
    """File with the key that protects passwords of image servers until they were used, and headers and secrets of subscriptions;
    default `secret.key` in the data directory, made when it is first needed. Processes on several machines need the same one."""
    api_workers: int = 1
    """gunicorn worker processes of the API."""
    sync_wait_ms: int = 800
    """How long, in milliseconds, a request waits for its task before it is answered with 202."""
    session_timeout: int = 1800
    """Seconds without a request after which a session ends."""
    max_sessions_per_account: int = 1000
    """Sessions an account may have; beyond it the oldest idle one is dropped."""
    max_body_bytes: int = 1024 * 1024
    """Largest request body, in bytes."""
    lockout_threshold: int = 10
    """Failed logins of one account from one address after which both are locked out; 0 turns it off."""
    lockout_duration: int = 60
    """Seconds that a lockout lasts."""
    basic_cache_seconds: int = 60
    """How long a verified Basic password is remembered (as a keyed hash, in memory)."""
    task_workers: int = 16
    """Tasks at work at once in a worker; those that wait for a guest or a host for more than a second do not count."""
    task_lease_seconds: float = 10.0
    """Lease of a worker on its tasks; it renews it well before."""
    task_retention_days: int = 14
    """Days that ended tasks are kept."""
    events_kept: int = 100_000
    """Events that are kept at most, delivered or not; the oldest go first."""
    event_retention_days: int = 30
    """Days that events are kept."""
    event_backlog: int = 10_000
    """Events that wait for a receiver that is away or slow; beyond them the oldest are given up, which it is told."""
    event_delivery_seconds: float = 10.0
    """Time that a receiver has to take a delivery."""
    event_retry_attempts: int = 10
    """Times that a failed delivery is tried again before its subscription is suspended or terminated, if it is to be."""
    event_retry_seconds: float = 5.0
    """Pause before a failed delivery is tried again; it doubles each time, up to a minute,
    but for subscriptions that ask for `RetryForever`."""
    event_subscriptions: int = 200
    """Subscriptions that events are posted to at most."""
    event_streams: int = 5000
    """Streams of events that one process of the API has open at most."""
    event_streams_per_account: int = 2000
    """Streams of events that one process of the API has open at most for one account: a thousand listeners may all come back before
    it is noticed that their old connections are lost, and still leave room for others."""
    events_allowed_networks: tuple[str, ...] = ()
    """Networks, such as 10.1.0.0/16, that the subscriptions of others than administrators may deliver to although they are
    of this machine or private. Link-local addresses and those of cloud metadata are refused whatever stands here."""
    audit_retention_days: int = 365
    """Days that audit rows are kept."""
    placement: str = "spread"
    """Which of several hosts with room takes a new system: `spread` the one with the most memory free, `pack` the least."""
    host_reserved_memory: int = 512
    """MiB of a new host that are kept for the host itself."""
    pool_overcommit: float = 10.0
    """Bytes that a new pool of thin files gives to volumes for each byte that it has."""
    host_tasks: int = 8
    """Tasks running at once on one host; a host that hangs holds up no more than these, and no task of another host."""
    host_starts: int = 4
    """Power-ons running at once on one host."""
    graceful_timeout: int = 120
    """Seconds that a guest is given to obey a graceful shutdown before the task says that it did not."""
    driver_timeout: float = 30.0
    """Deadline in seconds of an ordinary call to a hypervisor."""
    host_down_seconds: float = 10.0
    """How long a host that does not answer is Suspect before it is Down."""
    sweep_seconds: float = 25.0
    """Interval of the slow sweep that compares what is recorded with what each host runs."""
    log_format: str = "console"
    """How the log is written."""
    log_level: str = "info"
    """What is logged: this and what is more serious."""
    metrics_bind: str | None = None
    """HOST:PORT on which a worker shows its metrics without a login; not needed where an API runs on the same machine,
    whose `/metrics` shows them."""
    plugins_blocked: tuple[str, ...] = ()
    """Names of plugins that are not loaded."""
    strict_plugins: bool = False
    """Refuse to start when a plugin cannot be loaded."""
    plugin_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """The tables `[plugins.<name>]` of hawkfish.toml."""

    @property
    def host(self) -> str:
        """The address part of `bind`."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part of `bind`."""
        return int(self.bind.rpartition(":")[2])

    @property
    def url(self) -> str:
        """The address under which clients on this machine reach the API."""
        host = self.host
        shown = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104  compared, not bound
        shown = f"[{shown}]" if ":" in shown else shown
        return f"{'https' if self.tls else 'http'}://{shown}:{self.port}"

    @property
    def image_folders(self) -> tuple[Path, ...]:
        """Folders of image files that disks may be made from."""
        return tuple(Path(item) for item in self.image_dirs) or (self.data_dir / "images",)

    @property
    def metrics_folder(self) -> Path:
        """Where the processes of this machine put what they count."""
        return self.data_dir / "metrics"

    @property
    def image_store(self) -> Path:
        """Folder of the image store."""
        return self.data_dir / "image-store"

    @property
    def media_cache(self) -> Path:
        """Folder of the cache of images for virtual drives."""
        return self.data_dir / "media-cache"

    @property
    def secret_key(self) -> Path:
        """File of the key that protects what must be kept and not be read."""
        return self.secret_key_file or self.data_dir / "secret.key"

    @property
    def ca_file(self) -> Path:
        """Certificate of the service's own CA."""
        return self.data_dir / "tls" / "ca.crt"


def load_settings(
    environment: Mapping[str, str] | None = None, *, file: Path | None = None, **overrides: Any
) -> Settings:
    """Reads the settings.

    Args:
        environment: Variables to read instead of the process environment; an empty one counts as not set.
        file: The TOML file; default `HF_CONFIG`, else `hawkfish.toml` in the data directory where it exists.
        **overrides: Values (of command-line options) that win over both; None means not given.

    Raises:
        ConfigurationError: A value cannot be read, or a key of the file is not known.
    """
    variables = {name: text for name, text in (os.environ if environment is None else environment).items() if text}
    values = _from_environment(variables)
    values.update({name: value for name, value in overrides.items() if value is not None})
    if file is None:
        file = _find_file(variables, _path("data_dir", values.get("data_dir") or _default_data_dir()))
    values = _from_file(file) | values
    data_dir = values["data_dir"] = _path("data_dir", values.get("data_dir") or _default_data_dir()).resolve()
    values.setdefault("database_url", f"sqlite:///{data_dir / 'hawkfish.db'}")
    if "bind" not in values:
        values["bind"] = f"127.0.0.1:{DEFAULT_HTTPS_PORT if values.get('tls', True) else DEFAULT_HTTP_PORT}"
    settings = Settings(**values)
    _check(settings)
    return settings


def _path(setting: str, text: str | Path) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"{setting} is {text}, and there is no such home folder; give the whole path.", setting=setting
        ) from error


def _find_file(variables: Mapping[str, str], data_dir: Path) -> Path | None:
    if "HF_CONFIG" in variables:
        return _path("config", variables["HF_CONFIG"])
    found = data_dir / "hawkfish.toml"
    return found if found.is_file() else None


class _Variables(Env):
    """environs over given variables; its own reading of the process environment would not do for a test or a library."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(prefix="HF_", expand_vars=False)
        self._variables = variables

    def _get_value(self, env_key: str, default: Any) -> Any:
        return self._variables.get(env_key, default)


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    """Reads the variables that are present, each by the type of its field."""
    env = _Variables(variables)
    readers: Mapping[str, Callable[[str], Any]] = {
        "bool": env.bool,
        "int": env.int,
        "float": env.float,
        "str": env.str,
        "Path": lambda name: _path(name.lower(), env.str(name)),
        "tuple[str, ...]": lambda name: tuple(env.list(name)),
    }
    values: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        if f"HF_{name.upper()}" in variables:
            try:
                values[name] = readers[kind](name.upper())
            except EnvError as error:
                raise ConfigurationError(
                    f"HF_{name.upper()} cannot be read: it must be {_WORDS[kind]}.", setting=name
                ) from error
    return values


def _from_file(file: Path | None) -> dict[str, Any]:
    """Reads the file's keys, each of which must have the type of its field."""
    if file is None:
        return {}
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Cannot read the configuration file {file}: {error}.", setting="config") from error
    plugins = table.pop("plugins", {})
    if not isinstance(plugins, dict):
        raise ConfigurationError(f"plugins in {file} must be a table.", setting="plugins")
    if "blocked" in plugins:
        table["plugins_blocked"] = plugins.pop("blocked")
    for name, settings in plugins.items():
        if not isinstance(settings, dict):
            raise ConfigurationError(f"plugins.{name} in {file} must be a table.", setting=f"plugins.{name}")
    return {name: _from_toml(name, value, file) for name, value in table.items()} | {"plugin_settings": plugins}


def _from_toml(name: str, value: Any, file: Path) -> Any:
    kind = _KINDS.get(name)
    if kind is None:
        raise ConfigurationError(f"{file} has the unknown key {name!r}; remove it or correct its name.", setting=name)
    match kind, value:
        case ("bool", bool()) | ("str", str()):
            return value
        case "int", int() if not isinstance(value, bool):
            return value
        case "float", int() | float() if not isinstance(value, bool):
            return float(value)
        case "Path", str():
            return _path(name, value)
        case "tuple[str, ...]", list() if all(isinstance(item, str) for item in value):
            return tuple(value)
    # The value itself is not shown: it may be a secret.
    raise ConfigurationError(f"{name} in {file} must be {_WORDS[kind]}.", setting=name)


_KINDS: Mapping[str, str] = {
    item.name: str(item.type).removesuffix(" | None") for item in fields(Settings) if item.name != "plugin_settings"
}
"""The type of each setting that can be given by name."""

_WORDS: Mapping[str, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "Path": "a path",
    "tuple[str, ...]": "a list of texts",
}

_LEAST: Mapping[str, float] = {
    "image_max_bytes": 512,
    "image_reserve_bytes": 0,
    "download_stall_seconds": 0.1,
    "download_least_rate": 0,
    "media_max_bytes": 1,
    "media_cache_bytes": 1,
    "media_wait": 1,
    "api_workers": 1,
    "sync_wait_ms": 0,
    "session_timeout": 30,
    "max_sessions_per_account": 1,
    "max_body_bytes": 1024,
    "lockout_threshold": 0,
    "lockout_duration": 1,
    "basic_cache_seconds": 0,
    "task_workers": 1,
    "task_lease_seconds": 1,
    "task_retention_days": 0,
    "events_kept": 1,
    "event_retention_days": 0,
    "event_backlog": 1,
    "event_delivery_seconds": 0.1,
    "event_retry_attempts": 0,
    "event_retry_seconds": 0.01,
    "event_subscriptions": 0,
    "event_streams": 0,
    "event_streams_per_account": 0,
    "audit_retention_days": 0,
    "host_reserved_memory": 0,
    "pool_overcommit": 0.1,
    "host_tasks": 1,
    "host_starts": 1,
    "graceful_timeout": 0,
    "driver_timeout": 0.1,
    "host_down_seconds": 0,
    "sweep_seconds": 0.1,
}
_MOST: Mapping[str, float] = {"session_timeout": 86400, "pool_overcommit": 1000}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "placement": ("spread", "pack"),
    "log_format": ("console", "json"),
    "log_level": ("debug", "info", "warning", "error"),
}


def _check(settings: Settings) -> None:
    for name, least in _LEAST.items():
        value, most = getattr(settings, name), _MOST.get(name, math.inf)
        if not least <= value <= most or not math.isfinite(value):
            limit = f"at least {least}" if most == math.inf else f"from {least} to {most}"
            raise ConfigurationError(f"HF_{name.upper()} is {value}; it must be {limit}.", setting=name)
    for name, allowed in _CHOICES.items():
        if (value := getattr(settings, name)) not in allowed:
            raise ConfigurationError(
                f"HF_{name.upper()} is {value!r}; it must be one of {', '.join(allowed)}.", setting=name
            )
    _check_networks(settings)
    for name, address in (("bind", settings.bind), ("metrics_bind", settings.metrics_bind)):
        if address is None:
            continue
        host, _, port = address.rpartition(":")
        right = host and port.isascii() and port.isdigit() and 0 <= int(port) <= 65535  # noqa: PLR2004  the range of ports
        if not right:
            raise ConfigurationError(f"HF_{name.upper()} is {address!r}; it must be HOST:PORT.", setting=name)
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise ConfigurationError("Set both HF_TLS_CERTIFICATE and HF_TLS_KEY, or neither.", setting="tls_certificate")


def _check_networks(settings: Settings) -> None:
    for network in settings.events_allowed_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigurationError(
                f"HF_EVENTS_ALLOWED_NETWORKS holds {network!r}; each must be a network such as 10.1.0.0/16.",
                setting="events_allowed_networks",
            ) from error
