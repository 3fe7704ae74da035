"""The wheels of all five distributions hold what they must, and work where nothing else of the project is."""

import json
import tomllib
from zipfile import ZipFile

import pytest

from tests.plugins import listing

from .conftest import DISTRIBUTIONS, ROOT, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first waits for five builds


def names_in(wheel):
    with ZipFile(wheel) as archive:
        return archive.namelist()


def metadata_of(wheel):
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def test_all_five_are_built(wheels):
    assert set(wheels) == set(DISTRIBUTIONS)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_wheel_holds_its_package_and_nothing_else(distribution, wheels):
    names = names_in(wheels[distribution])
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {distribution}
    assert f"{distribution}/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_core_wheel_holds_every_source_file(wheels, clean_copy):
    source = clean_copy / "hawkfish"
    kept = {
        f"hawkfish/{file.relative_to(source)}" for file in source.rglob("*") if file.suffix != ".pyc" and file.is_file()
    }
    assert kept - set(names_in(wheels["hawkfish"])) == set()
    assert "hawkfish/db/migrations/env.py" in kept
    assert any(name.startswith("hawkfish/db/migrations/versions/") for name in kept)


def test_all_have_one_version_and_plugins_ask_for_core_of_that_line(wheels):
    versions = {wheel.name.split("-")[1] for wheel in wheels.values()}
    assert len(versions) == 1
    line = ".".join(versions.pop().split(".")[:2])
    for name in set(DISTRIBUTIONS) - {"hawkfish"}:
        requirement = next(
            row for row in metadata_of(wheels[name]).splitlines() if row.startswith("Requires-Dist: hawkfish")
        )
        assert f">={line}" in requirement
        assert "<0." in requirement


def test_licence_is_the_same_everywhere():
    texts = {(ROOT / folder / "LICENSE").read_text() for folder in DISTRIBUTIONS.values()}
    assert len(texts) == 1
    assert "Apache License" in texts.pop()


def test_installed_plugins_load_outside_the_repository(installed, tmp_path):
    listed = json.loads(run(installed, "-P", listing.__file__, cwd=tmp_path))
    assert str(installed.parents[1]) in listed["hawkfish"]
    reports = {report["name"]: report for report in listed["reports"]}
    assert set(reports) == {"core", "libvirt", "storage_nfs", "storage_lvm", "storage_iscsi"}
    assert {name: report["reason"] for name, report in reports.items() if report["status"] == "failed"} == {}
    assert "compute driver" in reports["libvirt"]["provides"]
    assert {reports[name]["status"] for name in ("storage_nfs", "storage_lvm", "storage_iscsi")} == {"active"}
    assert all(not reports[name]["provides"] for name in ("storage_nfs", "storage_lvm", "storage_iscsi"))


def test_packages_import_outside_the_repository(installed, tmp_path):
    code = "import hawkfish, hawkfish_libvirt.plugin, hawkfish_storage_nfs.plugin as last; print(last.__file__)"
    assert str(installed.parents[1]) in run(installed, "-P", "-c", code, cwd=tmp_path)


def test_what_the_distributions_require_can_be_had_together(installed, tmp_path):
    """The versions in the development environment satisfy what the manifests declare."""
    code = (
        "from importlib.metadata import requires, version\n"
        "from packaging.requirements import Requirement\n"
        f"for name in {[name.replace('_', '-') for name in DISTRIBUTIONS]}:\n"
        "    for requirement in map(Requirement, requires(name) or ()):\n"
        "        if requirement.marker is None:\n"
        "            found = version(requirement.name)\n"
        "            assert requirement.specifier.contains(found, prereleases=True), (name, str(requirement), found)\n"
    )
    run(installed, "-P", "-c", code, cwd=tmp_path)


def test_core_has_no_project_table_that_would_override_its_manifest():
    assert "project" not in tomllib.loads((ROOT / "pyproject.toml").read_text())
