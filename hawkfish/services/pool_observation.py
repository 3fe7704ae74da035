"""Sizes of storage pools, written down as they are seen: others use the same disks, and volumes grow."""

from __future__ import annotations

from uuid import UUID

import structlog

from hawkfish.db import Database
from hawkfish.domain.pools import Pool
from hawkfish.domain.storage import PoolStats
from hawkfish.errors import HawkFishError, LeaseLost
from hawkfish.services.drivers import DriverPool

log = structlog.get_logger("hawkfish.observation")

NEWS_BYTES = 1 << 20
"""Smaller changes are not written down: there are always some, and each would be one for the readers of the pool."""


class PoolObserver:
    """Measures the pools of hosts for the worker.

    Args:
        database: Where it is recorded.
        drivers: The drivers to look through.
        watch: Number of the watch under which the looking is done; once it is lost nothing more is recorded.
    """

    def __init__(self, database: Database, drivers: DriverPool, watch: int) -> None:
        self._database = database
        self._drivers = drivers
        self._watch = watch

    def measure(self, host_id: UUID) -> None:
        """Measures all pools that are usable on a host; never raises, since the next time will do for what failed."""
        try:
            with self._database.read() as uow:
                pools = [pool for pool in uow.pools.on_host(host_id) if host_id in pool.hosts]
            for pool in pools:
                self._measure(pool, host_id)
        except LeaseLost as error:
            log.info("pools of a host are measured by another", host=str(host_id), reason=error.message)
        except Exception:
            log.exception("the pools of a host cannot be measured", host=str(host_id))

    def _measure(self, pool: Pool, host_id: UUID) -> None:
        try:
            # One that is in use is left to whoever uses it.
            with self._drivers.pool(pool.id, host_id, wait_seconds=0) as (storage, host):
                stats = storage.stats(host)
        except HawkFishError as error:
            log.debug("a pool was not measured", pool=pool.name, host=str(host_id), reason=error.message)
            return
        if _is_news(pool.stats.get(host_id), stats):
            with self._database.write() as uow:
                uow.host_watches.require(self._watch)
                uow.pools.measured(pool.id, host_id, stats)


def _is_news(before: PoolStats | None, now: PoolStats) -> bool:
    if before is None:
        return True
    pairs = (
        (before.capacity_bytes, now.capacity_bytes),
        (before.allocated_bytes, now.allocated_bytes),
        (before.available_bytes, now.available_bytes),
    )
    return any(abs(one - other) >= NEWS_BYTES for one, other in pairs)
