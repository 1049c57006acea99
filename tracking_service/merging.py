"""Merges small chunks of metrics, beside the calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from tracking_service import chunk_merging
from tracking_service.transactions import read, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service_chassis.database import Database
    from tracking_service.records import ChunkPlace, ChunkRecord
    from tracking_service.store.tracking_store import TrackingStore

_log = structlog.get_logger("studbook.metrics")

_SERIES_A_TURN = 64
# Chunks merged before have sizes far apart, so that few lie between the newest and a full one.
_MERGED_BEFORE = 64


class Merger:
    """Merges the small chunks of series that have many new ones.

    Writers and readers go on meanwhile: the work is done outside of transactions, and each that
    replaces chunks is short. Several replicas may merge at the same time.

    Args:
        database: Where the chunks are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def merge(self) -> int:
        """Look through all series once that are due; returns how many chunks were replaced."""
        replaced = 0
        while due := await read(self._database, lambda store: store.merging.due(_SERIES_A_TURN)):
            for series, unmerged in due:
                replaced += await self._look_through(series, unmerged)
        if replaced:
            _log.info("chunks merged", chunks=replaced)
        return replaced

    async def _look_through(self, series: int, unmerged: int) -> int:
        newest = await read(
            self._database, lambda store: store.merging.newest(series, unmerged + _MERGED_BEFORE)
        )
        replaced = 0
        for stretch in chunk_merging.stretches([chunk.points for chunk in newest]):
            chunks = newest[stretch.start : stretch.stop]
            replaced += await self._replace(series, chunks)
        await write(
            self._database, lambda store: store.merging.looked_at(series, unmerged), brief=True
        )
        return replaced

    async def _replace(self, series: int, chunks: Sequence[ChunkPlace]) -> int:
        numbers = [chunk.number for chunk in chunks]
        data = await read(
            self._database, lambda store: store.metrics.chunks_numbered(series, numbers)
        )
        if len(data) != len(numbers):
            return 0
        merged: ChunkRecord = await asyncio.to_thread(chunk_merging.merge, data)

        def replace(store: TrackingStore) -> bool:
            return store.merging.replace(series, chunks, merged)

        done = await write(self._database, replace, brief=True)
        return len(numbers) if done else 0
