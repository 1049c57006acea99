"""The tracking service's contract at work on a database, without the network between."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from service_chassis.blob_store import FolderBlobStore
from service_chassis.call_pipeline import authorise
from service_chassis.caller import Caller, Principal, set_current_caller
from service_chassis.errors import StudbookError
from service_chassis.method_access import method_table
from service_chassis.page_tokens import PageTokens
from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    dataset_pb2,
    dataset_service_pb2,
    experiment_pb2,
    experiment_service_pb2,
    metric_pb2,
    metric_service_pb2,
    run_pb2,
    run_service_pb2,
)
from tracking_service.artifact_limits import ArtifactLimits
from tracking_service.artifact_rpc import ArtifactServicer
from tracking_service.dataset_rpc import DatasetServicer
from tracking_service.experiment_rpc import ExperimentServicer
from tracking_service.metric_limits import MetricLimits
from tracking_service.metric_rpc import MetricServicer
from tracking_service.run_limits import RunLimits
from tracking_service.run_rpc import RunServicer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from service_chassis.database import Database

WORKSPACE = "workspaces/main"
WINE = f"{WORKSPACE}/experiments/wine"
NO_LIMITS = ArtifactLimits(artifact_bytes=1 << 40, workspace_bytes=0, run_files=1_000_000)
METRIC_LIMITS = MetricLimits(points_per_batch=100_000, run_metrics=10_000)
RUN_LIMITS = RunLimits(param_bytes=1 << 20, inputs=1000, answer_bytes=4 << 20)
GRACE_S = 24 * 3600.0
_PERMISSIONS = {
    permission for method in method_table().values() for permission in method.permissions
}


def caller(
    name: str = "ada", pattern: str = "**", *, via: str = "gateway", **grants: str
) -> Caller:
    """A caller who holds every permission on the pattern, but for those given by keyword."""
    held: dict[str, tuple[str, ...]] = dict.fromkeys(_PERMISSIONS, (pattern,))
    held |= {permission.replace("_", "."): (own,) for permission, own in grants.items()}
    principal = Principal(id=f"user:dev:{name}", kind="user", display_name=name.title())
    return Caller(principal, held, via)


ADA = caller()


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Tracking:
    """Calls the servicers as the call pipeline does."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        limits: ArtifactLimits = NO_LIMITS,
        grace_s: float = GRACE_S,
        metric_limits: MetricLimits = METRIC_LIMITS,
        run_limits: RunLimits = RUN_LIMITS,
    ) -> None:
        tokens = PageTokens(b"0123456789abcdef")
        self.database = database
        self.folder = folder
        self.blobs = FolderBlobStore(folder)
        servicers = {
            "ExperimentService": ExperimentServicer(database, tokens),
            "RunService": RunServicer(database, tokens, run_limits),
            "MetricService": MetricServicer(database, metric_limits),
            "DatasetService": DatasetServicer(database, tokens),
            "ArtifactService": ArtifactServicer(
                database, tokens, self.blobs, 2 << 20, limits, grace_s
            ),
        }
        self._methods = {
            method.path.rsplit("/", 1)[1]: (
                method,
                servicers[method.path.split("/")[1].split(".")[-1]],
            )
            for method in method_table().values()
            if method.area == "tracking"
        }

    def call(self, rpc: str, request: Any, by: Caller = ADA) -> Any:
        """The response, or the list of responses of a server stream."""
        return asyncio.run(self.call_async(rpc, request, by))

    async def call_async(self, rpc: str, request: Any, by: Caller = ADA) -> Any:
        method, servicer = self._methods[rpc]
        set_current_caller(by)
        if method.client_streaming:
            request = _each(request)
        else:
            authorise(method, by, request)
        answer = getattr(servicer, rpc)(request, None)
        if method.server_streaming:
            return [response async for response in answer]
        return await answer

    def experiment(self, name: str = WINE, **values: Any) -> Any:
        parent, _, experiment_id = name.rpartition("/experiments/")
        request = experiment_service_pb2.CreateExperimentRequest(
            parent=parent,
            experiment_id=experiment_id,
            experiment=experiment_pb2.Experiment(**values),
        )
        return self.call("CreateExperiment", request).experiment

    def run(self, run_id: str = "", parent: str = WINE, by: Caller = ADA, **values: Any) -> Any:
        request = run_service_pb2.CreateRunRequest(
            parent=parent, run_id=run_id, run=run_pb2.Run(**values)
        )
        return self.call("CreateRun", request, by).run

    def get(self, name: str) -> Any:
        return self.call("GetRun", run_service_pb2.GetRunRequest(name=name)).run

    def update(self, name: str, **values: Any) -> Any:
        request = run_service_pb2.UpdateRunRequest(run=run_pb2.Run(name=name, **values))
        return self.call("UpdateRun", request).run

    def delete(self, name: str, etag: str = "") -> Any:
        request = run_service_pb2.DeleteRunRequest(name=name, etag=etag)
        return self.call("DeleteRun", request).run

    def log(self, run: str, **records: Any) -> None:
        params = [param(key, value) for key, value in records.pop("params", {}).items()]
        request = run_service_pb2.LogBatchRequest(run=run, params=params, **records)
        self.call("LogBatch", request)

    def append(
        self, run: str, writer: str = "w", sequence: int = 1, **series: Sequence[tuple[int, float]]
    ) -> int:
        request = batch(run, writer, sequence, **series)
        committed: int = self.call("AppendMetrics", request).committed_sequence
        return committed

    def points(self, run: str, key: str = "loss", **limits: Any) -> list[tuple[int, float]]:
        request = metric_service_pb2.ReadMetricsRequest(runs=[run], keys=[key], **limits)
        parts = self.call("ReadMetrics", request)
        return [
            point
            for part in parts
            for point in zip(part.series.steps, part.series.values, strict=True)
        ]

    def list_runs(self, parent: str = WINE, by: Caller = ADA, **arguments: Any) -> list[str]:
        """The ids of the runs of all pages."""
        request = run_service_pb2.ListRunsRequest(parent=parent, **arguments)
        found = []
        while True:
            page = self.call("ListRuns", request, by)
            found += [run.name.rsplit("/", 1)[1] for run in page.runs]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def dataset(self, name: str = "wine", data: bytes = b"wine", **values: Any) -> Any:
        values = {"digest": sha256(data), "format": "file/v1", **values}
        request = dataset_service_pb2.RegisterDatasetRequest(
            parent=f"{WORKSPACE}/datasets/{name}",
            version_id=values.pop("version_id", ""),
            dataset=dataset_pb2.Dataset(**values),
        )
        return self.call("RegisterDataset", request).dataset

    def upload(self, run: str, data: bytes, **header: Any) -> int:
        committed: int = self.call("Upload", upload_messages(run, data, **header)).committed_size
        return committed

    def record(self, run: str, files: dict[str, bytes], **flags: bool) -> list[Any]:
        """Record files whose bytes were uploaded."""
        request = artifact_service_pb2.CreateArtifactsRequest(
            run=run,
            artifacts=[
                artifact_pb2.Artifact(path=path, digest=sha256(data))
                for path, data in files.items()
            ],
            **flags,
        )
        return list(self.call("CreateArtifacts", request).artifacts)

    def put(self, run: str, files: dict[str, bytes]) -> list[Any]:
        for data in files.values():
            self.upload(run, data)
        return self.record(run, files)

    def download(self, run: str, path: str, **part: int) -> bytes:
        request = artifact_service_pb2.DownloadRequest(run=run, path=path, **part)
        return b"".join(part.data for part in self.call("Download", request))

    def hold(self, run: str, level: Any, version: str = "1.0.0") -> Any:
        request = run_service_pb2.HoldRunRequest(
            run=run, holder=f"{WORKSPACE}/models/wine-cultivar/versions/{version}", level=level
        )
        return self.call("HoldRun", request, caller(via="registry"))


def reason(work: Callable[[], Any]) -> str:
    """Why work was refused."""
    with pytest.raises(StudbookError) as refusal:
        work()
    return refusal.value.reason


async def _each(messages: Iterable[Any]) -> Any:
    for message in messages:
        yield message


def param(key: str, value: str | float) -> run_pb2.Param:
    kind = {str: "string", bool: "bool", int: "int", float: "double"}[type(value)]
    fields: dict[str, Any] = {f"{kind}_value": value}
    return run_pb2.Param(key=key, value=run_pb2.ParamValue(**fields))


def batch(
    run: str, writer: str = "w", sequence: int = 1, **series: Sequence[tuple[int, float]]
) -> metric_service_pb2.AppendMetricsRequest:
    return metric_service_pb2.AppendMetricsRequest(
        run=run,
        writer=writer,
        sequence=sequence,
        series=[
            metric_pb2.MetricSeries(
                key=key,
                steps=[step for step, _ in points],
                times_us=[1_700_000_000_000_000 + index for index in range(len(points))],
                values=[value for _, value in points],
            )
            for key, points in series.items()
        ],
    )


def upload_messages(
    run: str, data: bytes, *, upto: int | None = None, **header: Any
) -> list[artifact_service_pb2.UploadRequest]:
    header = {"run": run, "digest": sha256(data), "size_bytes": len(data), **header}
    sent = data[header.get("write_offset", 0) : upto]
    size = 1 << 20
    return [
        artifact_service_pb2.UploadRequest(header=artifact_service_pb2.UploadHeader(**header)),
        *(
            artifact_service_pb2.UploadRequest(data=sent[start : start + size])
            for start in range(0, len(sent), size)
        ),
    ]
