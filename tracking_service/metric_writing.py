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
    from tracking_service.metric_limits import MetricLimits
    from tracking_service.metrics import PreparedBatches
    from tracking_service.records import MetricBatch

# Larger batches take long enough to prepare that other calls should not wait for it.
_MOST_POINTS_PREPARED_IN_LOOP = 2_000
# Batches of one stream that are in memory at a time, beside those being stored.
_MOST_AHEAD = 16


class MetricWriter:
    """Appends batches.

    Args:
        database: Where they go.
        limits: What they are held to.
    """

    def __init__(self, database: Database, limits: MetricLimits) -> None:
        self._database = database
        self._limits = limits

    async def append(self, request: pb.AppendMetricsRequest) -> int:
        """Store a batch; returns the writer's highest sequence stored, once that is durable."""
        (sequence,) = [sequence async for sequence in self._append_all([request])]
        return sequence

    async def append_each(
        self, requests: AsyncIterator[pb.StreamMetricsRequest]
    ) -> AsyncIterator[int]:
        """Store batch after batch, those together that came while others were stored.

        One that cannot be stored is the last: later ones would make a repetition of it look like
        one that was stored.
        """
        async for request in requests:
            # Of the first all is checked before the peer sends more; see ADR 8.
            yield await self.append(_batch(request))
            break
        received: asyncio.Queue[pb.AppendMetricsRequest | Exception | None] = asyncio.Queue(
            _MOST_AHEAD
        )
        receiving = asyncio.create_task(_receive(requests, received))
        try:
            end: Exception | None = None
            more = True
            while more:
                waiting, end, more = await _waiting(received)
                async for sequence in self._append_all(waiting):
                    yield sequence
            if end is not None:
                raise end
        finally:
            receiving.cancel()
            with suppress(asyncio.CancelledError):
                await receiving

    async def _append_all(self, requests: Sequence[pb.AppendMetricsRequest]) -> AsyncIterator[int]:
        """What came of each batch, up to the first that is refused."""
        points = sum(len(series.values) for request in requests for series in request.series)
        if points > _MOST_POINTS_PREPARED_IN_LOOP:
            prepared, refusal = await asyncio.to_thread(self._prepared, requests)
        else:
            prepared, refusal = self._prepared(requests)
        for outcome in await self._store(prepared):
            if isinstance(outcome, StudbookError):
                raise outcome
            yield outcome
        if refusal is not None:
            raise refusal

    def _prepared(
        self, requests: Sequence[pb.AppendMetricsRequest]
    ) -> tuple[list[PreparedBatches], StudbookError | None]:
        """The batches up to the first that is not as it must be, and what is wrong with that."""
        batches: list[MetricBatch] = []
        refusal = None
        for request in requests:
            try:
                batches.append(request_reading.metric_batch(request, self._limits.points_per_batch))
            except StudbookError as error:
                refusal = error
                break
        return [metrics.prepare(group) for group in metrics.together(batches)], refusal

    async def _store(self, prepared: Sequence[PreparedBatches]) -> Sequence[int | StudbookError]:
        """What came of each batch; after the first that is refused, the others are left out."""
        if not prepared:
            return []
        return await write(
            self._database,
            lambda store: metrics.append_each(store, prepared, self._limits, now_us()),
            brief=True,
            order=prepared[0].run,
        )


async def _receive(
    requests: AsyncIterator[pb.StreamMetricsRequest],
    received: asyncio.Queue[pb.AppendMetricsRequest | Exception | None],
) -> None:
    try:
        async for request in requests:
            await received.put(_batch(request))
    except Exception as error:  # noqa: BLE001 - raised by whoever stores what came before
        await received.put(error)
    else:
        await received.put(None)


def _batch(request: pb.StreamMetricsRequest) -> pb.AppendMetricsRequest:
    if not request.HasField("batch"):
        raise required_field("batch")
    return request.batch


async def _waiting(
    received: asyncio.Queue[pb.AppendMetricsRequest | Exception | None],
) -> tuple[list[pb.AppendMetricsRequest], Exception | None, bool]:
    """The batches that are there, one at least; the error after them; whether more may come."""
    batches: list[pb.AppendMetricsRequest] = []
    while not batches or not received.empty():
        item = await received.get()
        if item is None or isinstance(item, Exception):
            return batches, item, False
        batches.append(item)
    return batches, None, True
