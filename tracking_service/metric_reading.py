"""Series as they are asked for, a portion at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from tracking_service import metrics
from tracking_service.downsampling import downsample
from tracking_service.series_reading import POINTS_A_PORTION, end_of_portion, in_order, joined
from tracking_service.transactions import read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence

    from service_chassis.database import Database
    from tracking_service.records import Points, SeriesRecord, Window
    from tracking_service.store.tracking_store import TrackingStore

MOST_REDUCED = 1_000_000
"""A series that is reduced has no more points, whatever was asked for."""

# Points of reduced portions that are kept until they are reduced together.
_REDUCED_KEPT = 2 * MOST_REDUCED
# Series whose chunks are read by one statement.
_SERIES_TOGETHER = 1_000
# After so many series no more runs are looked through before their points are read.
_SERIES_FOUND = 10_000


class Part(NamedTuple):
    """Part of a series; the parts of one series follow one another in order.

    Attributes:
        run: Resource name of the run.
        key: Key of the metric.
        points: Points in order of step.
        total: How many points the series has in the window, before reduction.
    """

    run: str
    key: str
    points: Points
    total: int


class _Series(NamedTuple):
    run: str
    record: SeriesRecord


class MetricReader:
    """Reads series of one request.

    Args:
        database: Where they are.
        window: Which points to read.
        most: Most points a series; 0 means all.
    """

    def __init__(self, database: Database, window: Window, most: int) -> None:
        self._database = database
        self._window = window
        self._most = most

    async def read(self, runs: Sequence[str], keys: Collection[str]) -> AsyncIterator[Part]:
        """The series with these keys, or all, of each of the runs.

        Raises:
            StudbookError: NOT_FOUND, before anything is read.
        """
        left = runs
        while left:
            found, left = await self._series_of_first(left, keys)
            for group in _read_together(found):
                if group[0].record.summary.count > POINTS_A_PORTION:
                    parts = self._long_series(group[0])
                else:
                    parts = self._short_series(group)
                async for part in parts:
                    yield part

    async def _series_of_first(
        self, runs: Sequence[str], keys: Collection[str]
    ) -> tuple[list[_Series], Sequence[str]]:
        """The series of the first runs, as many as should be in memory; the runs that are left."""

        def find(store: TrackingStore) -> tuple[list[_Series], Sequence[str]]:
            places = [metrics.place_of(store, run) for run in runs]
            found: list[_Series] = []
            for number, (run, place) in enumerate(zip(runs, places, strict=True), 1):
                found += [_Series(run, record) for record in store.metrics.series(place, keys)]
                if len(found) >= _SERIES_FOUND:
                    return found, runs[number:]
            return found, ()

        return await read(self._database, find)

    async def _short_series(self, group: Sequence[_Series]) -> AsyncIterator[Part]:
        keys = [series.record.key for series in group]
        chunks = await read(self._database, lambda store: store.metrics.chunks(keys, self._window))
        for part in await asyncio.to_thread(self._put_together, group, chunks):
            yield part

    def _put_together(
        self, group: Sequence[_Series], chunks: Mapping[int, Sequence[bytes]]
    ) -> list[Part]:
        parts = []
        for series in group:
            points = in_order(chunks[series.record.key], self._window)
            parts.append(self._part(series, self._reduced(points), len(points)))
        return parts

    async def _long_series(self, series: _Series) -> AsyncIterator[Part]:
        if 0 < self._most < series.record.summary.count:
            yield await self._reduced_series(series)
            return
        total = await self._count(series)
        async for points in self._portions(series):
            yield self._part(series, points, total)

    async def _reduced_series(self, series: _Series) -> Part:
        total, reduced, kept = 0, [], 0
        async for points in self._portions(series):
            total += len(points)
            reduced.append(self._reduced(points))
            kept += len(reduced[-1])
            if kept > _REDUCED_KEPT:
                reduced = [self._reduced(joined(reduced))]
                kept = len(reduced[0])
        return self._part(series, self._reduced(joined(reduced)), total)

    async def _count(self, series: _Series) -> int:
        if self._window.is_whole:
            return series.record.summary.count
        return sum([len(points) async for points in self._portions(series)])

    async def _portions(self, series: _Series) -> AsyncIterator[Points]:
        left: Window | None = self._window
        while left is not None:
            chunks, window, left = await self._portion(series.record.key, left)
            yield await asyncio.to_thread(in_order, chunks, window)

    async def _portion(
        self, series: int, window: Window
    ) -> tuple[Sequence[bytes], Window, Window | None]:
        """The chunks to read first, what of the window they hold, and what is left of it."""

        def fetch(store: TrackingStore) -> tuple[Sequence[bytes], Window, Window | None]:
            # In one transaction: between two, chunks could be merged.
            end = end_of_portion(store.metrics.places(series, window))
            first, rest = (window, None) if end is None else window.split(end)
            return store.metrics.chunks([series], first)[series], first, rest

        return await read(self._database, fetch)

    def _reduced(self, points: Points) -> Points:
        return downsample(points, min(self._most, MOST_REDUCED)) if self._most else points

    def _part(self, series: _Series, points: Points, total: int) -> Part:
        return Part(series.run, series.record.summary.key, points, total)


def _read_together(found: Sequence[_Series]) -> Iterator[Sequence[_Series]]:
    """The series in groups of at most a portion; a longer series is a group of its own.

    No group has more series than a statement can name.
    """
    group: list[_Series] = []
    points = 0
    for series in found:
        points += series.record.summary.count
        if group and (points > POINTS_A_PORTION or len(group) == _SERIES_TOGETHER):
            yield group
            group, points = [], series.record.summary.count
        group.append(series)
    if group:
        yield group
