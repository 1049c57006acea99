"""What is measured, made ready: a run, a file, two versions, and tokens to use them with."""

from __future__ import annotations

import hashlib
import itertools
import random
import time
from typing import TYPE_CHECKING

from local_stack.ci_token import ask_for_token, release_job
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.registry.v1 import (
    model_service_pb2,
    promotion_service_pb2,
    serving_service_pb2,
    version_pb2,
)
from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    experiment_service_pb2,
    metric_pb2,
    metric_service_pb2,
    run_service_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_stack.stack import LocalStack

WORKSPACE = "workspaces/main"
CHUNK = 1024 * 1024


class Story:
    """One run with a file, registered twice; 1.0.0 is in Production.

    Args:
        stack: A running Studbook.
        points: How many points of a metric the run has when it is registered.
    """

    def __init__(self, stack: LocalStack, points: int = 0) -> None:
        gateway = stack.addresses.gateway
        person = login.as_demo_person(gateway, "ada").access_token
        job = ask_for_token(stack.addresses.ci_issuer, stack.ci_secret(), release_job())
        self._trainer = Client(gateway, workspace="main", token_source=FixedToken(person))
        self.release = Client(gateway, workspace="main", token_source=FixedToken(job))
        self._sequence = itertools.count(1)
        self._turn = itertools.cycle(("1.1.0", "1.0.0"))
        self._digest = ""
        self.run = self._make_run()
        if points:
            self.append(points)
        self.model = self._make_versions()

    def _make_run(self) -> str:
        experiment = self._trainer.experiments.CreateExperiment(
            experiment_service_pb2.CreateExperimentRequest(parent=WORKSPACE, experiment_id="bench")
        ).experiment.name
        request = run_service_pb2.CreateRunRequest(parent=experiment, run_id="bench")
        return self._trainer.runs.CreateRun(request).run.name

    def _make_versions(self) -> str:
        self._store(b"the model", "model/model.bin")
        model = self._trainer.models.CreateModel(
            model_service_pb2.CreateModelRequest(parent=WORKSPACE, model_id="bench")
        ).model.name
        for number in ("1.0.0", "1.1.0"):
            self._trainer.models.CreateVersion(
                model_service_pb2.CreateVersionRequest(
                    parent=model,
                    version_id=number,
                    source_run=self.run,
                    artifact_paths=["model"],
                )
            )
        self.model = model
        self._move("1.0.0")
        return model

    def _move(self, number: str) -> None:
        self.release.promotions.TransitionStage(
            promotion_service_pb2.TransitionStageRequest(
                name=f"{self.model}/versions/{number}",
                to_stage=version_pb2.STAGE_PRODUCTION,
                reason="measured",
            )
        )

    def _store(self, data: bytes, path: str) -> None:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        header = artifact_service_pb2.UploadHeader(
            run=self.run, digest=digest, size_bytes=len(data)
        )

        def messages() -> Iterator[artifact_service_pb2.UploadRequest]:
            yield artifact_service_pb2.UploadRequest(header=header)
            for start in range(0, len(data), CHUNK):
                yield artifact_service_pb2.UploadRequest(data=data[start : start + CHUNK])

        self._trainer.artifacts.Upload(messages())
        self._trainer.artifacts.CreateArtifacts(
            artifact_service_pb2.CreateArtifactsRequest(
                run=self.run, artifacts=[artifact_pb2.Artifact(path=path, digest=digest)]
            )
        )

    def resolve(self) -> object:
        """What is in Production."""
        return self.release.serving.ResolveVersion(
            serving_service_pb2.ResolveVersionRequest(model=self.model)
        )

    def read_run(self) -> object:
        """The run with all that was logged."""
        return self._trainer.runs.GetRun(run_service_pb2.GetRunRequest(name=self.run))

    def append(self, points: int) -> int:
        """Log points of one metric; returns how many."""
        now_us = time.time_ns() // 1000
        series = metric_pb2.MetricSeries(
            key="loss",
            steps=range(points),
            times_us=[now_us] * points,
            values=[random.random() for _ in range(points)],  # noqa: S311 - noise to compress
        )
        self._trainer.metrics.AppendMetrics(
            metric_service_pb2.AppendMetricsRequest(
                run=self.run, writer="bench", sequence=next(self._sequence), series=[series]
            )
        )
        return points

    def promote(self) -> None:
        """Put the other version into Production."""
        self._move(next(self._turn))

    def upload(self, size: int) -> None:
        """Upload as many bytes as one file, hashing them first."""
        data = random.randbytes(size)  # noqa: S311 - bytes to move
        self._store(data, "large.bin")
        self._digest = hashlib.sha256(data).hexdigest()

    def download(self) -> None:
        """Download the file and check it."""
        found = hashlib.sha256()
        request = artifact_service_pb2.DownloadRequest(run=self.run, path="large.bin")
        for part in self._trainer.artifacts.Download(request):
            found.update(part.data)
        if found.hexdigest() != self._digest:
            message = "the download differs from the upload"
            raise RuntimeError(message)
