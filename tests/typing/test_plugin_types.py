"""The plugin API's types help a plugin's author: a sound plugin passes mypy --strict, and a wrong one does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ACME = ROOT / "tests" / "fixtures_plugins" / "acme" / "src"
WRONG = """
from collections.abc import Iterable

from hawkfish.plugins import hookimpl
from hawkfish.plugins.quota import QuotaChecker, QuotaRequest
from hawkfish.plugins.records import QuotaCheckerPlugin, StoragePoolPlugin


class Unfinished(QuotaChecker):
    pass


class WrongAnswer(QuotaChecker):
    def check(self, request: QuotaRequest) -> bool:
        return request.amounts["vCPUs"] < 8


@hookimpl
def hawkfish_quota_checkers() -> Iterable[QuotaCheckerPlugin]:
    yield QuotaCheckerPlugin(name="unfinished", factory=lambda context: Unfinished())
    yield QuotaCheckerPlugin(name="no-factory")
    yield StoragePoolPlugin(name="wrong-kind", factory=lambda pool: None)
"""


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mypy")
    config = folder / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n[mypy-cliff.*]\nignore_missing_imports = True\n")

    def check(target: Path) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", folder / "cache", target],
            cwd=folder,
            env={**os.environ, "MYPYPATH": f"{ROOT}:{target if target.is_dir() else target.parent}"},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return check


def test_a_whole_third_party_plugin_passes_strictly(check, tmp_path):
    author = tmp_path / "src"  # away from this repository, as its author has it
    shutil.copytree(ACME, author)
    status, output = check(author)
    assert status == 0, output
    assert "9 source files" in output


def test_mistakes_of_a_plugin_are_found(check, tmp_path):
    wrong = tmp_path / "wrong_plugin.py"
    wrong.write_text(WRONG)
    status, output = check(wrong)
    assert status == 1
    for expected in (
        "[abstract]",
        'Return type "bool" of "check"',
        '"factory" for "QuotaCheckerPlugin"',
        "StoragePoolPlugin",
    ):
        assert expected in output
