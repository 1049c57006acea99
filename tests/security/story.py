"""What there is to be stolen: a model with a version in Production and one that waits for it."""

from __future__ import annotations

import hashlib

from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.registry.v1 import model_service_pb2, promotion_service_pb2, version_pb2
from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    experiment_service_pb2,
    run_service_pb2,
)

WINE = "workspaces/main/models/wine-cultivar"
SECRET = "workspaces/main/models/secret"
PRODUCTION = f"{WINE}/versions/1.0.0"
STAGED = f"{WINE}/versions/1.1.0"
RUN = "workspaces/main/experiments/wine/runs/one"
BYTES = b"the model"
DIGEST = f"sha256:{hashlib.sha256(BYTES).hexdigest()}"
OTHER_BYTES = b"not for everybody"
OTHER_DIGEST = f"sha256:{hashlib.sha256(OTHER_BYTES).hexdigest()}"


def make_versions(gateway: str, trainer: str, releaser: str) -> None:
    """Two versions of one model, 1.0.0 in Production; and a model whose version is not."""
    with Client(gateway, workspace="main", token_source=FixedToken(trainer)) as client:
        _make_run(client)
        for model in (WINE, SECRET):
            request = model_service_pb2.CreateModelRequest(
                parent="workspaces/main", model_id=model.rpartition("/")[2]
            )
            client.models.CreateModel(request)
        for model, number, path in (
            (WINE, "1.0.0", "model"),
            (WINE, "1.1.0", "model"),
            (SECRET, "1.0.0", "other"),
        ):
            client.models.CreateVersion(
                model_service_pb2.CreateVersionRequest(
                    parent=model, version_id=number, source_run=RUN, artifact_paths=[path]
                )
            )
    with Client(gateway, workspace="main", token_source=FixedToken(releaser)) as client:
        client.promotions.TransitionStage(
            promotion_service_pb2.TransitionStageRequest(
                name=PRODUCTION, to_stage=version_pb2.STAGE_PRODUCTION, reason="it is good"
            )
        )


def _make_run(client: Client) -> None:
    client.experiments.CreateExperiment(
        experiment_service_pb2.CreateExperimentRequest(
            parent="workspaces/main", experiment_id="wine"
        )
    )
    parent = "workspaces/main/experiments/wine"
    client.runs.CreateRun(run_service_pb2.CreateRunRequest(parent=parent, run_id="one"))
    for path, data, digest in (
        ("model/model.bin", BYTES, DIGEST),
        ("other/other.bin", OTHER_BYTES, OTHER_DIGEST),
    ):
        header = artifact_service_pb2.UploadHeader(run=RUN, digest=digest, size_bytes=len(data))
        client.artifacts.Upload(
            iter(
                [
                    artifact_service_pb2.UploadRequest(header=header),
                    artifact_service_pb2.UploadRequest(data=data),
                ]
            )
        )
        client.artifacts.CreateArtifacts(
            artifact_service_pb2.CreateArtifactsRequest(
                run=RUN, artifacts=[artifact_pb2.Artifact(path=path, digest=digest)]
            )
        )
