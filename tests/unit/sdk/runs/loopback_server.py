"""A peer on loopback that keeps what the SDK sends: blobs in a folder, all else in memory.

It follows the contract as far as a client can see it, and can be told to fail.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc

from studbook.registry.v1 import (
    model_service_pb2_grpc,
    serving_service_pb2,
    serving_service_pb2_grpc,
)
from studbook.tracking.v1 import (
    artifact_service_pb2,
    artifact_service_pb2_grpc,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    experiment_service_pb2,
    experiment_service_pb2_grpc,
    metric_service_pb2,
    metric_service_pb2_grpc,
    run_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
)
from tests.unit.sdk.runs.loopback_models import Models
from tests.unit.sdk.runs.loopback_state import Part, Stored, fail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_quota(
    context: Any, limit: str, message: str, *, allowed: int, wanted: int, stored: int
) -> None:
    """Refuse as the server does when more is wanted than is allowed."""
    if wanted > allowed:
        fail(
            context,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "QUOTA_EXCEEDED",
            message,
            limit=limit,
            allowed=str(allowed),
            wanted=str(wanted),
            stored=str(stored),
        )


class Experiments(Part, experiment_service_pb2_grpc.ExperimentServiceServicer):
    def CreateExperiment(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("CreateExperiment", context)
        name = f"{request.parent}/experiments/{request.experiment_id}"
        if name in self.stored.experiments:
            fail(context, grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", "Taken.")
        self.stored.experiments.add(name)
        return experiment_service_pb2.CreateExperimentResponse()


class Runs(Part, run_service_pb2_grpc.RunServiceServicer):
    def CreateRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("CreateRun", context)
        if request.parent not in self.stored.experiments:
            fail(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "No such experiment.")
        name = f"{request.parent}/runs/{request.run_id}"
        with self.stored.lock:
            first = self.stored.requests.setdefault(request.request_id, request)
        if request != first:
            fail(context, grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED", "Another request.")
        if name in self.stored.runs:
            fail(context, grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", "Taken.")
        run = run_pb2.Run()
        run.CopyFrom(request.run)
        run.name, run.state = name, run_pb2.RUN_STATE_RUNNING
        self.stored.runs[name] = run
        return run_service_pb2.CreateRunResponse(run=run)

    def GetRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("GetRun", context)
        return run_service_pb2.GetRunResponse(run=self.run(request.name, context))

    def UpdateRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("UpdateRun", context)
        run = self.run(request.run.name, context)
        for path in request.update_mask.paths:
            run.ClearField(path)
        run.MergeFrom(request.run)
        return run_service_pb2.UpdateRunResponse(run=run)

    def SendHeartbeat(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("SendHeartbeat", context)
        return run_service_pb2.SendHeartbeatResponse(state=self.run(request.run, context).state)

    def DeleteRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("DeleteRun", context)
        return run_service_pb2.DeleteRunResponse(run=self.run(request.name, context))

    def LogBatch(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("LogBatch", context)
        run = self.run(request.run, context)
        params = self.stored.params.setdefault(request.run, {})
        self._check_params(len(params), len(request.params), context)
        for param in request.params:
            if param.key == "refused":
                fail(
                    context,
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "FIELD_INVALID",
                    "params[0].key is refused.",
                    fields={"params[0].key": "give another"},
                )
            params[param.key] = getattr(param.value, param.value.WhichOneof("kind"))
        run.tags.update(request.tags)
        for part in ("environment", "code"):
            if request.HasField(part):
                getattr(run, part).CopyFrom(getattr(request, part))
        for used in request.dataset_inputs:
            self.stored.inputs.append((request.run, used.dataset, used.role))
        return run_service_pb2.LogBatchResponse()

    def _check_params(self, stored: int, new: int, context: Any) -> None:
        # Each takes one byte here.
        check_quota(
            context,
            "run_param_bytes",
            "Too many parameters.",
            allowed=self.stored.most_params,
            wanted=stored + new,
            stored=stored,
        )


class Metrics(Part, metric_service_pb2_grpc.MetricServiceServicer):
    def AppendMetrics(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("AppendMetrics", context)
        self.run(request.run, context)
        if request.ByteSize() > self.stored.most_batch_bytes:
            fail(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", "Too large.")
        if self.stored.refused_keys & {series.key for series in request.series}:
            fail(context, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", "A key is refused.")
        self._check_metrics(request, context)
        with self.stored.lock:
            writer = (request.run, request.writer)
            if request.sequence > self.stored.sequences.get(writer, 0):
                self.stored.sequences[writer] = request.sequence
                for series in request.series:
                    points = zip(series.steps, series.times_us, series.values, strict=True)
                    self.stored.points.setdefault((request.run, series.key), []).extend(points)
            # Stored, yet the answer is lost on the way.
            if self.stored.unavailable.get("AppendMetrics answer", 0):
                self.stored.unavailable["AppendMetrics answer"] -= 1
                fail(context, grpc.StatusCode.UNAVAILABLE, "", "Connection reset.")
            return metric_service_pb2.AppendMetricsResponse(
                committed_sequence=self.stored.sequences[writer]
            )

    def _check_metrics(self, request: Any, context: Any) -> None:
        known = {key for run, key in self.stored.points if run == request.run}
        wanted = known | {series.key for series in request.series}
        check_quota(
            context,
            "run_metrics",
            "Too many metrics.",
            allowed=self.stored.most_metrics,
            wanted=len(wanted),
            stored=len(known),
        )


class Datasets(Part, dataset_service_pb2_grpc.DatasetServiceServicer):
    def RegisterDataset(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("RegisterDataset", context)
        version = request.version_id or request.dataset.digest[7:19]
        dataset = request.dataset
        dataset.name = f"{request.parent}/versions/{version}"
        self.stored.datasets[dataset.name] = dataset
        return dataset_service_pb2.RegisterDatasetResponse(dataset=dataset)


class Artifacts(Part, artifact_service_pb2_grpc.ArtifactServiceServicer):
    def _blob(self, digest: str) -> Path:
        return self.stored.blobs / digest.removeprefix("sha256:")

    def FindMissing(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("FindMissing", context)
        missing = [digest for digest in request.digests if not self._blob(digest).exists()]
        return artifact_service_pb2.FindMissingResponse(missing_digests=missing)

    def QueryUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("QueryUpload", context)
        blob = self._blob(request.digest)
        if blob.exists():
            size = blob.stat().st_size
            return artifact_service_pb2.QueryUploadResponse(committed_size=size, complete=True)
        part = blob.with_suffix(".part")
        size = part.stat().st_size if part.exists() else 0
        return artifact_service_pb2.QueryUploadResponse(committed_size=size)

    def Upload(self, requests: Any, context: Any) -> Any:  # noqa: N802
        self.begin("Upload", context)
        header = next(requests).header
        blob = self._blob(header.digest)
        part = blob.with_suffix(".part")
        have = part.stat().st_size if part.exists() else 0
        if header.write_offset != have:
            fail(context, grpc.StatusCode.OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE", "Not there.")
        with part.open("ab") as file:
            for request in requests:
                file.write(request.data)
                file.flush()
                self.cut(context, file.tell())
        size = part.stat().st_size
        if size < header.size_bytes:
            fail(context, grpc.StatusCode.ABORTED, "UPLOAD_INCOMPLETE", "Not all came.")
        actual = hashlib.sha256(part.read_bytes()).hexdigest()
        if f"sha256:{actual}" != header.digest:
            part.unlink()
            fail(context, grpc.StatusCode.INVALID_ARGUMENT, "DIGEST_MISMATCH", "Other bytes.")
        part.rename(blob)
        return artifact_service_pb2.UploadResponse(committed_size=size)

    def CreateArtifacts(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("CreateArtifacts", context)
        for artifact in request.artifacts:
            blob = self._blob(artifact.digest)
            if not blob.exists():
                fail(context, grpc.StatusCode.FAILED_PRECONDITION, "BLOB_MISSING", "No bytes.")
            artifact.size_bytes = blob.stat().st_size
            self.stored.artifacts[request.run, artifact.path] = artifact
        return artifact_service_pb2.CreateArtifactsResponse(artifacts=request.artifacts)

    def ListArtifacts(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("ListArtifacts", context)
        everything = sorted(self.stored.artifacts.items())
        found = [artifact for (run, _), artifact in everything if run == request.parent]
        return artifact_service_pb2.ListArtifactsResponse(artifacts=found)

    def Download(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self.begin("Download", context)
        artifact = self.stored.artifacts[request.run, request.path]
        for data in self.pieces(artifact.digest, request.read_offset, context):
            yield artifact_service_pb2.DownloadResponse(artifact=artifact, data=data)

    def pieces(self, digest: str, offset: int, context: Any) -> Iterator[bytes]:
        with self._blob(digest).open("rb") as file:
            file.seek(offset)
            while data := file.read(64 * 1024):
                yield data
                self.cut(context, file.tell())


class Serving(Artifacts, serving_service_pb2_grpc.ServingServiceServicer):
    def ResolveVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("ResolveVersion", context)
        name = f"{request.model}/versions/{request.version}"
        if name not in self.stored.versions:
            fail(context, grpc.StatusCode.NOT_FOUND, "STAGE_EMPTY", "Nothing is in Production.")
        return serving_service_pb2.ResolveVersionResponse(version=self.stored.versions[name])

    def FetchArtifacts(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self.begin("FetchArtifacts", context)
        version = self.stored.versions[request.version]
        for file in version.files:
            if file.path in request.paths:
                for data in self.pieces(file.digest, request.read_offset, context):
                    yield serving_service_pb2.FetchArtifactsResponse(file=file, data=data)


def serve(stored: Stored, port: int = 0) -> tuple[grpc.Server, int]:
    """Start the peer; returns it and its port."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    # The generated base classes answer UNIMPLEMENTED to what the peer leaves out.
    experiment_service_pb2_grpc.add_ExperimentServiceServicer_to_server(
        Experiments(stored),  # type: ignore[abstract]
        server,
    )
    run_service_pb2_grpc.add_RunServiceServicer_to_server(
        Runs(stored),  # type: ignore[abstract]
        server,
    )
    metric_service_pb2_grpc.add_MetricServiceServicer_to_server(
        Metrics(stored),  # type: ignore[abstract]
        server,
    )
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(
        Datasets(stored),  # type: ignore[abstract]
        server,
    )
    artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(Artifacts(stored), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        Models(stored),  # type: ignore[abstract]
        server,
    )
    serving_service_pb2_grpc.add_ServingServiceServicer_to_server(
        Serving(stored),  # type: ignore[abstract]
        server,
    )
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound
