"""Every benchmark runs; what it measures in its tiny form means nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.libvirt_host import why_not

FOLDER = Path(__file__).parents[2] / "bench"
HELPERS = {"harness", "load", "run"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in HELPERS)

REAL = {"real_machine"}
"""Those that need a libvirt host of their own."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.needs_libvirt] if name in REAL else []) for name in NAMES]
)
def test_it_runs_and_gives_its_figures(name: str) -> None:
    if name in REAL and (reason := why_not()):
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", "--tiny"], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    result = json.loads(last.removeprefix("JSON "))
    assert result["bench"] == name
    assert result["figures"]
    for figure in result["figures"]:
        assert figure["measured"] >= 0
        assert figure["ratio"] >= 0


def test_all_are_part_of_make_bench() -> None:
    text = (FOLDER / "run.py").read_text()
    assert [name for name in NAMES if f'"{name}"' not in text] == []
