"""Metrics: appended in batches, read as series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracking_service.chunk_codec import decode, encode
from tracking_service.downsampling import downsample
from tracking_service.metric_summaries import merge, summarise
from tracking_service.presence import found, require_not_deleted
from tracking_service.records import (
    ChunkRecord,
    MetricBatch,
    MetricSummary,
    Points,
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


def append(store: TrackingStore, batch: PreparedBatch, now: int) -> int:
    """Store a batch unless it was stored before; returns the writer's highest sequence stored.

    Raises:
        StudbookError: NOT_FOUND, RUN_NOT_ACTIVE when the run is deleted.
    """
    run = found(store.runs.place(batch.run), batch.run)
    require_not_deleted(run)
    last = store.metrics.last_sequence_for_change(run, batch.writer, now)
    if batch.sequence <= last:
        return last
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
    store.metrics.set_sequence(run, batch.writer, batch.sequence, now)
    return batch.sequence


def series_of(store: TrackingStore, name: str, keys: Collection[str]) -> Sequence[SeriesRecord]:
    """The series of a run by key; without keys, all.

    Raises:
        StudbookError: NOT_FOUND.
    """
    run = found(store.runs.place(name), name)
    return store.metrics.series(run, keys)


@dataclass(frozen=True, slots=True)
class StepRange:
    """Steps from `lowest` to `highest`, both included; None is no bound."""

    lowest: int | None = None
    highest: int | None = None


def read_series(chunks: Sequence[bytes], steps: StepRange, max_points: int) -> tuple[Points, int]:
    """The points of a series in order of step, and how many they were before reduction.

    Args:
        chunks: The chunks of the series in order of arrival.
        steps: Which points to read.
        max_points: Most points to return; 0 means all.
    """
    points = _in_order(_joined([decode(chunk) for chunk in chunks]), steps)
    total = len(points)
    return (downsample(points, max_points) if max_points else points), total


def _prepared(key: str, points: Points) -> PreparedSeries:
    return PreparedSeries(
        summary=summarise(key, points),
        chunk=ChunkRecord(
            points=len(points),
            min_step=int(points.steps.min()),
            max_step=int(points.steps.max()),
            min_time_us=int(points.times_us.min()),
            max_time_us=int(points.times_us.max()),
            data=encode(points),
        ),
    )


def _grown(row: SeriesRecord, series: PreparedSeries) -> SeriesRecord:
    return SeriesRecord(row.key, merge(row.summary, series.summary), row.chunks + 1)


def _joined(parts: Sequence[Points]) -> Points:
    if len(parts) == 1:
        return parts[0]
    return Points(
        steps=np.concatenate([np.empty(0, np.int64), *(part.steps for part in parts)]),
        times_us=np.concatenate([np.empty(0, np.int64), *(part.times_us for part in parts)]),
        values=np.concatenate([np.empty(0, np.float64), *(part.values for part in parts)]),
    )


def _in_order(points: Points, steps: StepRange) -> Points:
    kept = np.ones(len(points), dtype=bool)
    if steps.lowest is not None:
        kept &= points.steps >= steps.lowest
    if steps.highest is not None:
        kept &= points.steps <= steps.highest
    chosen = np.flatnonzero(kept)
    # Stable, so that points of equal steps stay in order of arrival.
    chosen = chosen[np.argsort(points.steps[chosen], kind="stable")]
    return Points(points.steps[chosen], points.times_us[chosen], points.values[chosen])
