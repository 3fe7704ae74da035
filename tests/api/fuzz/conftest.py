"""Fixtures of the tests with generated requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.api.fuzz.world import World
from tests.api.installation import installation

LENGTH = float(os.environ.get("HF_FUZZ") or 1)
"""How many times the usual number of requests is sent; `make fuzz` sends many."""


def examples(number: int) -> settings:
    """The settings of a test that usually sends so many requests."""
    return settings(
        max_examples=max(1, round(number * LENGTH)),
        deadline=None,
        database=None,
        # The suite sends the same requests each time, so that it tells of changes; `make fuzz` looks for what nobody knows yet.
        derandomize=LENGTH == 1,
        # To shrink an example would send hundreds of requests more; what failed is short enough to be read.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[
            *(HealthCheck.function_scoped_fixture, HealthCheck.too_slow),
            *(HealthCheck.data_too_large, HealthCheck.filter_too_much),
        ],
    )


@pytest.fixture(scope="package", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs_postgresql)])
def whole_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation of these tests' own, since accepted requests change it; once on each database."""
    url = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.url(server.create())
    data_dir: Path = tmp_path_factory.mktemp("fuzz")
    # A long run must not take sessions that end by themselves for the work of a request.
    lasting = {"session_timeout": 86400, "lockout_threshold": 0}
    with installation(data_dir, url, **lasting, sync_wait_ms=5000, graceful_timeout=1, tls=False) as api:
        world = World.of(api)
        yield world
        world.engine.dispose()


@pytest.fixture
def world(whole_world: World) -> World:
    """The installation with all that belongs there."""
    if whole_world.changed:
        whole_world.restore()
    return whole_world
