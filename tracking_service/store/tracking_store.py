"""All of the tracking service's queries, over one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking_service.store.artifacts import ArtifactStore
from tracking_service.store.blobs import BlobStore
from tracking_service.store.datasets import DatasetStore
from tracking_service.store.experiments import ExperimentStore
from tracking_service.store.holds import HoldStore
from tracking_service.store.liveness import LivenessStore
from tracking_service.store.merging import MergingStore
from tracking_service.store.metrics import MetricStore
from tracking_service.store.run_contents import RunContents
from tracking_service.store.runs import RunStore

if TYPE_CHECKING:
    import sqlalchemy as sa


class TrackingStore:
    """The stores of each noun, all on the connection of one running transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self.experiments = ExperimentStore(connection)
        self.runs = RunStore(connection)
        self.run_contents = RunContents(connection)
        self.liveness = LivenessStore(connection)
        self.metrics = MetricStore(connection)
        self.merging = MergingStore(connection)
        self.datasets = DatasetStore(connection)
        self.artifacts = ArtifactStore(connection)
        self.blobs = BlobStore(connection)
        self.holds = HoldStore(connection)
