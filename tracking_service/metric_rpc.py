"""MetricService: the contract of metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from service_chassis.errors import required_field
from service_chassis.timestamps import now_us
from studbook.tracking.v1 import metric_pb2, metric_service_pb2_grpc
from studbook.tracking.v1 import metric_service_pb2 as pb
from tracking_service import metrics, request_reading
from tracking_service.transactions import read, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service_chassis.database import Database
    from tracking_service.metrics import StepRange
    from tracking_service.records import SeriesRecord
    from tracking_service.store.tracking_store import TrackingStore

# 24 bytes each: messages of some 800 kB.
_POINTS_A_MESSAGE = 32_768
# Larger batches take long enough to prepare that other calls should not wait for it.
_MOST_POINTS_PREPARED_IN_LOOP = 2_000


class MetricServicer(metric_service_pb2_grpc.MetricServiceServicer):
    """Answers calls on metrics; see metric_service.proto for what each promises."""

    def __init__(self, database: Database, points_per_batch: int) -> None:
        self._database = database
        self._points_per_batch = points_per_batch

    async def AppendMetrics(
        self, request: pb.AppendMetricsRequest, _context: Any
    ) -> pb.AppendMetricsResponse:
        """Append one batch."""
        return pb.AppendMetricsResponse(committed_sequence=await self._append(request))

    async def StreamMetrics(
        self, request_iterator: AsyncIterator[pb.StreamMetricsRequest], _context: Any
    ) -> AsyncIterator[pb.StreamMetricsResponse]:
        """Append batch after batch and acknowledge each."""
        async for request in request_iterator:
            if not request.HasField("batch"):
                raise required_field("batch")
            yield pb.StreamMetricsResponse(committed_sequence=await self._append(request.batch))

    async def ReadMetrics(
        self, request: pb.ReadMetricsRequest, _context: Any
    ) -> AsyncIterator[pb.ReadMetricsResponse]:
        """Read series, whole or reduced."""
        steps = request_reading.metric_read(request)

        def find(store: TrackingStore) -> list[tuple[str, SeriesRecord]]:
            return [
                (run, series)
                for run in request.runs
                for series in metrics.series_of(store, run, request.keys)
            ]

        for run, series in await read(self._database, find):
            async for part in self._series(run, series, steps, request.max_points):
                yield part

    async def _append(self, request: pb.AppendMetricsRequest) -> int:
        batch = request_reading.metric_batch(request, self._points_per_batch)
        if sum(len(points) for points in batch.series.values()) > _MOST_POINTS_PREPARED_IN_LOOP:
            prepared = await asyncio.to_thread(metrics.prepare, batch)
        else:
            prepared = metrics.prepare(batch)
        return await write(self._database, lambda store: metrics.append(store, prepared, now_us()))

    async def _series(
        self, run: str, series: SeriesRecord, steps: StepRange, max_points: int
    ) -> AsyncIterator[pb.ReadMetricsResponse]:
        chunks = await read(
            self._database,
            lambda store: store.metrics.chunks(series.key, steps.lowest, steps.highest),
        )
        points, total = await asyncio.to_thread(metrics.read_series, chunks, steps, max_points)
        for start in range(0, len(points), _POINTS_A_MESSAGE):
            part = slice(start, start + _POINTS_A_MESSAGE)
            # Lists, because repeated fields take them several times faster than arrays.
            yield pb.ReadMetricsResponse(
                run=run,
                series=metric_pb2.MetricSeries(
                    key=series.summary.key,
                    steps=points.steps[part].tolist(),
                    times_us=points.times_us[part].tolist(),
                    values=points.values[part].tolist(),
                ),
                total_points=total,
            )
