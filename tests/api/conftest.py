"""Fixtures of the API tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.installation import Api, installation


@pytest.fixture(scope="package", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API over real services, once on each database; logged in as the administrator."""
    url = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.url(server.create())
    data_dir: Path = tmp_path_factory.mktemp("api")
    # Locked-out sources are another test's matter; here one address fails on purpose, again and again.
    with installation(data_dir, url, lockout_threshold=0, sync_wait_ms=5000, graceful_timeout=8, tls=False) as running:
        yield running
