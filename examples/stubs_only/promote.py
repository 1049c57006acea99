"""Register a run as a version and promote it, with nothing but grpc and the generated stubs.

    STUDBOOK_TOKEN=... python examples/stubs_only/promote.py register RUN wine-cultivar 1.2.0
    STUDBOOK_TOKEN=... python examples/stubs_only/promote.py promote wine-cultivar 1.2.0

Registering is for whoever trained; promoting for a pipeline or a release manager, each with a
token of its own. A pipeline's is exchanged first, for one that is good for this model. RUN is a
resource name, as `log_a_run.py` prints it.
"""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from studbook.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from studbook.registry.v1 import (
    model_service_pb2,
    model_service_pb2_grpc,
    promotion_service_pb2,
    promotion_service_pb2_grpc,
    version_pb2,
)

ADDRESS = os.environ.get("STUDBOOK_ADDRESS", "127.0.0.1:7420")
WORKSPACE = f"workspaces/{os.environ.get('STUDBOOK_WORKSPACE', 'main')}"
DEADLINE = 30

Metadata = tuple[tuple[str, str], ...]


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    metadata: Metadata = (("authorization", f"Bearer {os.environ['STUDBOOK_TOKEN']}"),)
    # Beyond this machine: grpc.secure_channel(ADDRESS, grpc.ssl_channel_credentials()).
    with grpc.insecure_channel(ADDRESS) as channel:
        try:
            match arguments:
                case ["register", run, model, version]:
                    sys.stdout.write(register(channel, metadata, run, model, version) + "\n")
                case ["promote", model, version]:
                    for_model = exchanged(channel, metadata, model)
                    sys.stdout.write(promote(channel, for_model, model, version) + "\n")
                case _:
                    sys.exit(__doc__)
        except grpc.RpcError as error:
            sys.exit(explain(error))


def register(channel: grpc.Channel, metadata: Metadata, run: str, model: str, version: str) -> str:
    """Register everything in the run's folder `model` as a version."""
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    try:
        models.CreateModel(
            model_service_pb2.CreateModelRequest(
                parent=WORKSPACE, model_id=model, request_id=str(uuid.uuid4())
            ),
            metadata=metadata,
            timeout=DEADLINE,
        )
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise
    created = models.CreateVersion(
        model_service_pb2.CreateVersionRequest(
            parent=f"{WORKSPACE}/models/{model}",
            version_id=version,
            source_run=run,
            artifact_paths=["model"],
            request_id=str(uuid.uuid4()),
        ),
        metadata=metadata,
        timeout=DEADLINE,
    ).version
    return f"{created.name} {created.digest}"


def exchanged(channel: grpc.Channel, metadata: Metadata, model: str) -> Metadata:
    """The token that the server gives for a CI job's, once; anybody else's is used as it is."""
    try:
        answer = identity_service_pb2_grpc.IdentityServiceStub(channel).ExchangeToken(
            identity_service_pb2.ExchangeTokenRequest(resources=[f"{WORKSPACE}/models/{model}/**"]),
            metadata=metadata,
            timeout=DEADLINE,
        )
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return metadata
    return (("authorization", f"Bearer {answer.access_token}"),)


def promote(channel: grpc.Channel, metadata: Metadata, model: str, version: str) -> str:
    """Put a version into Production; who was there before is archived in the same transaction."""
    answer = promotion_service_pb2_grpc.PromotionServiceStub(channel).TransitionStage(
        promotion_service_pb2.TransitionStageRequest(
            name=f"{WORKSPACE}/models/{model}/versions/{version}",
            to_stage=version_pb2.STAGE_PRODUCTION,
            reason="promoted by the stubs-only example",
            request_id=str(uuid.uuid4()),
        ),
        metadata=metadata,
        timeout=DEADLINE,
    )
    displaced = f", {answer.displaced.name} is archived" if answer.displaced.name else ""
    return f"{answer.version.name} is in Production{displaced}"


def explain(error: grpc.RpcError) -> str:
    """The status, its stable reason and the values that belong to it."""
    text = f"{error.code().name}: {error.details()}"
    trailers: Any = error.trailing_metadata()
    for key, value in trailers or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                text += f"\n{info.reason} {dict(info.metadata)}"
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
