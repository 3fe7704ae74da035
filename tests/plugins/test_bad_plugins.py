"""One good distribution beside every kind of bad one: the bad are named with their reasons, the good works."""

import json
from pathlib import Path

import pytest

from hawkfish.errors import PluginError
from hawkfish.plugins.context import PoolConfig
from hawkfish.plugins.loader import PluginHost
from hawkfish.plugins.reports import PluginStatus

from . import listing
from .distributions import entry_points_in, run_python

CONTESTED = (
    "the storage pool 'contested' is not used: its name is offered by each of "
    "contested (broken-hawkfish 0.1), rival (rival-hawkfish 2.0)"
)
BAD = {
    "absent_module": ("failed", "ModuleNotFoundError: No module named 'broken_hawkfish.absent_module'"),
    "import_error": ("failed", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
    "system_exit": ("failed", "SystemExit: this plugin wants to end the process"),
    "too_new": ("incompatible", "it needs plugin API 99 and this HawkFish speaks 1 to 1; update HawkFish"),
    "too_new_imports": ("incompatible", "it needs plugin API 99 and this HawkFish speaks 1 to 1; update HawkFish"),
    "too_old": ("incompatible", "it speaks plugin API 0 and this HawkFish speaks 1 to 1; update the plugin"),
    "no_api": ("incompatible", "it does not declare HAWKFISH_PLUGIN_API"),
    "misspelt_hook": ("failed", "unknown hook 'hawkfish_storage_pool'"),
    "wrong_arguments": ("failed", "colour"),
    "wrapper": ("failed", "hawkfish_storage_pools is a wrapper"),
    "raising_generator": ("failed", "LookupError: half way through"),
    "exiting_hook": ("failed", "SystemExit: 3"),
    "endless": ("failed", "hawkfish_storage_pools does not stop after 1000 records"),
    "returns_none": ("failed", "hawkfish_storage_pools returned None; yield records or return a list of them"),
    "wrong_type": ("failed", "hawkfish_compute_drivers must give ComputeDriverPlugin records, not a StoragePoolPlugin"),
    "wrong_name": ("failed", "the storage pool name 'My Pool' is not allowed"),
    "wrong_fields": ("failed", "the field 'hosts' of type <class 'list'>; use str, int, float or bool"),
    "wrong_default": ("failed", "The setting 'port' of the record must be of type integer; '80' is not."),
    "twice": ("failed", "it offers the storage pool 'twin' twice"),
    "same_module": ("failed", "another entry point, broken-hawkfish:raising_factory, names the same module"),
    "missing_module": ("unavailable", "a_module_that_nobody_has cannot be imported"),
    "half_missing": ("active", "a_module_that_nobody_has.part cannot be imported"),
    "contested": (
        "active",
        CONTESTED,
    ),
    "rival": (
        "failed",
        CONTESTED,
    ),
}
NOTHING_WRONG_YET = {"acme", "false_claim", "raising_factory", "raising_checker", "raising_broadcasts"}


@pytest.fixture(scope="module")
def listed(site, tmp_path_factory):
    """What a fresh process sees of everything that is installed."""
    return json.loads(run_python(listing.__file__, site=site, cwd=tmp_path_factory.mktemp("elsewhere")))


@pytest.fixture(scope="module")
def reports(listed):
    return {report["name"]: report for report in listed["reports"]}


@pytest.mark.parametrize("name", BAD)
def test_bad_plugin_is_reported_with_its_reason(name, reports):
    status, reason = BAD[name]
    assert reports[name]["status"] == status
    assert reason in reports[name]["reason"]
    assert "\n" not in reports[name]["reason"]


def test_every_fixture_plugin_is_expected(site):
    assert set(entry_points_in(site)) == set(BAD) | NOTHING_WRONG_YET


def test_good_plugin_is_active_beside_all_bad_ones(reports):
    acme = reports["acme"]
    assert (acme["status"], acme["reason"], acme["api"]) == ("active", "", 1)
    assert (acme["distribution"], acme["version"]) == ("acme-hawkfish", "1.2.3")
    assert acme["provides"] == {
        "compute driver": ["acme"],
        "storage pool": ["acme-array"],
        "migration strategy": ["patient"],
        "console protocol": ["rdp"],
        "quota checker": ["small-machines"],
        "fence agent": ["acme-strip"],
        "identity provider": ["acme-login"],
        "admission policy": ["office-hours"],
        "command": ["acme report"],
    }


def test_nothing_of_a_bad_plugin_can_be_used(listed):
    pools = set(listed["storage_pools"])
    assert {"acme-array", "light-half", "uncontested", "raising-factory"} <= pools
    assert not pools & {
        "misspelt", "coloured", "before-the-error", "pool-0", "in-the-wrong-hook", "wrong-fields", "twin",
        "missing-module", "heavy-half", "contested",
    }  # fmt: skip


def test_an_unusable_record_is_listed_with_its_problem(reports):
    records = {record["name"]: record["problem"] for record in reports["half_missing"]["records"]}
    assert records == {"light-half": "", "heavy-half": "a_module_that_nobody_has.part cannot be imported"}


def test_declared_api_number_is_shown_even_where_it_does_not_fit(reports):
    assert {name: reports[name]["api"] for name in ("too_new", "too_new_imports", "too_old", "no_api")} == {
        "too_new": 99,
        "too_new_imports": 99,
        "too_old": 0,
        "no_api": None,
    }


# --- in this process, with entry points of the same folder ------------------------------------------------------------


@pytest.fixture
def load(site, context, monkeypatch):
    monkeypatch.syspath_prepend(site)
    available = entry_points_in(site)

    def load(*names: str, **arguments: object) -> PluginHost:
        return PluginHost.load(sources=[available[name] for name in names], context=context, **arguments)

    return load


@pytest.mark.parametrize("blocked", ["too_new", "broken-hawkfish"])
def test_blocked_plugin_is_not_even_imported(blocked, load):
    host = load("import_error" if blocked == "broken-hawkfish" else "too_new", "acme", blocked=[blocked])
    assert [(report.status, report.reason) for report in host.reports] == [
        (PluginStatus.ACTIVE, ""),
        (PluginStatus.BLOCKED, "the settings block it"),
    ]


def test_strict_loading_refuses_and_names_every_bad_plugin(load):
    with pytest.raises(PluginError, match=r"import_error .*No module.*; missing_module .*cannot be imported") as caught:
        load("acme", "missing_module", "import_error", strict=True)
    assert caught.value.data == {"plugin": "import_error, missing_module"}


def test_strict_loading_allows_blocked_plugins(load):
    assert load("acme", "import_error", strict=True, blocked=["import_error"]).compute_drivers


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ("raising-factory", "could not be made: LookupError: the array has gone"),
        ("exiting-factory", "could not be made: SystemExit: 7"),
        ("importing-factory", "is unavailable: a_module_that_nobody_has cannot be imported"),
        ("wrong-thing", "its factory gave a str, not a StoragePool"),
        ("nowhere", "There is no storage pool named 'nowhere'; there are: exiting-factory, importing-factory"),
    ],
)
def test_a_factory_that_fails_is_one_clear_error(pool, message, load):
    host = load("raising_factory")
    with pytest.raises(PluginError, match=message) as caught:
        host.create_storage_pool(pool, PoolConfig(id="1", name="one"))
    assert caught.value.data["plugin"] == pool


def test_a_pool_that_lacks_what_its_record_claims_is_not_used(load):
    with pytest.raises(PluginError, match="claims clone and its ArrayPool is no SupportsClone"):
        load("false_claim").create_storage_pool("false-claim", PoolConfig(id="1", name="one"))


@pytest.mark.parametrize(
    ("plugins", "pool", "message"),
    [
        (["missing_module"], "missing-module", "is unavailable: a_module_that_nobody_has cannot be imported"),
        (["contested", "rival"], "contested", r"is not used: its name is offered by each of contested .*, rival "),
    ],
)
def test_asking_for_an_unusable_record_says_why(plugins, pool, message, load):
    with pytest.raises(PluginError, match=message):
        load(*plugins).create_storage_pool(pool, PoolConfig(id="1", name="one"))


def test_blocking_one_rival_gives_the_name_to_the_other(load):
    host = load("contested", "rival", blocked=["contested"])
    assert list(host.storage_pools) == ["contested"]
    assert all(report.is_sound for report in host.reports)


def test_loading_for_a_list_is_cheap(site, tmp_path):
    """No client command waits for a hypervisor's or a database's library."""
    listed = json.loads(run_python(listing.__file__, site=tmp_path, cwd=tmp_path))
    own = {report["name"]: report for report in listed["reports"]}
    assert set(own) == {"core", "libvirt", "storage_nfs", "storage_lvm", "storage_iscsi"}
    assert {name: report["reason"] for name, report in own.items() if report["status"] == "failed"} == {}
    heavy = {"libvirt", "sqlalchemy", "falcon", "gevent", "marshmallow", "alembic", "cliff", "httpx", "PIL", "gunicorn"}
    assert heavy.isdisjoint(listed["modules"])
    assert Path(listed["hawkfish"]).is_relative_to(Path(__file__).parents[2])


def test_without_libvirt_its_driver_is_listed_as_unavailable_and_says_so_when_it_is_asked_for(tmp_path):
    code = (
        "import sys; sys.modules['libvirt'] = None  # as where it is not installed\n"
        "from pathlib import Path\n"
        "from hawkfish.errors import PluginError\n"
        "from hawkfish.plugins.context import HostConfig, PluginContext\n"
        "from hawkfish.plugins.loader import PluginHost\n"
        "from hawkfish.plugins.secrets import read_secret\n"
        "context = PluginContext(installation_id='i', data_dir=Path(), read_secret=read_secret)\n"
        "host = PluginHost.load(context=context)\n"
        "print(next(report for report in host.reports if report.name == 'libvirt'))\n"
        "try: host.create_compute_driver('libvirt', HostConfig(id='1', name='one', uri='qemu:///system'))\n"
        "except PluginError as error: print(error)\n"
    )
    listed, asked = run_python("-c", code, site=tmp_path, cwd=tmp_path).splitlines()
    assert listed.startswith("libvirt (hawkfish-libvirt ")
    assert listed.endswith("): unavailable: libvirt cannot be imported")
    assert asked.startswith("The compute driver 'libvirt' of plugin libvirt (hawkfish-libvirt ")
    assert asked.endswith(") is unavailable: libvirt cannot be imported.")
