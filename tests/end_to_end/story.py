"""The steps of the main job, with nothing but the generated stubs."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studbook.registry.v1 import (
    model_service_pb2,
    promotion_service_pb2,
    serving_service_pb2,
    version_pb2,
)
from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    dataset_pb2,
    dataset_service_pb2,
    experiment_service_pb2,
    metric_pb2,
    metric_service_pb2,
    run_pb2,
    run_service_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from studbook.client import Client

WORKSPACE = "workspaces/main"
PRODUCTION = version_pb2.STAGE_PRODUCTION
CHUNK = 256 * 1024


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def upload_messages(
    run: str, data: bytes, offset: int = 0, *, digest: str = ""
) -> Iterator[artifact_service_pb2.UploadRequest]:
    """What an Upload call sends for some bytes, beginning at an offset."""
    header = artifact_service_pb2.UploadHeader(
        run=run, digest=digest or digest_of(data), size_bytes=len(data), write_offset=offset
    )
    yield artifact_service_pb2.UploadRequest(header=header)
    for start in range(offset, len(data), CHUNK):
        yield artifact_service_pb2.UploadRequest(data=data[start : start + CHUNK])


def store_file(client: Client, run: str, path: str, data: bytes) -> artifact_pb2.Artifact:
    """Upload bytes and record them as a file of a run."""
    client.artifacts.Upload(upload_messages(run, data))
    artifact = artifact_pb2.Artifact(path=path, digest=digest_of(data))
    answer = client.artifacts.CreateArtifacts(
        artifact_service_pb2.CreateArtifactsRequest(run=run, artifacts=[artifact])
    )
    return answer.artifacts[0]


@dataclass(frozen=True)
class Trained:
    """A run with a model file."""

    run: str
    model_bytes: bytes
    dataset: str


def create_experiment(client: Client, experiment: str) -> str:
    answer = client.experiments.CreateExperiment(
        experiment_service_pb2.CreateExperimentRequest(parent=WORKSPACE, experiment_id=experiment)
    )
    return answer.experiment.name


def create_run(client: Client, experiment: str, run_id: str = "") -> str:
    answer = client.runs.CreateRun(
        run_service_pb2.CreateRunRequest(parent=experiment, run_id=run_id)
    )
    return answer.run.name


def append(client: Client, run: str, values: list[float], *, sequence: int = 1) -> None:
    """Log a metric `loss`, one point a step."""
    now_us = time.time_ns() // 1000
    series = metric_pb2.MetricSeries(
        key="loss",
        steps=range(len(values)),
        times_us=[now_us] * len(values),
        values=values,
    )
    client.metrics.AppendMetrics(
        metric_service_pb2.AppendMetricsRequest(
            run=run, writer="w1", sequence=sequence, series=[series]
        )
    )


def train(client: Client, experiment: str, seed: int) -> Trained:
    """A finished run with parameters, metrics, a dataset, environment, code and a model file."""
    run = create_run(client, experiment)
    data = f"rows of {experiment}".encode()
    registered = client.datasets.RegisterDataset(
        dataset_service_pb2.RegisterDatasetRequest(
            parent=f"{WORKSPACE}/datasets/{experiment.rsplit('/', 1)[1]}",
            dataset=dataset_pb2.Dataset(digest=digest_of(data), format="file/v1", row_count=-1),
        )
    )
    client.runs.LogBatch(
        run_service_pb2.LogBatchRequest(
            run=run,
            params=[run_pb2.Param(key="seed", value=run_pb2.ParamValue(int_value=seed))],
            dataset_inputs=[run_pb2.DatasetInput(dataset=registered.dataset.name, role="training")],
            environment=run_pb2.Environment(python_version="3.11.7"),
            code=run_pb2.Code(commit="a" * 40),
        )
    )
    append(client, run, [1.0 / (step + seed) for step in range(10)])
    model = f"model of seed {seed}".encode() * 50_000
    store_file(client, run, "model/model.bin", model)
    client.runs.UpdateRun(
        run_service_pb2.UpdateRunRequest(
            run=run_pb2.Run(name=run, state=run_pb2.RUN_STATE_FINISHED),
        )
    )
    return Trained(run, model, registered.dataset.name)


def register(client: Client, model: str, number: str, run: str) -> version_pb2.Version:
    """Register a run's model folder as a version."""
    answer = client.models.CreateVersion(
        model_service_pb2.CreateVersionRequest(
            parent=model, version_id=number, source_run=run, artifact_paths=["model"]
        )
    )
    return answer.version


def create_model(client: Client, model: str) -> str:
    answer = client.models.CreateModel(
        model_service_pb2.CreateModelRequest(parent=WORKSPACE, model_id=model)
    )
    return answer.model.name


@dataclass(frozen=True)
class Begun:
    """A model with one version, and the run that made it."""

    model: str
    version: str
    trained: Trained


def begin(client: Client, new_id: Callable[[str], str], seed: int = 1) -> Begun:
    """Train and register version 1.0.0 of a model of its own."""
    trained = train(client, create_experiment(client, new_id("wine")), seed)
    model = create_model(client, new_id("wine-cultivar"))
    return Begun(model, register(client, model, "1.0.0", trained.run).name, trained)


def promote(
    client: Client,
    version: str,
    stage: version_pb2.Stage.ValueType = PRODUCTION,
    **fields: Any,
) -> promotion_service_pb2.TransitionStageResponse:
    """Move a version to a stage."""
    return client.promotions.TransitionStage(
        promotion_service_pb2.TransitionStageRequest(
            name=version, to_stage=stage, reason="as a test", **fields
        )
    )


def in_production(client: Client, model: str) -> serving_service_pb2.ResolveVersionResponse:
    """What is in Production now."""
    return client.serving.ResolveVersion(serving_service_pb2.ResolveVersionRequest(model=model))


def fetch(client: Client, version: str) -> dict[str, bytes]:
    """The files of a version, digests checked."""
    files: dict[str, bytes] = {}
    wanted: dict[str, str] = {}
    path = ""
    request = serving_service_pb2.FetchArtifactsRequest(version=version)
    for message in client.serving.FetchArtifacts(request):
        if message.HasField("file"):
            path = message.file.path
            wanted[path] = message.file.digest
            files[path] = b""
        files[path] += message.data
    assert {path: digest_of(data) for path, data in files.items()} == wanted
    return files
