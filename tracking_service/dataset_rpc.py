"""DatasetService: the contract of datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service_chassis.caller import current_caller
from service_chassis.listing import PageRequest
from service_chassis.resource_names import DATASET, DATASET_VERSION
from service_chassis.timestamps import now_us
from studbook.tracking.v1 import dataset_service_pb2 as pb
from studbook.tracking.v1 import dataset_service_pb2_grpc
from tracking_service import dataset_reading, datasets
from tracking_service.presence import found
from tracking_service.proto_conversion import dataset_message
from tracking_service.transactions import change, read

if TYPE_CHECKING:
    from service_chassis.database import Database
    from service_chassis.page_tokens import PageTokens
    from tracking_service.dataset_records import DatasetUse
    from tracking_service.store.tracking_store import TrackingStore

_NEWEST_FIRST = "create_time desc"


class DatasetServicer(dataset_service_pb2_grpc.DatasetServiceServicer):
    """Answers calls on datasets; see dataset_service.proto for what each promises."""

    def __init__(self, database: Database, page_tokens: PageTokens) -> None:
        self._database = database
        self._page_tokens = page_tokens

    async def RegisterDataset(
        self, request: pb.RegisterDatasetRequest, _context: Any
    ) -> pb.RegisterDatasetResponse:
        """Write down a dataset version."""
        caller = current_caller()
        content = dataset_reading.dataset_content(request)

        def register(store: TrackingStore) -> pb.RegisterDatasetResponse:
            dataset = datasets.register(
                store, request.parent, request.version_id, content, caller.principal, now_us()
            )
            return pb.RegisterDatasetResponse(dataset=dataset_message(dataset))

        return await change(self._database, caller, request, pb.RegisterDatasetResponse, register)

    async def GetDataset(
        self, request: pb.GetDatasetRequest, _context: Any
    ) -> pb.GetDatasetResponse:
        """Read a dataset version."""
        DATASET_VERSION.parse(request.name)
        dataset = await read(self._database, lambda store: datasets.whole(store, request.name))
        return pb.GetDatasetResponse(dataset=dataset_message(dataset))

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, _context: Any
    ) -> pb.ListDatasetsResponse:
        """List the dataset versions that the caller may see."""
        caller = current_caller()
        DATASET.parse(request.parent, "parent", any_of={"dataset"})
        page = PageRequest.read(request, default_order=_NEWEST_FIRST, tokens=self._page_tokens)
        listed, token = await read(
            self._database,
            lambda store: store.datasets.page(
                request.parent, page, lambda name: caller.may("datasets.read", name)
            ),
        )
        return pb.ListDatasetsResponse(
            datasets=[dataset_message(dataset) for dataset in listed], next_page_token=token
        )

    async def ListDatasetRuns(
        self, request: pb.ListDatasetRunsRequest, _context: Any
    ) -> pb.ListDatasetRunsResponse:
        """List the uses of a dataset version by runs that the caller may read."""
        caller = current_caller()
        DATASET_VERSION.parse(request.name)
        page = PageRequest.read(request, default_order=_NEWEST_FIRST, tokens=self._page_tokens)

        def uses(store: TrackingStore) -> tuple[list[DatasetUse], str]:
            dataset = found(store.datasets.find(request.name), request.name)
            return store.datasets.uses(
                dataset.key, page, lambda name: caller.may("runs.read", name)
            )

        listed, token = await read(self._database, uses)
        return pb.ListDatasetRunsResponse(
            uses=[pb.DatasetUse(run=use.run, role=use.role) for use in listed],
            next_page_token=token,
        )
