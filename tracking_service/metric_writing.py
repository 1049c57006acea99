"""Batches on their way from a request into the database."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from service_chassis.errors import StudbookError, required_field
from service_chassis.timestamps import now_us
from tracking_service import metrics, request_reading
from tracking_service.transactions import write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from service_chassis.database import Database
    from studbook.tracking.v1 import metric_service_pb2 as pb
    from tracking_service.metrics import PreparedBatch

# Larger batches take long enough to prepare that other calls should not wait for it.
_MOST_POINTS_PREPARED_IN_LOOP = 2_000
# Batches of one stream that are in memory at a time.
_MOST_AHEAD = 16


class MetricWriter:
    """Appends batches.

    Args:
        database: Where they go.
        points_per_batch: Most points of a batch.
    """

    def __init__(self, database: Database, points_per_batch: int) -> None:
        self._database = database
        self._points_per_batch = points_per_batch

    async def append(self, request: pb.AppendMetricsRequest) -> int:
        """Store a batch; returns the writer's highest sequence stored, once that is durable."""
        (sequence,) = await self._store([await self._prepared(request)])
        if isinstance(sequence, StudbookError):
            raise sequence
        return sequence

    async def append_each(
        self, requests: AsyncIterator[pb.StreamMetricsRequest]
    ) -> AsyncIterator[int]:
        """Store batch after batch, those in one commit that came during the one before.

        Batches are read and prepared while others are stored. One that cannot be stored is the
        last: later ones would make a repetition of it look like one that was stored.
        """
        async for request in requests:
            # Of the first all is checked before the peer sends more; see ADR 8.
            yield await self.append(_batch(request))
            break
        ahead: asyncio.Queue[PreparedBatch | Exception | None] = asyncio.Queue(_MOST_AHEAD)
        reading = asyncio.create_task(self._read_into(ahead, requests))
        try:
            end: Exception | None = None
            more = True
            while more:
                batches, end, more = await _waiting(ahead)
                for outcome in await self._store(batches):
                    if isinstance(outcome, StudbookError):
                        raise outcome
                    yield outcome
            if end is not None:
                raise end
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _read_into(
        self,
        ahead: asyncio.Queue[PreparedBatch | Exception | None],
        requests: AsyncIterator[pb.StreamMetricsRequest],
    ) -> None:
        try:
            async for request in requests:
                await ahead.put(await self._prepared(_batch(request)))
        except Exception as error:  # noqa: BLE001 - raised by whoever stores what came before
            await ahead.put(error)
        else:
            await ahead.put(None)

    async def _prepared(self, request: pb.AppendMetricsRequest) -> PreparedBatch:
        points = sum(len(series.values) for series in request.series)
        if points > _MOST_POINTS_PREPARED_IN_LOOP:
            return await asyncio.to_thread(self._prepare, request)
        return self._prepare(request)

    def _prepare(self, request: pb.AppendMetricsRequest) -> PreparedBatch:
        return metrics.prepare(request_reading.metric_batch(request, self._points_per_batch))

    async def _store(self, batches: Sequence[PreparedBatch]) -> Sequence[int | StudbookError]:
        """What came of each batch; after the first that is refused, the others are left out."""
        if not batches:
            return []
        return await write(
            self._database,
            lambda store: metrics.append_each(store, batches, now_us()),
            brief=True,
            order=batches[0].run,
        )


def _batch(request: pb.StreamMetricsRequest) -> pb.AppendMetricsRequest:
    if not request.HasField("batch"):
        raise required_field("batch")
    return request.batch


async def _waiting(
    ahead: asyncio.Queue[PreparedBatch | Exception | None],
) -> tuple[list[PreparedBatch], Exception | None, bool]:
    """The batches that are ready, one at least; the error after them; and whether more may come."""
    batches: list[PreparedBatch] = []
    while not batches or not ahead.empty():
        item = await ahead.get()
        if item is None or isinstance(item, Exception):
            return batches, item, False
        batches.append(item)
    return batches, None, True
