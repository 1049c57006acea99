"""Queries on metrics: writers, series with their summaries, chunks of points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tracking_service.records import MetricSummary, SeriesRecord
from tracking_service.store.inserts import insert_absent
from tracking_service.tables import metric_chunks, metric_series, metric_writers

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tracking_service.records import RunPlace, StoredChunk


class MetricStore:
    """Metrics within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def last_sequence_for_change(self, run: RunPlace, writer: str, now: int) -> int:
        """The highest sequence stored for a writer, 0 at first; the writer is locked.

        Of two transactions with the same writer one waits here until the other has ended, so a
        batch that arrives twice at once is seen by the second as stored.
        """
        self._connection.execute(
            insert_absent(self._connection, metric_writers).values(
                run=run.key, writer=writer, last_sequence=0, heard_time=now
            )
        )
        statement = (
            sa.select(metric_writers.c.last_sequence)
            .where(metric_writers.c.run == run.key, metric_writers.c.writer == writer)
            .with_for_update()
        )
        last: int = self._connection.execute(statement).scalar_one()
        return last

    def set_sequence(self, run: RunPlace, writer: str, sequence: int, now: int) -> None:
        """Note the highest sequence stored for a writer, and that it was heard of."""
        self._connection.execute(
            metric_writers.update()
            .where(metric_writers.c.run == run.key, metric_writers.c.writer == writer)
            .values(last_sequence=sequence, heard_time=now)
        )

    def series_for_change(self, run: RunPlace, keys: Collection[str]) -> dict[str, SeriesRecord]:
        """Those of the keys that the run has series of, locked."""
        statement = (
            sa.select(metric_series)
            .where(metric_series.c.run == run.key, metric_series.c.key.in_(keys))
            # Always in the same order, so that two writers cannot wait for each other.
            .order_by(metric_series.c.key)
            .with_for_update()
        )
        return {row.key: _series(row) for row in self._connection.execute(statement)}

    def add_series(self, run: RunPlace, summaries: Sequence[MetricSummary]) -> dict[str, int]:
        """Store new series of one chunk each; returns the database keys of those stored.

        Series that another transaction has stored meanwhile are left out.
        """
        if not summaries:
            return {}
        rows = [
            {
                "run": run.key,
                "experiment": run.experiment_key,
                "key": summary.key,
                "chunks": 1,
                **_summary_columns(summary),
            }
            for summary in summaries
        ]
        statement = insert_absent(self._connection, metric_series).returning(
            metric_series.c.key, metric_series.c.id
        )
        return {row.key: row.id for row in self._connection.execute(statement, rows)}

    def save_series(self, changed: Sequence[SeriesRecord]) -> None:
        """Store the summaries and chunk counts of series that are locked."""
        if not changed:
            return
        names = [column.name for column in metric_series.c if column.name in _SAVED]
        statement = (
            metric_series.update()
            .where(metric_series.c.id == sa.bindparam("row_id"))
            .values({name: sa.bindparam(f"new_{name}") for name in names})
        )
        rows = []
        for series in changed:
            columns = {**_summary_columns(series.summary), "chunks": series.chunks}
            rows.append({"row_id": series.key, **{f"new_{name}": columns[name] for name in names}})
        self._connection.execute(statement, rows)

    def add_chunks(self, chunks: Sequence[StoredChunk]) -> None:
        """Store chunks; their numbers must follow those that their series have."""
        self._connection.execute(
            metric_chunks.insert(),
            [
                {
                    "series": stored.series,
                    "number": stored.number,
                    "points": stored.chunk.points,
                    "min_step": stored.chunk.min_step,
                    "max_step": stored.chunk.max_step,
                    "min_time": stored.chunk.min_time_us,
                    "max_time": stored.chunk.max_time_us,
                    "data": stored.chunk.data,
                }
                for stored in chunks
            ],
        )

    def series(self, run: RunPlace, keys: Collection[str]) -> list[SeriesRecord]:
        """The series of a run by key; with keys given, only those."""
        statement = (
            sa.select(metric_series)
            .where(metric_series.c.run == run.key)
            .order_by(metric_series.c.key)
        )
        if keys:
            statement = statement.where(metric_series.c.key.in_(keys))
        return [_series(row) for row in self._connection.execute(statement)]

    def chunks(self, series: int, min_step: int | None, max_step: int | None) -> list[bytes]:
        """The chunks of a series that may have points in a range of steps, as they arrived."""
        statement = (
            sa.select(metric_chunks.c.data)
            .where(metric_chunks.c.series == series)
            .order_by(metric_chunks.c.number)
        )
        if min_step is not None:
            statement = statement.where(metric_chunks.c.max_step >= min_step)
        if max_step is not None:
            statement = statement.where(metric_chunks.c.min_step <= max_step)
        return [bytes(data) for data in self._connection.execute(statement).scalars()]


def summary_record(row: sa.Row[Any]) -> MetricSummary:
    """The summary in a row of `metric_series`."""
    return MetricSummary(
        key=row.key,
        first=_number(row.first),
        last=_number(row.last),
        min=_number(row.min),
        max=_number(row.max),
        mean=_number(row.mean),
        count=row.points,
        finite_count=row.finite_points,
        last_step=row.last_step,
        min_step=row.min_step,
        max_step=row.max_step,
        last_time_us=row.last_time,
    )


def _series(row: sa.Row[Any]) -> SeriesRecord:
    return SeriesRecord(key=row.id, summary=summary_record(row), chunks=row.chunks)


def _summary_columns(summary: MetricSummary) -> dict[str, Any]:
    return {
        "first": _stored(summary.first),
        "last": _stored(summary.last),
        "min": _stored(summary.min),
        "max": _stored(summary.max),
        "mean": _stored(summary.mean),
        "points": summary.count,
        "finite_points": summary.finite_count,
        "last_step": summary.last_step,
        "min_step": summary.min_step,
        "max_step": summary.max_step,
        "last_time": summary.last_time_us,
    }


_SAVED = frozenset(
    {
        "last",
        "min",
        "max",
        "mean",
        "points",
        "finite_points",
        "last_step",
        "min_step",
        "max_step",
        "last_time",
        "chunks",
    }
)


def _stored(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
