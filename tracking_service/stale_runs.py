"""Runs that have fallen silent become stale, from time to time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from service_chassis.timestamps import now_us
from tracking_service.transactions import read, write

if TYPE_CHECKING:
    from service_chassis.database import Database

_log = structlog.get_logger("studbook.runs")

# A transaction of so many rows holds nobody up for long.
_BATCH = 500


class StaleRuns:
    """Makes running runs stale that were not heard of for too long. Never ends one.

    Several replicas may do so at the same time.

    Args:
        database: Where the runs are.
        stale_after_s: How long a run may be silent, in seconds.
    """

    def __init__(self, database: Database, stale_after_s: float) -> None:
        self._database = database
        self._stale_after_us = round(stale_after_s * 1_000_000)
        self._started_us = now_us()

    async def mark(self) -> int:
        """Look through the running runs once; returns how many became stale."""
        now = now_us()
        since = now - self._stale_after_us
        if since < self._started_us:
            # While the service was away nobody could be heard. It gives writers that long to come
            # back before it takes their silence for an answer.
            return 0
        marked = 0
        while newly := await self._mark_some(since, now):
            marked += newly
        if marked:
            _log.info("runs fell silent", runs=marked)
        return marked

    async def _mark_some(self, since: int, now: int) -> int:
        # Most turns find nothing, and then nobody's change has to wait for a transaction of ours.
        silent = await read(self._database, lambda store: store.liveness.silent(since, _BATCH))
        if not silent:
            return 0
        return await write(
            self._database, lambda store: store.liveness.mark_stale(silent, since, now)
        )
