"""ExperimentService: the contract of experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service_chassis.caller import current_caller
from service_chassis.listing import PageRequest
from service_chassis.resource_names import EXPERIMENT, WORKSPACE
from service_chassis.timestamps import now_us
from studbook.tracking.v1 import experiment_service_pb2 as pb
from studbook.tracking.v1 import experiment_service_pb2_grpc
from tracking_service import experiments, request_reading
from tracking_service.presence import found
from tracking_service.proto_conversion import experiment_message
from tracking_service.transactions import change, read

if TYPE_CHECKING:
    from service_chassis.database import Database
    from service_chassis.page_tokens import PageTokens
    from tracking_service.store.tracking_store import TrackingStore


class ExperimentServicer(experiment_service_pb2_grpc.ExperimentServiceServicer):
    """Answers calls on experiments; see experiment_service.proto for what each promises."""

    def __init__(self, database: Database, page_tokens: PageTokens) -> None:
        self._database = database
        self._page_tokens = page_tokens

    async def CreateExperiment(
        self, request: pb.CreateExperimentRequest, _context: Any
    ) -> pb.CreateExperimentResponse:
        """Make an experiment."""
        name = request_reading.new_experiment_name(request)
        description, tags = request_reading.experiment_texts(request)
        current_caller().refuse_denied("experiments.write", name)

        def create(store: TrackingStore) -> pb.CreateExperimentResponse:
            made = experiments.create(store, name, description, tags, now_us())
            return pb.CreateExperimentResponse(experiment=experiment_message(made))

        return await change(
            self._database, current_caller(), request, pb.CreateExperimentResponse, create
        )

    async def GetExperiment(
        self, request: pb.GetExperimentRequest, _context: Any
    ) -> pb.GetExperimentResponse:
        """Read an experiment."""
        EXPERIMENT.parse(request.name)
        experiment = await read(
            self._database, lambda store: found(store.experiments.find(request.name), request.name)
        )
        return pb.GetExperimentResponse(experiment=experiment_message(experiment))

    async def ListExperiments(
        self, request: pb.ListExperimentsRequest, _context: Any
    ) -> pb.ListExperimentsResponse:
        """List the experiments that the caller may see."""
        caller = current_caller()
        workspace = WORKSPACE.parse(request.parent, "parent")["workspace"]
        page = PageRequest.read(request, default_order="create_time desc", tokens=self._page_tokens)
        listed, token = await read(
            self._database,
            lambda store: store.experiments.page(
                workspace, page, lambda name: caller.may("experiments.read", name)
            ),
        )
        return pb.ListExperimentsResponse(
            experiments=[experiment_message(experiment) for experiment in listed],
            next_page_token=token,
        )

    async def UpdateExperiment(
        self, request: pb.UpdateExperimentRequest, _context: Any
    ) -> pb.UpdateExperimentResponse:
        """Change description and tags."""
        wanted = request_reading.experiment_change(request)

        def update(store: TrackingStore) -> pb.UpdateExperimentResponse:
            updated = experiments.update(store, wanted, now_us())
            return pb.UpdateExperimentResponse(experiment=experiment_message(updated))

        return await change(
            self._database, current_caller(), request, pb.UpdateExperimentResponse, update
        )

    async def DeleteExperiment(
        self, request: pb.DeleteExperimentRequest, _context: Any
    ) -> pb.DeleteExperimentResponse:
        """Delete an experiment without runs."""
        EXPERIMENT.parse(request.name)

        def delete(store: TrackingStore) -> pb.DeleteExperimentResponse:
            experiments.delete(store, request.name, request.etag)
            return pb.DeleteExperimentResponse()

        return await change(
            self._database, current_caller(), request, pb.DeleteExperimentResponse, delete
        )
