"""Metrics: appended in batches, found as series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.errors import StudbookError
from tracking_service.chunk_codec import as_chunk
from tracking_service.metric_summaries import merge, summarise
from tracking_service.presence import found, require_not_deleted
from tracking_service.records import (
    ChunkRecord,
    MetricBatch,
    MetricSummary,
    Points,
    RunState,
    SeriesRecord,
    StoredChunk,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tracking_service.store.tracking_store import TrackingStore


@dataclass(frozen=True, slots=True)
class PreparedSeries:
    """Points of one metric of a batch, ready to be stored."""

    summary: MetricSummary
    chunk: ChunkRecord


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A batch, ready to be stored; the work that needs no transaction is done."""

    run: str
    writer: str
    sequence: int
    series: Mapping[str, PreparedSeries]


def prepare(batch: MetricBatch) -> PreparedBatch:
    """Summarise and encode the points of a batch."""
    return PreparedBatch(
        run=batch.run,
        writer=batch.writer,
        sequence=batch.sequence,
        # In the order of keys, in which all writers lock series.
        series={key: _prepared(key, batch.series[key]) for key in sorted(batch.series)},
    )


def append_each(
    store: TrackingStore, batches: Sequence[PreparedBatch], now: int
) -> list[int | StudbookError]:
    """What came of storing each batch, as by `append`; the first that is refused is the last."""
    outcomes: list[int | StudbookError] = []
    for batch in batches:
        try:
            outcomes.append(append(store, batch, now))
        except StudbookError as error:
            return [*outcomes, error]
    return outcomes


def append(store: TrackingStore, batch: PreparedBatch, now: int) -> int:
    """Store a batch unless it was stored before; returns the writer's highest sequence stored.

    Raises:
        StudbookError: NOT_FOUND, RUN_NOT_ACTIVE when the run is deleted; nothing is changed then.
    """
    run = found(store.runs.place(batch.run), batch.run)
    require_not_deleted(run)
    if not store.metrics.advance(run, batch.writer, batch.sequence, now):
        return store.metrics.last_sequence(run, batch.writer)
    if run.state is RunState.STALE:
        store.liveness.revive(run.key, now)
    known = store.metrics.series_for_change(run, batch.series)
    added = store.metrics.add_series(
        run, [series.summary for key, series in batch.series.items() if key not in known]
    )
    # Another writer began these series between the two statements.
    late = batch.series.keys() - known.keys() - added.keys()
    if late:
        known |= store.metrics.series_for_change(run, late)
    grown = {key: _grown(row, batch.series[key]) for key, row in known.items()}
    store.metrics.save_series(list(grown.values()))
    store.metrics.add_chunks(
        [StoredChunk(row.key, row.chunks, batch.series[key].chunk) for key, row in grown.items()]
        + [StoredChunk(row_key, 1, batch.series[key].chunk) for key, row_key in added.items()]
    )
    return batch.sequence


def series_of(store: TrackingStore, name: str, keys: Collection[str]) -> Sequence[SeriesRecord]:
    """The series of a run by key; without keys, all.

    Raises:
        StudbookError: NOT_FOUND.
    """
    run = found(store.runs.place(name), name)
    return store.metrics.series(run, keys)


def _prepared(key: str, points: Points) -> PreparedSeries:
    return PreparedSeries(summary=summarise(key, points), chunk=as_chunk(points))


def _grown(row: SeriesRecord, series: PreparedSeries) -> SeriesRecord:
    return SeriesRecord(row.key, merge(row.summary, series.summary), row.chunks + 1)
