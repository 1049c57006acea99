"""Train a model and log the run with nothing but grpc and the generated stubs.

    STUDBOOK_TOKEN=... python examples/stubs_only/log_a_run.py

Prints the resource name of the run.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import sys
import uuid
from importlib.metadata import distributions
from typing import TYPE_CHECKING

import grpc
import joblib
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    artifact_service_pb2_grpc,
    dataset_pb2,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    experiment_service_pb2,
    experiment_service_pb2_grpc,
    metric_pb2,
    metric_service_pb2,
    metric_service_pb2_grpc,
    run_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ADDRESS = os.environ.get("STUDBOOK_ADDRESS", "127.0.0.1:7420")
WORKSPACE = f"workspaces/{os.environ.get('STUDBOOK_WORKSPACE', 'main')}"
EXPERIMENT = f"{WORKSPACE}/experiments/wine"
CHUNK = 1024 * 1024
DEADLINE = 30

Metadata = tuple[tuple[str, str], ...]


def main() -> None:
    """Log one run from beginning to end."""
    metadata: Metadata = (("authorization", f"Bearer {os.environ['STUDBOOK_TOKEN']}"),)
    # Beyond this machine: grpc.secure_channel(ADDRESS, grpc.ssl_channel_credentials()).
    with grpc.insecure_channel(ADDRESS) as channel:
        make_experiment(channel, metadata)
        run = start_run(channel, metadata)
        wine = load_wine()
        content = wine.data.tobytes() + wine.target.tobytes()
        log_data(channel, metadata, run, content, [str(name) for name in wine.feature_names])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=500))
        scores = cross_val_score(model, wine.data, wine.target, cv=5)
        log_scores(channel, metadata, run, [float(score) for score in scores])
        model.fit(wine.data, wine.target)
        file = io.BytesIO()
        joblib.dump(model, file)
        store_file(channel, metadata, run, "model/model.joblib", file.getvalue())
        finish_run(channel, metadata, run)
    sys.stdout.write(f"{run}\n")


def make_experiment(channel: grpc.Channel, metadata: Metadata) -> None:
    """Create the experiment unless it is there."""
    experiments = experiment_service_pb2_grpc.ExperimentServiceStub(channel)
    try:
        experiments.CreateExperiment(
            experiment_service_pb2.CreateExperimentRequest(
                parent=WORKSPACE, experiment_id="wine", request_id=str(uuid.uuid4())
            ),
            metadata=metadata,
            timeout=DEADLINE,
        )
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise


def start_run(channel: grpc.Channel, metadata: Metadata) -> str:
    """Create the run and record what it is made of."""
    runs = run_service_pb2_grpc.RunServiceStub(channel)
    run = runs.CreateRun(
        run_service_pb2.CreateRunRequest(
            parent=EXPERIMENT,
            run=run_pb2.Run(display_name="logistic, by stubs"),
            request_id=str(uuid.uuid4()),
        ),
        metadata=metadata,
        timeout=DEADLINE,
    ).run
    packages = {found.name.lower(): found.version for found in distributions()}
    runs.LogBatch(
        run_service_pb2.LogBatchRequest(
            run=run.name,
            params=[
                run_pb2.Param(key="C", value=run_pb2.ParamValue(double_value=0.5)),
                run_pb2.Param(key="max_iter", value=run_pb2.ParamValue(int_value=500)),
            ],
            tags={"algorithm": "logistic regression"},
            environment=run_pb2.Environment(
                python_version=platform.python_version(),
                python_implementation=platform.python_implementation(),
                platform=platform.platform(),
                machine=platform.machine(),
                packages=packages,
            ),
        ),
        metadata=metadata,
        timeout=DEADLINE,
    )
    return run.name


def log_data(
    channel: grpc.Channel, metadata: Metadata, run: str, content: bytes, columns: list[str]
) -> None:
    """Register the dataset by its digest and say that the run learned from it."""
    dataset = dataset_pb2.Dataset(
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        format="float64-rows-then-int64-labels/v1",
        source="sklearn.datasets.load_wine",
        columns=[dataset_pb2.Column(name=name, type="double") for name in columns],
        row_count=178,
        size_bytes=len(content),
    )
    registered = dataset_service_pb2_grpc.DatasetServiceStub(channel).RegisterDataset(
        dataset_service_pb2.RegisterDatasetRequest(
            parent=f"{WORKSPACE}/datasets/wine-raw", dataset=dataset
        ),
        metadata=metadata,
        timeout=DEADLINE,
    )
    run_service_pb2_grpc.RunServiceStub(channel).LogBatch(
        run_service_pb2.LogBatchRequest(
            run=run,
            dataset_inputs=[run_pb2.DatasetInput(dataset=registered.dataset.name, role="training")],
        ),
        metadata=metadata,
        timeout=DEADLINE,
    )


def log_scores(
    channel: grpc.Channel, metadata: Metadata, run: str, scores: Sequence[float]
) -> None:
    """Append one metric with one point for each fold."""
    now = run_pb2.Run().start_time
    now.GetCurrentTime()
    series = metric_pb2.MetricSeries(
        key="fold/accuracy",
        steps=range(len(scores)),
        times_us=[now.ToMicroseconds()] * len(scores),
        values=scores,
    )
    # Sent again with the same writer and sequence, the batch would count once.
    metric_service_pb2_grpc.MetricServiceStub(channel).AppendMetrics(
        metric_service_pb2.AppendMetricsRequest(
            run=run, writer=uuid.uuid4().hex, sequence=1, series=[series]
        ),
        metadata=metadata,
        timeout=DEADLINE,
    )


def store_file(
    channel: grpc.Channel, metadata: Metadata, run: str, path: str, content: bytes
) -> None:
    """Upload the bytes unless the workspace has them, then record the path."""
    artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(channel)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    missing = artifacts.FindMissing(
        artifact_service_pb2.FindMissingRequest(run=run, digests=[digest]),
        metadata=metadata,
        timeout=DEADLINE,
    ).missing_digests
    if missing:
        messages = upload_messages(run, digest, content)
        artifacts.Upload(messages, metadata=metadata, timeout=DEADLINE)
    artifacts.CreateArtifacts(
        artifact_service_pb2.CreateArtifactsRequest(
            run=run,
            artifacts=[
                artifact_pb2.Artifact(
                    path=path, digest=digest, media_type="application/octet-stream"
                )
            ],
        ),
        metadata=metadata,
        timeout=DEADLINE,
    )


def upload_messages(
    run: str, digest: str, content: bytes
) -> Iterator[artifact_service_pb2.UploadRequest]:
    """The header, then the bytes."""
    yield artifact_service_pb2.UploadRequest(
        header=artifact_service_pb2.UploadHeader(run=run, digest=digest, size_bytes=len(content))
    )
    for start in range(0, len(content), CHUNK):
        yield artifact_service_pb2.UploadRequest(data=content[start : start + CHUNK])


def finish_run(channel: grpc.Channel, metadata: Metadata, run: str) -> None:
    """Say that the run ended as intended, and when."""
    ended = run_pb2.Run(name=run, state=run_pb2.RUN_STATE_FINISHED)
    ended.end_time.GetCurrentTime()
    request = run_service_pb2.UpdateRunRequest(run=ended, request_id=str(uuid.uuid4()))
    request.update_mask.paths.extend(["state", "end_time"])
    run_service_pb2_grpc.RunServiceStub(channel).UpdateRun(
        request, metadata=metadata, timeout=DEADLINE
    )


if __name__ == "__main__":
    main()
