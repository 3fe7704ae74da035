from pathlib import Path

import pytest

from hawkfish.plugins.context import PluginContext
from hawkfish.plugins.secrets import read_secret

from .distributions import install


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the good fixture distribution and all bad ones."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("acme", "broken", "rival"):
        install(name, folder)
    return folder


@pytest.fixture(scope="session")
def acme_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the good fixture distribution alone."""
    folder = tmp_path_factory.mktemp("acme")
    install("acme", folder)
    return folder


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return PluginContext(installation_id="a-test", data_dir=tmp_path, read_secret=read_secret)
