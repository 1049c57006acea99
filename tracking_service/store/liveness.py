"""Queries on which runs are alive: heard of lately, silent, heard of again.

A run is heard of in two ways: by calls on the run itself (`runs.heard_time`) and by batches of its
writers (`metric_writers.heard_time`), which leave the run's own row alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from tracking_service.records import RunState
from tracking_service.tables import metric_writers, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNNING, _STALE = int(RunState.RUNNING), int(RunState.STALE)


class LivenessStore:
    """Whether runs are alive, within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def hear(self, run: int, now: int) -> bool:
        """Note that a run was heard of, and make it RUNNING if it is stale; False if it has ended.

        A heartbeat is no change to the run; being stale no more is one.
        """
        was_stale = runs.c.state == _STALE
        statement = (
            runs.update()
            .where(runs.c.id == run, runs.c.state.in_((_RUNNING, _STALE)))
            .values(
                heard_time=now,
                state=_RUNNING,
                update_time=sa.case((was_stale, now), else_=runs.c.update_time),
                revision=sa.case((was_stale, runs.c.revision + 1), else_=runs.c.revision),
            )
            .returning(runs.c.id)
        )
        return self._connection.execute(statement).scalar_one_or_none() is not None

    def revive(self, run: int, now: int) -> None:
        """Make a run RUNNING again if it is stale, for calls that note elsewhere who was heard."""
        self._connection.execute(
            runs.update()
            .where(runs.c.id == run, runs.c.state == _STALE)
            .values(state=_RUNNING, heard_time=now, update_time=now, revision=runs.c.revision + 1)
        )

    def silent(self, since: int, limit: int) -> Sequence[int]:
        """Keys of running runs that were not heard of from a moment on, the most silent first.

        Args:
            since: The moment, in microseconds.
            limit: Most runs to return.
        """
        statement = (
            sa.select(runs.c.id)
            .where(*_silent_since(since))
            .order_by(runs.c.heard_time)
            .limit(limit)
        )
        return list(self._connection.execute(statement).scalars())

    def mark_stale(self, found: Sequence[int], since: int, now: int) -> int:
        """Make runs stale that are silent still, and return how many.

        Left out is what was heard of since they were found, what another replica has made stale,
        and what another transaction is changing at this moment, which is a sign of life.
        """
        still = (
            sa.select(runs.c.id)
            .where(runs.c.id.in_(found), *_silent_since(since))
            .with_for_update(skip_locked=True, key_share=True)
        )
        silent = list(self._connection.execute(still).scalars())
        if silent:
            self._connection.execute(
                runs.update()
                .where(runs.c.id.in_(silent))
                .values(state=_STALE, update_time=now, revision=runs.c.revision + 1)
            )
        return len(silent)


def _silent_since(since: int) -> tuple[sa.ColumnElement[bool], ...]:
    heard_writer = (
        sa.select(metric_writers.c.writer)
        .where(metric_writers.c.run == runs.c.id, metric_writers.c.heard_time >= since)
        .correlate(runs)
    )
    return (
        runs.c.state == _RUNNING,
        runs.c.heard_time < since,
        ~sa.exists(heard_writer),
    )
