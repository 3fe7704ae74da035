"""Settings: the environment (HF_*) over `hawkfish.toml` over defaults, read once into one frozen value."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
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
    """Folder of the database, certificates, sockets and the simulator's state."""
    database_url: str
    """SQLAlchemy URL; default an SQLite file `hawkfish.db` in the data directory."""
    bind: str = f"127.0.0.1:{DEFAULT_HTTPS_PORT}"
    """HOST:PORT that the API listens on."""
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
    api_workers: int = 1
    """gunicorn worker processes of the API."""
    sync_wait_ms: int = 800
    """How long, in milliseconds, a request waits for its task before it is answered with 202."""
    session_timeout: int = 1800
    """Seconds without a request after which a session ends (30 to 86400)."""
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
    """Threads of the worker that run tasks."""
    task_lease_seconds: float = 10.0
    """Lease of a worker on its tasks; it renews it well before."""
    task_retention_days: int = 14
    """Days that ended tasks are kept."""
    audit_retention_days: int = 365
    """Days that audit rows are kept."""
    host_starts: int = 4
    """Power-ons running at once on one host."""
    graceful_timeout: int = 120
    """Seconds that a guest is given to obey a graceful shutdown before the task says that it did not."""
    driver_timeout: float = 30.0
    """Deadline in seconds of an ordinary call to a hypervisor."""
    sweep_seconds: float = 15.0
    """Interval of the slow sweep that compares what is recorded with what each host runs."""
    log_format: str = "console"
    """`console` or `json`."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""
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
    def ca_file(self) -> Path:
        """Certificate of the service's own CA."""
        return self.data_dir / "tls" / "ca.crt"


def load_settings(
    environment: Mapping[str, str] | None = None, *, file: Path | None = None, **overrides: Any
) -> Settings:
    """Reads the settings.

    Args:
        environment: Variables to read instead of the process environment.
        file: The TOML file; default `HF_CONFIG`, else `hawkfish.toml` in the data directory where it exists.
        **overrides: Values (of command-line options) that win over both; None means not given.

    Raises:
        ConfigurationError: A value cannot be read, or a key of the file is not known.
    """
    variables = dict(os.environ if environment is None else environment)
    given = {name: value for name, value in overrides.items() if value is not None}
    data_dir = Path(given.get("data_dir") or variables.get("HF_DATA_DIR") or _default_data_dir()).expanduser().resolve()
    table = _read_file(file or _find_file(variables, data_dir))
    values = _from_file(table)
    values.update(_from_environment(variables))
    values.update(given)
    values["data_dir"] = data_dir
    values.setdefault("database_url", f"sqlite:///{data_dir / 'hawkfish.db'}")
    if "bind" not in values:
        tls = values.get("tls", True)
        values["bind"] = f"127.0.0.1:{DEFAULT_HTTPS_PORT if tls else DEFAULT_HTTP_PORT}"
    settings = Settings(**values)
    _check(settings)
    return settings


def _find_file(variables: Mapping[str, str], data_dir: Path) -> Path | None:
    if "HF_CONFIG" in variables:
        return Path(variables["HF_CONFIG"]).expanduser()
    found = data_dir / "hawkfish.toml"
    return found if found.is_file() else None


def _read_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"Cannot read the configuration file {file}: {error}.", setting="config") from error


def _from_file(table: dict[str, Any]) -> dict[str, Any]:
    plugins = dict(table.pop("plugins", {}))
    values: dict[str, Any] = {}
    if "blocked" in plugins:
        values["plugins_blocked"] = tuple(plugins.pop("blocked"))
    values["plugin_settings"] = plugins
    env_table = {f"HF_{name.upper()}": _as_text(value) for name, value in table.items()}
    known = {f"HF_{item.name.upper()}" for item in fields(Settings)}
    for name in env_table:
        if name not in known:
            key = name.removeprefix("HF_").lower()
            raise ConfigurationError(
                f"hawkfish.toml has the unknown key {key!r}; remove it or correct its name.", setting=key
            )
    values.update(_from_environment(env_table))
    return values


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value)


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    """Reads the variables that are present, each by the type of its field."""
    env = Env(prefix="HF_", expand_vars=False)
    present = {item.name for item in fields(Settings) if f"HF_{item.name.upper()}" in variables}
    present -= {"plugin_settings", "data_dir"}
    readers: dict[str, Any] = {
        "bool": env.bool,
        "int": env.int,
        "float": env.float,
        "str": env.str,
        "str | None": env.str,
        "Path": env.path,
        "Path | None": env.path,
        "tuple[str, ...]": lambda name: tuple(env.list(name)),
    }
    values: dict[str, Any] = {}
    # environs reads the process environment only; other mappings (a file, a test) are lent to it for the reading.
    saved = dict(os.environ)
    os.environ.update({f"HF_{name.upper()}": variables[f"HF_{name.upper()}"] for name in present})
    try:
        for item in fields(Settings):
            if item.name in present:
                values[item.name] = readers[str(item.type)](item.name.upper())
    except EnvError as error:
        raise ConfigurationError(f"A setting cannot be read: {error}", setting="environment") from error
    finally:
        os.environ.clear()
        os.environ.update(saved)
    return values


def _check(settings: Settings) -> None:
    host, _, port = settings.bind.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:  # noqa: PLR2004  the range of ports
        raise ConfigurationError(f"HF_BIND is {settings.bind!r}; it must be HOST:PORT.", setting="bind")
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise ConfigurationError("Set both HF_TLS_CERTIFICATE and HF_TLS_KEY, or neither.", setting="tls_certificate")
    if settings.log_format not in {"console", "json"}:
        raise ConfigurationError("HF_LOG_FORMAT must be console or json.", setting="log_format")
