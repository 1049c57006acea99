"""Queries on metrics: writers, series with their summaries, chunks of points."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tracking_service.records import ChunkPlace, MetricSummary, SeriesRecord
from tracking_service.store.inserts import insert_into
from tracking_service.tables import metric_chunks, metric_series, metric_writers, runs

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tracking_service.records import MetricBatch, RunPlace, StoredChunk, Window


class MetricStore:
    """Metrics within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def advance(self, run: RunPlace, batches: Sequence[MetricBatch], now: int) -> bool:
        """Note that a writer was heard of with batches; False when not all of them are new.

        Of two transactions with the same writer one waits here until the other has ended, so a
        batch that arrives twice at once is seen by the second as stored.

        Args:
            run: The run that the batches are of.
            batches: Of one writer, in ascending sequence.
            now: Microseconds since 1970.
        """
        row = {
            "run": run.key,
            "writer": batches[0].writer,
            "last_sequence": batches[-1].sequence,
            "heard_time": now,
            "first_sequence": batches[0].sequence,
        }
        advanced = self._connection.execute(_advance(self._connection.dialect.name), row)
        return advanced.scalar_one_or_none() is not None

    def last_sequence(self, run: RunPlace, writer: str) -> int:
        """The highest sequence stored for a writer that is known."""
        statement = sa.select(metric_writers.c.last_sequence).where(
            metric_writers.c.run == run.key, metric_writers.c.writer == writer
        )
        last: int = self._connection.execute(statement).scalar_one()
        return last

    def series_for_change(self, run: RunPlace, keys: Collection[str]) -> dict[str, SeriesRecord]:
        """Those of the keys that the run has series of, locked."""
        found: dict[str, SeriesRecord] = {}
        # Always in the same order, so that two writers cannot wait for each other.
        ordered = sorted(keys)
        for start in range(0, len(ordered), _KEYS_NAMED):
            wanted = {"run_key": run.key, "keys": ordered[start : start + _KEYS_NAMED]}
            for row in self._connection.execute(_SERIES_FOR_CHANGE, wanted):
                series = _series(*row)
                found[series.summary.key] = series
        return found

    def count_for_change(self, run: RunPlace) -> int:
        """How many series a run has; nobody else begins one until the transaction ends."""
        self._connection.execute(_LOCK_RUN, {"run_key": run.key})
        count: int = self._connection.execute(_COUNT_SERIES, {"run_key": run.key}).scalar_one()
        return count

    def add_series(self, run: RunPlace, summaries: Sequence[MetricSummary]) -> dict[str, int]:
        """Store new series of one chunk each, after `count_for_change`; returns database keys."""
        if not summaries:
            return {}
        rows = [
            {
                "run": run.key,
                "experiment": run.experiment_key,
                "key": summary.key,
                "chunks": 1,
                "unmerged": 1,
                **_summary_columns(summary),
            }
            for summary in summaries
        ]
        return {row.key: row.id for row in self._connection.execute(_ADD_SERIES, rows)}

    def save_series(self, changed: Sequence[SeriesRecord]) -> None:
        """Store the summaries and chunk counts of series that are locked."""
        if not changed:
            return
        rows = []
        for series in changed:
            columns = {**_summary_columns(series.summary), "chunks": series.chunks}
            rows.append({"row_id": series.key, **{f"new_{name}": columns[name] for name in _SAVED}})
        self._connection.execute(_SAVE, rows)

    def add_chunks(self, chunks: Sequence[StoredChunk]) -> None:
        """Store chunks; their numbers must follow those that their series have."""
        self._connection.execute(_ADD_CHUNK, [chunk_row(chunk) for chunk in chunks])

    def series(self, run: RunPlace, keys: Collection[str]) -> list[SeriesRecord]:
        """The series of a run by key; with keys given, only those."""
        statement = (
            sa.select(*_SERIES).where(metric_series.c.run == run.key).order_by(metric_series.c.key)
        )
        if keys:
            statement = statement.where(metric_series.c.key.in_(keys))
        return [_series(*row) for row in self._connection.execute(statement)]

    def places(self, series: int, window: Window) -> list[ChunkPlace]:
        """The chunks of a series that may have points in a window."""
        statement = sa.select(*PLACE).where(metric_chunks.c.series == series)
        return [ChunkPlace(*row) for row in self._connection.execute(_reaching(statement, window))]

    def chunks(self, series: Collection[int], window: Window) -> dict[int, list[bytes]]:
        """The chunks of series that may have points in a window, as they arrived."""
        statement = (
            sa.select(metric_chunks.c.series, metric_chunks.c.data)
            .where(metric_chunks.c.series.in_(series))
            .order_by(metric_chunks.c.series, metric_chunks.c.number)
        )
        found: dict[int, list[bytes]] = {key: [] for key in series}
        for row in self._connection.execute(_reaching(statement, window)):
            found[row.series].append(row.data)
        return found

    def chunks_numbered(self, series: int, numbers: Sequence[int]) -> list[bytes]:
        """Chunks of a series by number, as they arrived."""
        statement = (
            sa.select(metric_chunks.c.data)
            .where(metric_chunks.c.series == series, metric_chunks.c.number.in_(numbers))
            .order_by(metric_chunks.c.number)
        )
        return list(self._connection.execute(statement).scalars())


_NAN = math.nan
# No database takes as many parameters of a statement as a batch may have keys.
_KEYS_NAMED = 10_000
# The columns that `summary_record` takes.
SUMMARY = (
    metric_series.c.key,
    metric_series.c.first,
    metric_series.c.last,
    metric_series.c.min,
    metric_series.c.max,
    metric_series.c.mean,
    metric_series.c.points,
    metric_series.c.finite_points,
    metric_series.c.last_step,
    metric_series.c.min_step,
    metric_series.c.max_step,
    metric_series.c.last_time,
)


def summary_record(
    key: str,
    first: float | None,
    last: float | None,
    lowest: float | None,
    highest: float | None,
    mean: float | None,
    *rest: int,
) -> MetricSummary:
    """The summary in a row of `SUMMARY`, by place: by name it would take five times as long."""
    return MetricSummary(
        key,
        _NAN if first is None else first,
        _NAN if last is None else last,
        _NAN if lowest is None else lowest,
        _NAN if highest is None else highest,
        _NAN if mean is None else mean,
        *rest,
    )


# What is read of a series.
_SERIES = (metric_series.c.id, metric_series.c.chunks, *SUMMARY)


def _series(key: int, chunks: int, *summary: Any) -> SeriesRecord:
    return SeriesRecord(key=key, summary=summary_record(*summary), chunks=chunks)


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


_SAVED = (
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
)
# These are made once: making and naming a statement takes longer than running it.
_SERIES_FOR_CHANGE = (
    sa.select(*_SERIES)
    .where(
        metric_series.c.run == sa.bindparam("run_key"),
        metric_series.c.key.in_(sa.bindparam("keys", expanding=True)),
    )
    .order_by(metric_series.c.key)
    .with_for_update()
)
_SAVE = (
    metric_series.update()
    .where(metric_series.c.id == sa.bindparam("row_id"))
    .values(
        {name: sa.bindparam(f"new_{name}") for name in _SAVED}
        | {"unmerged": metric_series.c.unmerged + 1}
    )
)
_LOCK_RUN = (
    sa.select(runs.c.id).where(runs.c.id == sa.bindparam("run_key")).with_for_update(key_share=True)
)
_COUNT_SERIES = (
    sa.select(sa.func.count())
    .select_from(metric_series)
    .where(metric_series.c.run == sa.bindparam("run_key"))
)
_ADD_SERIES = metric_series.insert().returning(metric_series.c.key, metric_series.c.id)
_ADD_CHUNK = metric_chunks.insert()


@functools.cache
def _advance(dialect: str) -> sa.Executable:
    insert = insert_into(dialect, metric_writers)
    return insert.on_conflict_do_update(
        index_elements=[metric_writers.c.run, metric_writers.c.writer],
        set_={
            "last_sequence": insert.excluded.last_sequence,
            "heard_time": insert.excluded.heard_time,
        },
        where=metric_writers.c.last_sequence < sa.bindparam("first_sequence", type_=sa.BigInteger),
    ).returning(metric_writers.c.last_sequence)


PLACE = (
    metric_chunks.c.number,
    metric_chunks.c.points,
    metric_chunks.c.min_step,
    metric_chunks.c.max_step,
)


def _reaching(statement: sa.Select[Any], window: Window) -> sa.Select[Any]:
    """Leave out chunks that have no point in a window."""
    for bound, reaches in (
        (window.min_step, metric_chunks.c.max_step.__ge__),
        (window.max_step, metric_chunks.c.min_step.__le__),
        (window.min_time_us, metric_chunks.c.max_time.__ge__),
        (window.max_time_us, metric_chunks.c.min_time.__le__),
    ):
        if bound is not None:
            statement = statement.where(reaches(bound))
    return statement


def chunk_row(stored: StoredChunk) -> dict[str, Any]:
    """A chunk as a row of `metric_chunks`."""
    return {
        "series": stored.series,
        "number": stored.number,
        "points": stored.chunk.points,
        "min_step": stored.chunk.min_step,
        "max_step": stored.chunk.max_step,
        "min_time": stored.chunk.min_time_us,
        "max_time": stored.chunk.max_time_us,
        "data": stored.chunk.data,
    }


def _stored(value: float) -> float | None:
    return None if math.isnan(value) else value
