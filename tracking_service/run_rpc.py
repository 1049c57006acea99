"""RunService: the contract of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from service_chassis.caller import Caller, current_caller
from service_chassis.errors import answer_too_large, permission_missing
from service_chassis.listing import PageRequest
from service_chassis.resource_names import ANY, EXPERIMENT, RUN
from service_chassis.timestamps import now_us
from studbook.tracking.v1 import run_pb2, run_service_pb2_grpc
from studbook.tracking.v1 import run_service_pb2 as pb
from tracking_service import run_comparison, run_holds, run_logging, run_requests, runs
from tracking_service.presence import found
from tracking_service.proto_conversion import (
    comparison_message,
    held_run_message,
    run_message,
    write_run,
)
from tracking_service.run_comparison import without_rows
from tracking_service.run_view import read_view
from tracking_service.transactions import change, read, write

if TYPE_CHECKING:
    from service_chassis.database import Database
    from service_chassis.page_tokens import PageTokens
    from tracking_service.records import Run
    from tracking_service.run_limits import RunLimits
    from tracking_service.run_view import RunView
    from tracking_service.store.tracking_store import TrackingStore

_Answer = TypeVar("_Answer", pb.GetRunResponse, pb.CompareRunsResponse)


class RunServicer(run_service_pb2_grpc.RunServiceServicer):
    """Answers calls on runs; see run_service.proto for what each promises."""

    def __init__(self, database: Database, page_tokens: PageTokens, limits: RunLimits) -> None:
        self._database = database
        self._page_tokens = page_tokens
        self._limits = limits

    async def CreateRun(self, request: pb.CreateRunRequest, _context: Any) -> pb.CreateRunResponse:
        """Make a run in state RUNNING."""
        caller = current_caller()
        new = run_requests.new_run(request)

        def create(store: TrackingStore) -> pb.CreateRunResponse:
            made = runs.create(store, new, caller.principal, now_us())
            begun = run_logging.begin(store, made, new.params, self._limits)
            return pb.CreateRunResponse(run=run_message(begun))

        return await change(self._database, caller, request, pb.CreateRunResponse, create)

    async def GetRun(self, request: pb.GetRunRequest, _context: Any) -> pb.GetRunResponse:
        """Read a run with all that was logged, metrics as summaries."""
        RUN.parse(request.name)
        view = read_view(request.read_mask.paths)
        run = await read(
            self._database,
            lambda store: found(store.runs.find(request.name, view), request.name),
            brief=True,
        )
        answer = pb.GetRunResponse(run=run_message(run, view.unwanted))
        return self._receivable(answer, "name what is wanted of the run in read_mask")

    async def ListRuns(self, request: pb.ListRunsRequest, _context: Any) -> pb.ListRunsResponse:
        """List the runs that the caller may see."""
        caller = current_caller()
        EXPERIMENT.parse(request.parent, "parent", any_of={"experiment"})
        view = read_view(request.read_mask.paths)
        page = PageRequest.read(request, default_order="create_time desc", tokens=self._page_tokens)
        most = self._limits.answer_bytes
        return await read(
            self._database, lambda store: _list(store, request, page, view, caller, most)
        )

    async def UpdateRun(self, request: pb.UpdateRunRequest, _context: Any) -> pb.UpdateRunResponse:
        """Change names, tags, state and times."""
        wanted = run_requests.run_change(request)

        def update(store: TrackingStore) -> pb.UpdateRunResponse:
            return pb.UpdateRunResponse(run=self._changed(runs.update(store, wanted, now_us())))

        return await change(self._database, current_caller(), request, pb.UpdateRunResponse, update)

    async def DeleteRun(self, request: pb.DeleteRunRequest, _context: Any) -> pb.DeleteRunResponse:
        """Delete a run softly."""
        RUN.parse(request.name)

        def delete(store: TrackingStore) -> pb.DeleteRunResponse:
            deleted = runs.delete(store, request.name, request.etag, now_us())
            return pb.DeleteRunResponse(run=self._changed(deleted))

        return await change(self._database, current_caller(), request, pb.DeleteRunResponse, delete)

    async def UndeleteRun(
        self, request: pb.UndeleteRunRequest, _context: Any
    ) -> pb.UndeleteRunResponse:
        """Take a deletion back."""
        RUN.parse(request.name)
        run = await write(
            self._database, lambda store: runs.undelete(store, request.name, now_us())
        )
        return pb.UndeleteRunResponse(run=self._changed(run))

    async def LogBatch(self, request: pb.LogBatchRequest, _context: Any) -> pb.LogBatchResponse:
        """Add parameters, tags, datasets, environment and code."""
        records = run_requests.run_records(request)
        await write(
            self._database,
            lambda store: run_logging.log(store, request.run, records, self._limits, now_us()),
        )
        return pb.LogBatchResponse()

    async def CompareRuns(
        self, request: pb.CompareRunsRequest, _context: Any
    ) -> pb.CompareRunsResponse:
        """Set runs side by side."""
        names = run_requests.compared_names(request)
        baseline = run_requests.baseline_place(request)
        view = read_view(request.read_mask.paths)

        def compare(store: TrackingStore) -> pb.CompareRunsResponse:
            by_name = {run.name: run for run in store.runs.find_all(names, view)}
            compared = [found(by_name.get(name), name) for name in names]
            answer = comparison_message(run_comparison.compare(compared, baseline), view.unwanted)
            return self._receivable(answer, "name fewer runs, or what is wanted in read_mask")

        return await read(self._database, compare)

    async def SendHeartbeat(
        self, request: pb.SendHeartbeatRequest, _context: Any
    ) -> pb.SendHeartbeatResponse:
        """Note that a run's program is alive."""
        RUN.parse(request.run, "run")
        state = await write(self._database, lambda store: runs.hear(store, request.run, now_us()))
        return pb.SendHeartbeatResponse(state=run_pb2.RunState.ValueType(int(state)))

    async def HoldRun(self, request: pb.HoldRunRequest, _context: Any) -> pb.HoldRunResponse:
        """Hold on to a run for a model version, and read it; for the registry only."""
        caller = current_caller()
        if caller.via != "registry":
            raise permission_missing("runs.hold", request.run, caller.principal.id)
        wanted = run_requests.wanted_hold(request)
        held = await write(
            self._database,
            lambda store: run_holds.hold(
                store, request.run, wanted, now_us(), validate_only=request.validate_only
            ),
        )
        return held_run_message(held)

    def _changed(self, run: Run) -> run_pb2.Run:
        """A run that was changed; what it holds is left out where clients would not take it."""
        message = run_message(run)
        if message.ByteSize() <= self._limits.answer_bytes:
            return message
        return run_message(without_rows(run))

    def _receivable(self, answer: _Answer, remedy: str) -> _Answer:
        """The answer, unless clients would not take it."""
        size = answer.ByteSize()
        if size > self._limits.answer_bytes:
            raise answer_too_large(size, self._limits.answer_bytes, remedy)
        return answer


def _list(
    store: TrackingStore,
    request: pb.ListRunsRequest,
    page: PageRequest,
    view: RunView,
    caller: Caller,
    most_bytes: int,
) -> pb.ListRunsResponse:
    ids = EXPERIMENT.parse(request.parent, any_of={"experiment"})
    experiment = None
    if ids["experiment"] != ANY:
        experiment = found(store.experiments.key(request.parent), request.parent)
    while True:
        listed, token = store.runs.page(
            ids["workspace"],
            experiment,
            page,
            lambda name: caller.may("runs.read", name),
            view,
            show_deleted=request.show_deleted,
        )
        response = pb.ListRunsResponse(next_page_token=token)
        for run in listed:
            write_run(run, response.runs.add(), view.unwanted)
        size = response.ByteSize()
        if size <= most_bytes:
            return response
        if len(listed) == 1:
            remedy = f"name what is wanted of {listed[0].name} in read_mask"
            raise answer_too_large(size, most_bytes, remedy)
        # Fewer runs than asked for, so that the answer can be received.
        page = replace(page, size=max(1, len(listed) * most_bytes // size // 2))
