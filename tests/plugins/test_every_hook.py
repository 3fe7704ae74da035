"""A hook is done when it has a docstring that runs, a page with its signature, and a plugin that uses it for real."""

import inspect
import json
import re
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from hawkfish.plugins.hookspecs import HawkFishSpecs
from hawkfish.plugins.registry import RECORD_KINDS
from hawkfish.plugins.reports import PluginStatus

from . import exercises
from .distributions import run_python

HOOKS = [name for name in vars(HawkFishSpecs) if name.startswith("hawkfish_")]
BROADCASTS = {"hawkfish_event", "hawkfish_startup", "hawkfish_shutdown"}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hooks.md"
OWN_PLUGINS = ("hawkfish", "hawkfish-libvirt", "hawkfish-storage-nfs", "hawkfish-storage-lvm", "hawkfish-storage-iscsi")


def test_every_hook_either_registers_records_or_is_a_broadcast():
    assert {kind.hook for kind in RECORD_KINDS} | BROADCASTS == set(HOOKS)


def test_no_hook_asks_for_the_first_result():
    assert not any(getattr(HawkFishSpecs, hook).hawkfish_spec["firstresult"] for hook in HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_docstring_example_is_a_whole_plugin_that_works(hook, acme_site, tmp_path, monkeypatch):
    _, _, example = inspect.getdoc(getattr(HawkFishSpecs, hook)).partition("Example::\n")
    module = f"example_of_{hook}"
    (tmp_path / f"{module}.py").write_text(textwrap.dedent(example))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(acme_site)  # the heavy modules that the examples import

    host = exercises.make_host(tmp_path, sources=[EntryPoint("example", module, "hawkfish")])

    assert [(report.status, report.reason) for report in host.reports] == [(PluginStatus.ACTIVE, "")]
    use, expected = exercises.EXERCISES[hook]
    assert use(host, tmp_path) == expected


@pytest.mark.parametrize("hook", HOOKS)
def test_page_shows_the_signature_and_the_words_of_the_docstring(hook):
    page = PAGE.read_text()
    signature = inspect.signature(getattr(HawkFishSpecs, hook))
    arguments = ", ".join(name for name in signature.parameters if name != "self")
    returns = "" if signature.return_annotation == "None" else f" -> {signature.return_annotation}"
    heading = f"## `{hook}({arguments}){returns}`"
    assert heading in page.splitlines()
    section = re.split(r"^## ", page.partition(heading)[2], flags=re.MULTILINE)[0]
    first_line = inspect.getdoc(getattr(HawkFishSpecs, hook)).splitlines()[0]
    assert first_line in section


def test_page_shows_no_hook_that_does_not_exist():
    assert re.findall(r"^## `(hawkfish_\w+)\(", PAGE.read_text(), flags=re.MULTILINE) == HOOKS


@pytest.fixture(scope="module")
def used_by_entry_point(acme_site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return json.loads(run_python(exercises.__file__, str(folder), *OWN_PLUGINS, site=acme_site, cwd=folder))


@pytest.mark.parametrize("hook", HOOKS)
def test_installed_plugin_is_found_by_its_entry_point_and_used(hook, used_by_entry_point):
    assert used_by_entry_point[hook] == exercises.EXERCISES[hook][1]
