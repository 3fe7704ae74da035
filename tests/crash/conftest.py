from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgresql import TEMPLATE, PostgresqlServer
from tests.support.service import Service

URI = "simulated:///rack1?boot_seconds=0.1&shutdown_seconds=0.1"
IMAGE = "disk.img"


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Callable[..., Service]]:
    """A callable that starts services on SQLite, or on the database that it is given."""
    opened = []

    def open_it(database_url: str | None = None, **options: Any) -> Service:
        folder = tmp_path_factory.mktemp("service")
        (folder / "images").mkdir()
        (folder / "images" / IMAGE).write_bytes(b"content of a disk" * (5 << 15))
        if database_url is None:
            shutil.copyfile(sqlite_template, folder / "hawkfish.db")
            database_url = f"sqlite:///{folder / 'hawkfish.db'}"
        opened.append(Service.open(folder, database_url, **options))
        return opened[-1]

    yield open_it
    for service in opened:
        service.close()


@pytest.fixture(scope="module")
def service(open_service: Callable[..., Service]) -> Service:
    """A service on SQLite with a simulated host and, at the beginning, a worker."""
    service = open_service()
    service.start_ready_worker()
    service.add_host("simulated", URI)
    return service


@pytest.fixture(scope="module")
def service_on_postgresql(open_service: Callable[..., Service], postgresql: PostgresqlServer) -> Iterator[Service]:
    """The same on PostgreSQL."""
    name = postgresql.create(template=TEMPLATE)
    service = open_service(postgresql.url(name))
    service.start_ready_worker()
    service.add_host("simulated", URI)
    yield service
    service.application.database.engine.dispose()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def service_on_either(request: pytest.FixtureRequest) -> Service:
    """One on each database."""
    service: Service = request.getfixturevalue("service" if request.param == "sqlite" else "service_on_postgresql")
    return service
