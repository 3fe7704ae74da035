"""The plugin author's guide: its code runs, its plugin loads, its tests pass."""

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from hawkfish.plugins.loader import PluginHost
from hawkfish.plugins.reports import PluginStatus

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parents[2] / "docs" / "plugins" / "index.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_guide_has_code():
    assert len(BLOCKS) == 5


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_runs(pytester, block):
    module = pytester.makepyfile(test_block=block)
    if "class Test" in block:
        outcomes = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", module).parseoutcomes()
        assert set(outcomes) == {"passed"}
    else:
        exec(compile(block, str(module), "exec"), {"__name__": "block"})


def test_the_plugin_of_the_guide_loads(tmp_path, monkeypatch):
    (tmp_path / "plugin_of_the_guide.py").write_text(BLOCKS[0])
    monkeypatch.syspath_prepend(tmp_path)
    host = PluginHost.load(sources=[EntryPoint("small-machines", "plugin_of_the_guide", "hawkfish")])
    assert [(report.status, report.reason) for report in host.reports] == [(PluginStatus.ACTIVE, "")]
