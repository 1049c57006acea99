"""MetricService: the contract of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studbook.metric_batches import Series
from studbook.tracking.v1 import metric_pb2, metric_service_pb2_grpc
from studbook.tracking.v1 import metric_service_pb2 as pb
from tracking_service import request_reading
from tracking_service.metric_reading import MetricReader
from tracking_service.metric_writing import MetricWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service_chassis.database import Database
    from tracking_service.metric_limits import MetricLimits
    from tracking_service.records import Points

# 24 bytes each: messages of some 800 kB.
_POINTS_A_MESSAGE = 32_768


class MetricServicer(metric_service_pb2_grpc.MetricServiceServicer):
    """Answers calls on metrics; see metric_service.proto for what each promises."""

    def __init__(self, database: Database, limits: MetricLimits) -> None:
        self._database = database
        self._writer = MetricWriter(database, limits)

    async def AppendMetrics(
        self, request: pb.AppendMetricsRequest, _context: Any
    ) -> pb.AppendMetricsResponse:
        """Append one batch."""
        return pb.AppendMetricsResponse(committed_sequence=await self._writer.append(request))

    async def StreamMetrics(
        self, request_iterator: AsyncIterator[pb.StreamMetricsRequest], _context: Any
    ) -> AsyncIterator[pb.StreamMetricsResponse]:
        """Append batch after batch and acknowledge each."""
        async for committed in self._writer.append_each(request_iterator):
            yield pb.StreamMetricsResponse(committed_sequence=committed)

    async def ReadMetrics(
        self, request: pb.ReadMetricsRequest, _context: Any
    ) -> AsyncIterator[pb.ReadMetricsResponse]:
        """Read series, whole or reduced."""
        window = request_reading.metric_read(request)
        reader = MetricReader(self._database, window, request.max_points)
        async for part in reader.read(request.runs, request.keys):
            for start in range(0, len(part.points), _POINTS_A_MESSAGE):
                yield pb.ReadMetricsResponse(
                    run=part.run,
                    series=_series(part.key, part.points, slice(start, start + _POINTS_A_MESSAGE)),
                    total_points=part.total,
                )


def _series(key: str, points: Points, part: slice) -> metric_pb2.MetricSeries:
    columns = (
        points.steps.astype("<i8", copy=False),
        points.times_us.astype("<i8", copy=False),
        points.values.astype("<f8", copy=False),
    )
    # Reading the series from its bytes makes no Python object of each number.
    encoded = Series(key, *(column[part].tobytes() for column in columns)).encoded()
    return metric_pb2.MetricSeries.FromString(encoded)
