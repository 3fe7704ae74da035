"""Fixtures shared by all areas: a migrated database on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hawkfish.db import Database
from tests.support.postgresql import TEMPLATE, PostgresqlServer, why_not

# How long an example takes says more of the machine than of the code.
# The suite tries the same examples each time, so that it tells of changes; HF_FUZZ looks for what nobody knows yet.
settings.register_profile(
    "suite", deadline=None, derandomize="HF_FUZZ" not in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

SLOW_MARKERS = ("slow", "needs_libvirt")

pytest_plugins = ["tests.support.guest", "tests.support.libvirt_host"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with the most slow tests first: of several processes none is left with a long one while the others have ended."""
    slow = Counter(item.path for item in items for marker in SLOW_MARKERS if item.get_closest_marker(marker))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server of this test run, with a migrated template database."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    server = PostgresqlServer()
    try:
        server.create(name=TEMPLATE)
        template = Database(server.url(TEMPLATE))
        template.upgrade()
        template.close()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that tests copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    template = Database(f"sqlite:///{path}")
    template.upgrade()
    template.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test."""
    path = tmp_path / "hawkfish.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """A migrated PostgreSQL database of this test."""
    name = postgresql.create(template=TEMPLATE)
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of this test, once of each product."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, opened."""
    opened = Database(database_url)
    yield opened
    opened.close()
