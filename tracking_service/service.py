"""The tracking service as a whole: its database, its files, its servicers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from service_chassis.blob_store import open_blob_store
from service_chassis.database import Database
from service_chassis.page_tokens import PageTokens
from studbook.tracking.v1 import (
    dataset_service_pb2_grpc,
    experiment_service_pb2_grpc,
    metric_service_pb2_grpc,
    run_service_pb2_grpc,
)
from tracking_service import artifact_rpc
from tracking_service.artifact_rpc import ArtifactServicer
from tracking_service.background import BackgroundWork
from tracking_service.collection import Collector
from tracking_service.dataset_rpc import DatasetServicer
from tracking_service.experiment_rpc import ExperimentServicer
from tracking_service.merging import Merger
from tracking_service.metric_rpc import MetricServicer
from tracking_service.run_rpc import RunServicer
from tracking_service.stale_runs import StaleRuns

if TYPE_CHECKING:
    import grpc

    from tracking_service.settings import TrackingSettings

_log = structlog.get_logger("studbook.tracking")


class TrackingService:
    """Opens the database, brings its schema up to date, and answers the tracking contracts."""

    def __init__(self, settings: TrackingSettings) -> None:
        self._settings = settings
        self._blobs = open_blob_store(settings.artifact_store)
        self._page_tokens = PageTokens(settings.page_token_key())
        self._database = Database(
            settings.database_url, "tracking_service", pool_size=settings.database_connections
        )
        self._database.migrate()
        self._artifacts = ArtifactServicer(
            self._database,
            self._page_tokens,
            self._blobs,
            settings.chunk_bytes,
            settings.artifact_limits(),
            settings.collect_grace_seconds,
        )
        self._collector = Collector(self._database, self._blobs, settings.grace_periods())
        self._background = BackgroundWork()
        self._background.add("collection", settings.collect_seconds, self._collect)
        stale_runs = StaleRuns(self._database, settings.stale_after_seconds)
        self._background.add("stale runs", settings.stale_sweep_seconds, stale_runs.mark)
        self._background.add("merging", settings.merge_seconds, Merger(self._database).merge)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer calls that come to this server."""
        database, tokens = self._database, self._page_tokens
        experiment_service_pb2_grpc.add_ExperimentServiceServicer_to_server(
            ExperimentServicer(database, tokens), server
        )
        run_service_pb2_grpc.add_RunServiceServicer_to_server(
            RunServicer(database, tokens, self._settings.run_limits()), server
        )
        metric_service_pb2_grpc.add_MetricServiceServicer_to_server(
            MetricServicer(database, self._settings.metric_limits()), server
        )
        dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(
            DatasetServicer(database, tokens), server
        )
        artifact_rpc.add_to(self._artifacts, server)

    def _collect(self) -> None:
        found = self._collector.collect(stopping=lambda: self._background.stopping)
        _log.info("collected", **asdict(found))

    def start(self) -> None:
        """Begin what goes on beside the calls, in the running event loop."""
        self._background.start()

    async def close(self) -> None:
        """End background work, then close the database, once running work has ended."""
        await self._background.stop()
        await asyncio.to_thread(self._database.close)
