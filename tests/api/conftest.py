"""Fixtures of the API tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hawkfish.bootstrap import Application
from tests.api.installation import PASSWORD, Api, add_host, installation, prepare, running_worker, simulator
from tests.api.live import gunicorn


@pytest.fixture(scope="package", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API over real services, once on each database; logged in as the administrator."""
    url = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.url(server.create())
    data_dir: Path = tmp_path_factory.mktemp("api")
    # Locked-out sources are another test's matter; here one address fails on purpose, again and again.
    with installation(
        data_dir, url, lockout_threshold=0, sync_wait_ms=60_000, graceful_timeout=8, tls=False
    ) as running:
        yield running


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of an installation with a worker and one simulated host; its database is SQLite."""
    data_dir: Path = tmp_path_factory.mktemp("live")
    settings = prepare(data_dir, tls=False)
    with simulator(data_dir), running_worker(settings):
        application = Application.open(settings)
        add_host(application)
        application.close()
        yield data_dir


@pytest.fixture(scope="package")
def url(served: Path) -> Iterator[str]:
    """The API under gunicorn with two workers."""
    with gunicorn(served) as address:
        yield address


@pytest.fixture(scope="package")
def tls_url(served: Path) -> Iterator[str]:
    """The same API over TLS, by the settings that it is shipped with."""
    with gunicorn(served, tls=True) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    """A client of the served API, with the administrator's password."""
    with httpx.Client(base_url=url, auth=("admin", PASSWORD), timeout=60, trust_env=False) as opened:
        yield opened
