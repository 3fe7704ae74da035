"""Imports point down only, and the plugin API knows no framework."""

import sys
from pathlib import Path

from .conftest import ROOT, run


def test_import_contracts_are_kept():
    assert "0 broken" in run(Path(sys.executable).with_name("lint-imports"), "--no-cache", cwd=ROOT)
