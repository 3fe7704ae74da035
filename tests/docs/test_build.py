"""The documentation is built without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT


@pytest.mark.slow
def test_the_documentation_is_built_without_a_warning(tmp_path):
    words = ["-q", "-W", "--keep-going", "-b", "html", "-d", tmp_path / "doctrees", "docs", tmp_path / "html"]
    builder = Path(sys.executable).with_name("sphinx-build")
    done = subprocess.run([builder, *words], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for page in ("index", "tutorial", "reference/generated/commands"):
        assert (tmp_path / "html" / f"{page}.html").stat().st_size > 0
