"""Queries on the chunks of series that are to be merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from tracking_service.records import ChunkPlace, StoredChunk
from tracking_service.store.metrics import PLACE, chunk_row
from tracking_service.tables import FEWEST_UNMERGED, metric_chunks, metric_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracking_service.records import ChunkRecord


class MergingStore:
    """Chunks of series within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def due(self, limit: int) -> list[tuple[int, int]]:
        """Series with many chunks that were not looked at, and how many those are."""
        statement = (
            sa.select(metric_series.c.id, metric_series.c.unmerged)
            .where(metric_series.c.unmerged >= FEWEST_UNMERGED)
            .limit(limit)
        )
        return [(row.id, row.unmerged) for row in self._connection.execute(statement)]

    def newest(self, series: int, count: int) -> list[ChunkPlace]:
        """The newest chunks of a series in order of arrival."""
        statement = (
            sa.select(*PLACE)
            .where(metric_chunks.c.series == series)
            .order_by(metric_chunks.c.number.desc())
            .limit(count)
        )
        return [ChunkPlace(*row) for row in self._connection.execute(statement)][::-1]

    def replace(self, series: int, chunks: Sequence[ChunkPlace], merged: ChunkRecord) -> bool:
        """Put one chunk in the place of several that follow one another.

        In the same transaction no reader finds both, or neither.

        Returns:
            False, and nothing is changed, when another has merged some of them meanwhile.
        """
        between = (
            metric_chunks.c.series == series,
            metric_chunks.c.number.between(chunks[0].number, chunks[-1].number),
        )
        locked = sa.select(*PLACE).where(*between).order_by(metric_chunks.c.number)
        rows = self._connection.execute(locked.with_for_update())
        if [ChunkPlace(*row) for row in rows] != list(chunks):
            return False
        self._connection.execute(metric_chunks.delete().where(*between))
        stored = StoredChunk(series, chunks[0].number, merged)
        self._connection.execute(metric_chunks.insert(), [chunk_row(stored)])
        return True

    def looked_at(self, series: int, unmerged: int) -> None:
        """Note that so many of the chunks that were not looked at have been."""
        left = metric_series.c.unmerged - unmerged
        self._connection.execute(
            metric_series.update()
            .where(metric_series.c.id == series)
            # Two replicas may have looked at the same ones.
            .values(unmerged=sa.case((left > 0, left), else_=0))
        )
