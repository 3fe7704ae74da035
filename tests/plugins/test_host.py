"""What the plugin host does with plugins that are sound: settings, quota, broadcasts, secrets."""

import logging
from datetime import UTC, datetime

import pytest

from hawkfish.errors import ConfigurationError, PluginConfigInvalid, PluginError, QuotaExceeded
from hawkfish.plugins.config_fields import SecretReference
from hawkfish.plugins.context import HostConfig, PoolConfig
from hawkfish.plugins.loader import PluginHost
from hawkfish.plugins.quota import QuotaRequest
from hawkfish.plugins.records import Event
from hawkfish.plugins.secrets import read_secret

from .distributions import entry_points_in

REQUEST = QuotaRequest(project="p", actor="a", verb="systems.create", amounts={"vCPUs": 2})


@pytest.fixture
def load(site, context, monkeypatch):
    monkeypatch.syspath_prepend(site)
    available = entry_points_in(site)

    def load(*names: str, **arguments: object) -> PluginHost:
        return PluginHost.load(sources=[available[name] for name in names], **{"context": context} | arguments)

    return load


# --- settings ----------------------------------------------------------------------------------------------------------


def test_a_driver_gets_the_settings_of_its_plugin_and_of_its_host(load):
    host = load("acme", settings={"acme": {"region": "us"}})
    driver = host.create_compute_driver("acme", HostConfig(id="1", name="one", uri="acme://one", settings={"rack": 4}))
    assert driver.region == "us"


def test_defaults_fill_what_the_settings_leave_out(load):
    driver = load("acme").create_compute_driver("acme", HostConfig(id="1", name="one", uri="acme://one"))
    assert driver.region == "eu"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"regoin": "us"}, "its table of settings has the unknown key 'regoin'; it knows region"),
        ({"region": "mars"}, "The setting 'region' of acme-hawkfish:acme must be one of eu, us; 'mars' is not."),
    ],
)
def test_wrong_settings_of_a_plugin_are_its_own_failure(table, reason, load):
    host = load("acme", "half_missing", settings={"acme": table})
    acme = next(report for report in host.reports if report.name == "acme")
    assert (acme.status, acme.reason) == ("failed", reason)
    assert not host.compute_drivers
    assert "light-half" in host.storage_pools


def test_a_table_that_belongs_to_no_plugin_is_told(load, caplog):
    load("acme", settings={"amce": {"region": "us"}})
    assert "the table [plugins.amce] belongs to no plugin that is installed" in caplog.text
    with pytest.raises(PluginError, match=r"\[plugins.amce\]"):
        load("acme", settings={"amce": {}}, strict=True)


def test_wrong_settings_of_a_host_name_the_key(load):
    host = load("acme")
    with pytest.raises(PluginConfigInvalid, match="'rack' of acme must be at least 1; 0 is not") as caught:
        host.create_compute_driver("acme", HostConfig(id="1", name="one", uri="acme://one", settings={"rack": 0}))
    assert caught.value.data == {"plugin": "acme", "field": "rack"}


def test_a_report_publishes_the_schema_of_a_configuration(load):
    records = {record.name: record for record in load("acme").reports[0].records}
    assert records["acme-array"].config_schema["required"] == ["address", "password"]
    assert records["acme-array"].capabilities == ("shared", "thin")
    assert records["acme"].settings_schema["properties"]["region"]["enum"] == ["eu", "us"]
    assert records["patient"].config_schema == {}


def test_nothing_is_made_without_an_installation(load):
    host = load("acme", context=None)
    assert list(host.compute_drivers) == ["acme"]
    with pytest.raises(PluginError, match="loaded for listing only"):
        host.create_compute_driver("acme", HostConfig(id="1", name="one", uri="acme://one"))


# --- quota -------------------------------------------------------------------------------------------------------------


def test_without_checkers_everything_is_allowed(load):
    load("half_missing").check_quota(REQUEST)


def test_a_checker_that_fails_denies_with_its_name_and_keeps_its_details_to_the_log(load, caplog):
    with pytest.raises(QuotaExceeded, match="'raising-checker' could not be asked") as caught:
        load("acme", "raising_checker").check_quota(REQUEST)
    assert caught.value.data["checker"] == "raising-checker"
    assert "secret details" not in str(caught.value)
    assert "secret details" in caplog.text


def test_every_denial_is_told(load, caplog):
    request = QuotaRequest(project="p", actor="a", verb="systems.create", amounts={"vCPUs": 9})
    with pytest.raises(QuotaExceeded, match=r"at most 8 vCPUs; ask for fewer\. The quota checker 'raising-checker'"):
        load("acme", "raising_checker").check_quota(request)


def test_a_checker_that_cannot_be_made_denies(load):
    with pytest.raises(QuotaExceeded, match="'small-machines' could not be asked"):
        load("acme", context=None).check_quota(REQUEST)


# --- broadcasts --------------------------------------------------------------------------------------------------------


def test_a_failing_listener_keeps_nobody_else_from_hearing(load, context, capsys, caplog):
    host = load("acme", "raising_broadcasts")
    event = Event(id=1, message_id="HawkFish.1.0.VolumeAttached", subject="volume:1", at=datetime.now(UTC))
    failures = host.startup() + host.broadcast_event(event) + host.shutdown()
    assert [(failure.plugin, failure.hook, str(failure.error)) for failure in failures] == [
        ("broken-hawkfish:raising_broadcasts", "hawkfish_startup", "no"),
        ("broken-hawkfish:raising_broadcasts", "hawkfish_event", "bad event"),
        ("broken-hawkfish:raising_broadcasts", "hawkfish_shutdown", "no shutdown"),
    ]
    assert capsys.readouterr().out == "HawkFish.1.0.VolumeAttached volume:1\ngood night\n"
    assert (context.data_dir / "acme.started").exists()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3


# --- secrets -----------------------------------------------------------------------------------------------------------


def test_a_secret_is_read_when_it_is_needed(load, monkeypatch, tmp_path):
    file = tmp_path / "password"
    file.write_text("first\nsecond line\n")
    host = load("acme")
    config = {"address": "array", "password": f"file:{file}"}
    assert host.create_storage_pool("acme-array", PoolConfig(id="1", name="a", config=config)).password == "first"
    file.write_text("changed\n")
    assert host.create_storage_pool("acme-array", PoolConfig(id="1", name="a", config=config)).password == "changed"


def test_a_secret_that_is_not_there_says_where_it_was_looked_for(load, monkeypatch, tmp_path):
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    with pytest.raises(ConfigurationError, match="environment variable NO_SUCH_SECRET, which is empty or not set"):
        read_secret(SecretReference("env:NO_SUCH_SECRET"))
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        read_secret(SecretReference(f"file:{tmp_path}/absent"))


def test_a_secret_given_in_the_open_is_refused_and_not_repeated(load):
    host = load("acme")
    with pytest.raises(PluginConfigInvalid, match="must be a reference of the form") as caught:
        host.create_storage_pool(
            "acme-array", PoolConfig(id="1", name="a", config={"address": "array", "password": "hunter2"})
        )
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught_late:
        read_secret(SecretReference("hunter2"))
    assert "hunter2" not in f"{caught_late.value} {caught_late.value.data} {SecretReference('hunter2')!r}"
