"""Metrics: appended in batches, found as series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.errors import StudbookError
from tracking_service.chunk_codec import as_chunk
from tracking_service.chunk_merging import FULL_POINTS
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
from tracking_service.series_reading import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from tracking_service.metric_limits import MetricLimits
    from tracking_service.records import RunPlace
    from tracking_service.store.tracking_store import TrackingStore


@dataclass(frozen=True, slots=True)
class PreparedSeries:
    """Points of one metric of a batch, ready to be stored."""

    summary: MetricSummary
    chunk: ChunkRecord


@dataclass(frozen=True, slots=True)
class PreparedBatches:
    """Batches of one writer in ascending sequence, ready to be stored as if they were one.

    The work that needs no transaction is done.
    """

    batches: Sequence[MetricBatch]
    series: Mapping[str, PreparedSeries]

    @property
    def run(self) -> str:
        """Resource name of the run."""
        return self.batches[0].run


def prepare(batches: Sequence[MetricBatch]) -> PreparedBatches:
    """Summarise and encode the points of batches of one writer in ascending sequence."""
    parts: dict[str, list[Points]] = {}
    for batch in batches:
        for key, points in batch.series.items():
            parts.setdefault(key, []).append(points)
    # In the order of keys, in which all writers lock series.
    series = {key: _prepared(key, joined(parts[key])) for key in sorted(parts)}
    return PreparedBatches(batches, series)


def together(batches: Sequence[MetricBatch]) -> Iterator[Sequence[MetricBatch]]:
    """Batches in groups that can be prepared as one, and are no larger than a full chunk."""
    group: list[MetricBatch] = []
    points = 0
    for batch in batches:
        points += batch.points
        if group and (points > FULL_POINTS or not batch.follows(group[-1])):
            yield group
            group, points = [], batch.points
        group.append(batch)
    if group:
        yield group


def append_each(
    store: TrackingStore, prepared: Sequence[PreparedBatches], limits: MetricLimits, now: int
) -> list[int | StudbookError]:
    """What came of storing each batch, as by `append`; the first that is refused is the last."""
    outcomes: list[int | StudbookError] = []
    for batches in prepared:
        try:
            outcomes += append(store, batches, limits, now)
        except StudbookError as error:
            if len(batches.batches) == 1:
                return [*outcomes, error]
            # The first of them may be taken.
            single = [prepare([batch]) for batch in batches.batches]
            return [*outcomes, *append_each(store, single, limits, now)]
    return outcomes


def append(
    store: TrackingStore, prepared: PreparedBatches, limits: MetricLimits, now: int
) -> list[int]:
    """Store those of the batches that were not stored before.

    Returns:
        For each batch the highest sequence of its writer that was stored with it.

    Raises:
        StudbookError: NOT_FOUND, RUN_NOT_ACTIVE when the run is deleted, QUOTA_EXCEEDED when it
            would have too many metrics; nothing is changed then.
    """
    run = found(store.runs.place(prepared.run), prepared.run)
    require_not_deleted(run)
    known = _known(store, run, prepared.series.keys(), limits)
    left, stored = prepared, 0
    while not store.metrics.advance(run, left.batches, now):
        stored = store.metrics.last_sequence(run, left.batches[0].writer)
        # Of batches that are sent again, some may be new.
        new = [batch for batch in left.batches if batch.sequence > stored]
        if not new:
            return [stored] * len(prepared.batches)
        left = prepare(new)
    if run.state is RunState.STALE:
        store.liveness.revive(run.key, now)
    _add_points(store, run, known, left.series)
    return [max(batch.sequence, stored) for batch in prepared.batches]


def _known(
    store: TrackingStore, run: RunPlace, keys: AbstractSet[str], limits: MetricLimits
) -> dict[str, SeriesRecord]:
    """Those of the series that the run has, locked; it has room for the others."""
    known = store.metrics.series_for_change(run, keys)
    if len(known) == len(keys):
        return known
    # Series of one run are begun one transaction after the other, so that each counts them all.
    stored = store.metrics.count_for_change(run)
    known |= store.metrics.series_for_change(run, keys - known.keys())
    if new := keys - known.keys():
        limits.check_run_metrics(stored, new)
    return known


def _add_points(
    store: TrackingStore,
    run: RunPlace,
    known: Mapping[str, SeriesRecord],
    series: Mapping[str, PreparedSeries],
) -> None:
    added = store.metrics.add_series(
        run, [prepared.summary for key, prepared in series.items() if key not in known]
    )
    grown = {key: _grown(known[key], series[key]) for key in series if key in known}
    store.metrics.save_series(list(grown.values()))
    store.metrics.add_chunks(
        [StoredChunk(row.key, row.chunks, series[key].chunk) for key, row in grown.items()]
        + [StoredChunk(row_key, 1, series[key].chunk) for key, row_key in added.items()]
    )


def place_of(store: TrackingStore, name: str) -> RunPlace:
    """The run whose metrics are to be read.

    Raises:
        StudbookError: NOT_FOUND.
    """
    return found(store.runs.place(name), name)


def _prepared(key: str, points: Points) -> PreparedSeries:
    return PreparedSeries(summary=summarise(key, points), chunk=as_chunk(points))


def _grown(row: SeriesRecord, series: PreparedSeries) -> SeriesRecord:
    return SeriesRecord(row.key, merge(row.summary, series.summary), row.chunks + 1)
