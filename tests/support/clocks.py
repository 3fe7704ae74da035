"""A machine's two clocks, moved by a test: the one that people set, and the one that only goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from hawkfish.db import Database, UnitOfWork

HOUR = timedelta(hours=1)


def set_database_clock(monkeypatch: pytest.MonkeyPatch, database: Database, now: Callable[[], datetime]) -> None:
    """Has one database tell another time; others of this process, whose workers may be at work, keep theirs."""
    told = UnitOfWork.now
    monkeypatch.setattr(
        UnitOfWork, "now", lambda uow: now() if uow.connection.engine.url == database.url else told(uow)
    )


class SetClock:
    """Both clocks of a machine."""

    def __init__(self, start: datetime) -> None:
        self._wall = start
        self._steady = 1000.0

    def pass_by(self, span: timedelta) -> None:
        """Time passes."""
        self._wall += span
        self._steady += span.total_seconds()

    def set_by(self, span: timedelta) -> None:
        """Somebody sets the wall clock."""
        self._wall += span

    def wall(self) -> float:
        """Seconds since the epoch, as the wall clock has it."""
        return self._wall.timestamp()

    def steady(self) -> float:
        """Seconds of the clock that is never set."""
        return self._steady

    def now(self) -> datetime:
        """The wall clock's time."""
        return datetime.fromtimestamp(self.wall(), UTC)
