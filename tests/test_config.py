"""Settings: the environment over the file over defaults; what cannot be read is named."""

from __future__ import annotations

import ast
import inspect
import os
import string
import textwrap
from dataclasses import MISSING, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hawkfish.config
from hawkfish.config import Settings, load_settings
from hawkfish.errors import ConfigurationError

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
NAMES = {item.name for item in fields(Settings)} - {"plugin_settings"}


def from_file(folder: Path, text: str, environment: dict[str, str] | None = None, **overrides):
    (folder / "hawkfish.toml").write_text(text)
    return load_settings(environment or {}, data_dir=folder, **overrides)


def refused(environment: dict[str, str] | None = None, **options) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environment or {}, **options)
    return caught.value


# --- where a value comes from ----------------------------------------------------------------------------------------


def test_without_anything_the_service_listens_on_loopback_with_tls_and_keeps_all_in_its_folder(tmp_path):
    settings = load_settings({}, data_dir=tmp_path)
    assert settings.url == "https://127.0.0.1:8443"
    assert settings.database_url == f"sqlite:///{tmp_path / 'hawkfish.db'}"
    assert settings.image_folders == (tmp_path / "images",)
    assert settings.ca_file == tmp_path / "tls" / "ca.crt"
    assert load_settings({"HF_TLS": "no"}, data_dir=tmp_path).url == "http://127.0.0.1:8000"


def test_an_option_wins_over_the_environment_and_that_over_the_file(tmp_path):
    text = 'host_starts = 5\ntask_workers = 6\nlog_level = "debug"\n'
    environment = {"HF_HOST_STARTS": "7", "HF_TASK_WORKERS": "8"}
    settings = from_file(tmp_path, text, environment, host_starts=9, task_workers=None)
    assert (settings.host_starts, settings.task_workers, settings.log_level) == (9, 8, "debug")


def test_the_process_environment_is_read_and_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HOST_STARTS", "7")
    before = dict(os.environ)
    assert load_settings().host_starts == 7
    assert load_settings({}, data_dir=tmp_path).host_starts == 4, "given variables are all there is"
    assert dict(os.environ) == before


def test_an_empty_variable_counts_as_not_set(tmp_path):
    empty = {f"HF_{name.upper()}": "" for name in NAMES} | {"HF_CONFIG": ""}
    assert load_settings(empty, data_dir=tmp_path) == load_settings({}, data_dir=tmp_path)


def test_the_file_is_where_it_is_said_and_may_name_the_data_folder(tmp_path):
    file = tmp_path / "elsewhere.toml"
    file.write_text(f'data_dir = "{tmp_path / "data"}"\nhost_starts = 5\n')
    settings = load_settings({"HF_CONFIG": str(file)})
    assert (settings.data_dir, settings.host_starts) == (tmp_path / "data", 5)
    assert load_settings({}, file=file, data_dir=tmp_path).data_dir == tmp_path
    assert load_settings({"HF_CONFIG": str(file), "HF_DATA_DIR": str(tmp_path)}).data_dir == tmp_path


def test_tables_of_plugins_are_kept_for_them(tmp_path):
    settings = from_file(tmp_path, '[plugins]\nblocked = ["acme"]\n[plugins.libvirt]\nretries = 3\n')
    assert settings.plugins_blocked == ("acme",)
    assert settings.plugin_settings == {"libvirt": {"retries": 3}}
    assert load_settings({"HF_PLUGINS_BLOCKED": "a,b"}, data_dir=tmp_path).plugins_blocked == ("a", "b")


def test_secrets_are_not_shown(tmp_path):
    settings = load_settings({"HF_ADMIN_PASSWORD": "Quiet-Harbour-41"}, data_dir=tmp_path)
    assert settings.admin_password == "Quiet-Harbour-41"
    assert "Quiet" not in repr(settings)


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("0.0.0.0:80", "https://127.0.0.1:80"),
        ("[::]:443", "https://127.0.0.1:443"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("192.0.2.1:1", "https://192.0.2.1:1"),
    ],
)
def test_clients_of_this_machine_are_told_an_address_that_they_reach(tmp_path, bind, url):
    assert load_settings({"HF_BIND": bind}, data_dir=tmp_path).url == url


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("HF_HOST_STARTS", "many"),
        ("HF_HOST_STARTS", "4.5"),
        ("HF_HOST_STARTS", "0"),
        ("HF_TLS", "perhaps"),
        ("HF_SWEEP_SECONDS", "soon"),
        ("HF_SWEEP_SECONDS", "nan"),
        ("HF_DRIVER_TIMEOUT", "inf"),
        ("HF_SESSION_TIMEOUT", "29"),
        ("HF_SESSION_TIMEOUT", "86401"),
        ("HF_LOG_FORMAT", "xml"),
        ("HF_LOG_LEVEL", "loud"),
        ("HF_BIND", "8443"),
        ("HF_BIND", "localhost:http"),
        ("HF_BIND", "localhost:65536"),
        ("HF_BIND", "localhost:²"),
        ("HF_TLS_CERTIFICATE", "/etc/cert.pem"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(tmp_path, variable, text):
    error = refused({variable: text}, data_dir=tmp_path)
    assert error.data["setting"] == variable.removeprefix("HF_").lower()
    assert variable in error.message


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("wheels = 4", "wheels"),
        ("plugin_settings = {}", "plugin_settings"),
        ('host_starts = "4"', "host_starts"),
        ("host_starts = true", "host_starts"),
        ("host_starts = 4.0", "host_starts"),
        ("tls = 1", "tls"),
        ("sweep_seconds = true", "sweep_seconds"),
        ("bind = 8443", "bind"),
        ('image_dirs = "/images"', "image_dirs"),
        ("image_dirs = [1]", "image_dirs"),
        ("tls_key = 1", "tls_key"),
        ("host_starts = 0", "host_starts"),
        ("plugins = 1", "plugins"),
        ("[plugins]\nlibvirt = 1", "plugins.libvirt"),
        ("[plugins]\nblocked = 1", "plugins_blocked"),
        ("bind =", "config"),
        ('bind = "\udcff"', "config"),
    ],
)
def test_a_key_of_the_file_that_cannot_be_used_is_named(tmp_path, text, setting):
    (tmp_path / "hawkfish.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert refused(data_dir=tmp_path).data["setting"] == setting


def test_a_file_that_is_not_there_is_an_error_where_it_was_named(tmp_path):
    error = refused({"HF_CONFIG": str(tmp_path / "absent.toml")})
    assert "absent.toml" in error.message


def test_a_password_of_the_wrong_type_is_not_shown(tmp_path):
    (tmp_path / "hawkfish.toml").write_text("admin_password = 8412345")
    assert "8412345" not in refused(data_dir=tmp_path).message


# --- any value -------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@example("secret_key_file", "~0")
@given(st.sampled_from(sorted(NAMES - {"data_dir"})), TEXTS)
def test_whatever_a_variable_holds_is_taken_or_refused_by_name(name, text):
    with TemporaryDirectory() as folder:
        try:
            settings = load_settings({f"HF_{name.upper()}": text}, data_dir=Path(folder))
        except ConfigurationError as error:
            setting = error.data["setting"]
        else:
            setting = name
            assert isinstance(settings, Settings)
    assert setting == name or {setting, name} == {"tls_certificate", "tls_key"}


@given(st.integers(1, 10**6), st.booleans(), st.lists(st.text(string.ascii_letters + "/., '", min_size=1)))
def test_the_file_says_what_its_values_are(starts, tls, folders):
    with TemporaryDirectory() as folder:
        quoted = ", ".join(f'"{item}"' for item in folders)
        text = f"host_starts = {starts}\ntls = {str(tls).lower()}\nimage_dirs = [{quoted}]\nsweep_seconds = {starts}\n"
        settings = from_file(Path(folder), text)
    assert (settings.host_starts, settings.tls, settings.image_dirs) == (starts, tls, tuple(folders))
    assert settings.sweep_seconds == starts


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_lists_every_setting():
    """Where it does not, write what `python -m tests.test_config` prints into it."""
    assert PAGE.read_text() == settings_page()


def settings_page() -> str:
    rows = [
        f"| `{name}` | `HF_{name.upper()}` | {_default_of(name)} | {_limits_of(name)} | {text} |"
        for name, text in _documented().items()
        if name in NAMES
    ]
    intro = """\
    # Settings

    Each setting is a variable of the environment or a key of `hawkfish.toml`, which lies in the data directory or where
    `HF_CONFIG` says. Options of a command win over the environment, and that over the file. An empty variable counts as not
    set. Several folders or names are separated by commas in a variable, and are a list in the file. The settings of a plugin
    are a table of its own in the file, `[plugins.<name>]`.

    | Key | Variable | Default | Allowed | What it is |
    |---|---|---|---|---|
    """
    return textwrap.dedent(intro) + "\n".join(rows) + "\n"


def _documented() -> dict[str, str]:
    """Each field of Settings with the text below it."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(Settings))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for item, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            assert isinstance(below, ast.Expr), f"{item.target.id} has no text below it"
            assert isinstance(below.value, ast.Constant)
            found[item.target.id] = " ".join(str(below.value.value).split()).replace("|", "\\|")
    return found


def _default_of(name: str) -> str:
    (default,) = [item.default for item in fields(Settings) if item.name == name]
    if default is MISSING or default is None or default == ():
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _limits_of(name: str) -> str:
    choices = hawkfish.config._CHOICES.get(name)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    least, most = hawkfish.config._LEAST.get(name), hawkfish.config._MOST.get(name)
    if least is None:
        return ""
    return f"{least} to {most}" if most else f"at least {least}"


if __name__ == "__main__":
    print(settings_page(), end="")  # noqa: T201  this is what the module is run for
