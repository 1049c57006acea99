"""The model service of the peer on loopback."""

from __future__ import annotations

import hashlib
from typing import Any

import grpc

from studbook.registry.v1 import (
    model_service_pb2,
    model_service_pb2_grpc,
    version_pb2,
)
from tests.unit.sdk.runs.loopback_state import Part, fail


class Models(Part, model_service_pb2_grpc.ModelServiceServicer):
    def GetModel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("GetModel", context)
        if request.name not in self.stored.models:
            fail(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "No such model.")
        return model_service_pb2.GetModelResponse()

    def CreateModel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("CreateModel", context)
        self.stored.models.add(f"{request.parent}/models/{request.model_id}")
        return model_service_pb2.CreateModelResponse()

    def CreateVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.begin("CreateVersion", context)
        name = f"{request.parent}/versions/{request.version_id}"
        if name in self.stored.versions or self.stored.refuse_versions:
            fail(
                context,
                grpc.StatusCode.ALREADY_EXISTS,
                "VERSION_EXISTS",
                f"{name} exists already.",
                resource=name,
                next_patch="1.0.1",
            )
        files = []
        for (run, path), artifact in sorted(self.stored.artifacts.items()):
            for wanted in request.artifact_paths:
                if run == request.source_run and path.startswith(f"{wanted}/"):
                    own = path.removeprefix(f"{wanted}/")
                    files.append(
                        version_pb2.ModelFile(
                            path=own, digest=artifact.digest, size_bytes=artifact.size_bytes
                        )
                    )
        lines = [f"{file.digest[7:]}  {file.path}\n" for file in files]
        version = version_pb2.Version(
            name=name,
            version=request.version_id,
            state=version_pb2.VERSION_STATE_READY,
            stage=version_pb2.STAGE_NONE,
            files=files,
            digest="sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest(),
        )
        self.stored.versions[name] = version
        self.stored.parents[name] = list(request.parents)
        return model_service_pb2.CreateVersionResponse(version=version)
