"""A registry service on a free port, beside a tracking service of few words."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from joserfc.jwk import OKPKey

from registry_service.application import Application
from registry_service.settings import RegistrySettings
from service_chassis.assertion import METADATA_KEY, AssertionSigner, AssertionVerifier
from service_chassis.call_pipeline import CallPipeline
from service_chassis.caller import Caller, Principal
from service_chassis.errors import failed_precondition, not_found
from service_chassis.method_access import method_table
from service_chassis.server import Server
from service_chassis.status_details import DETAILS_KEY
from studbook.registry.v1 import (
    alias_service_pb2,
    comparison_service_pb2,
    ledger_service_pb2,
    lineage_service_pb2,
    model_service_pb2,
    policy_service_pb2,
    promotion_service_pb2,
    review_service_pb2,
    serving_service_pb2,
    token_service_pb2,
    watch_service_pb2,
    webhook_service_pb2,
)
from studbook.tracking.v1 import (
    dataset_pb2,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from service_chassis.blob_store import FolderBlobStore

GATEWAY_KEY = OKPKey.generate_key("Ed25519")
REGISTRY_KEY = OKPKey.generate_key("Ed25519")
SIGNING_KEY = OKPKey.generate_key("Ed25519")
PARENT = "workspaces/main"
MODEL = "workspaces/main/models/wine-cultivar"
RUN = "workspaces/main/experiments/wine/runs/r1"

_SERVICES = {
    service.name: service
    for module in (
        alias_service_pb2,
        comparison_service_pb2,
        ledger_service_pb2,
        lineage_service_pb2,
        model_service_pb2,
        policy_service_pb2,
        promotion_service_pb2,
        review_service_pb2,
        serving_service_pb2,
        token_service_pb2,
        watch_service_pb2,
        webhook_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
}


def caller(name: str, grants: Mapping[str, tuple[str, ...]] | None = None) -> Caller:
    """A caller; without grants one who may do everything."""
    every = {
        permission: ("**",)
        for method in method_table().values()
        for permission in method.permissions
    }
    principal = Principal(
        id=f"user:demo:{name}",
        kind="user",
        display_name=name.title(),
        issuer="https://login.example",
        subject=name,
        token_id=f"token-of-{name}",
    )
    return Caller(principal, dict(every if grants is None else grants))


GRACE = caller("grace")


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Tracking(
    run_service_pb2_grpc.RunServiceServicer, dataset_service_pb2_grpc.DatasetServiceServicer
):
    """Knows the runs and datasets it is given, and who holds them."""

    def __init__(self) -> None:
        self.runs: dict[str, run_service_pb2.HoldRunResponse] = {}
        self.datasets: dict[str, dataset_pb2.Dataset] = {}
        self.deleted: set[str] = set()
        self.holds: list[tuple[str, str, int]] = []
        self.calls = 0

    async def HoldRun(  # noqa: N802 - the contract's name
        self, request: run_service_pb2.HoldRunRequest, context: Any
    ) -> run_service_pb2.HoldRunResponse:
        self.calls += 1
        if request.run in self.deleted:
            raise failed_precondition(
                "RUN_NOT_ACTIVE",
                request.run,
                f"{request.run} is deleted.",
                resource=request.run,
                state="DELETED",
            )
        if request.run not in self.runs:
            raise not_found(request.run)
        if not request.validate_only:
            self.holds.append((request.run, request.holder, request.level))
        return self.runs[request.run]

    async def GetDataset(  # noqa: N802 - the contract's name
        self, request: dataset_service_pb2.GetDatasetRequest, context: Any
    ) -> dataset_service_pb2.GetDatasetResponse:
        if request.name not in self.datasets:
            raise not_found(request.name)
        return dataset_service_pb2.GetDatasetResponse(dataset=self.datasets[request.name])


@dataclass
class Registry:
    """A running registry and what a test needs to use it."""

    application: Application
    address: str
    channel: Any
    tracking: Tracking
    tracking_server: Any
    blobs: FolderBlobStore
    signer: AssertionSigner = field(
        default_factory=lambda: AssertionSigner("gateway", GATEWAY_KEY.as_pem(private=True))
    )

    async def call(self, method_name: str, *, by: Caller = GRACE, **fields: Any) -> Any:
        """Call a unary method such as `ModelService.GetModel`."""
        method, metadata = self._prepare(method_name, by)
        ask = self.channel.unary_unary(
            method.path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=method.response.FromString,
        )
        return await ask(method.request(**fields), metadata=metadata, timeout=30)

    async def stream(self, method_name: str, *, by: Caller = GRACE, **fields: Any) -> list[Any]:
        """Call a server-streaming method and return all messages."""
        call: AsyncIterator[Any] = self.open_stream(method_name, by=by, **fields)
        return [message async for message in call]

    def open_stream(self, method_name: str, *, by: Caller = GRACE, **fields: Any) -> Any:
        """Call a server-streaming method and return the call, to read from."""
        method, metadata = self._prepare(method_name, by)
        ask = self.channel.unary_stream(
            method.path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=method.response.FromString,
        )
        return ask(method.request(**fields), metadata=metadata, timeout=30)

    def _prepare(self, name: str, by: Caller) -> tuple[_Method, Any]:
        service, rpc = name.split(".")
        descriptor = _SERVICES[service].methods_by_name[rpc]
        path = f"/studbook.registry.v1.{service}/{rpc}"
        needed = method_table()[path].permissions
        vouched = Caller(
            by.principal,
            {key: by.grants.get(key, ()) for key in needed},
            groups=by.groups,
            until_s=by.until_s,
            denials={key: by.denials[key] for key in needed if key in by.denials},
        )
        method = _Method(
            path,
            message_factory.GetMessageClass(descriptor.input_type),
            message_factory.GetMessageClass(descriptor.output_type),
        )
        return method, ((METADATA_KEY, self.signer.sign(vouched, path, "registry")),)

    def store_file(self, content: bytes) -> str:
        """Put a file into the artifact store; returns its digest with prefix."""
        digest = digest_of(content)
        writer = self.blobs.open_upload("main", digest.removeprefix("sha256:"), len(content), 0)
        writer.write(content)
        writer.commit()
        return digest

    def add_run(self, files: Mapping[str, bytes], name: str = RUN, *, stored: bool = True) -> None:
        """Let the tracking service know a run with files."""
        dataset = f"{PARENT}/datasets/wine/versions/1"
        held = {
            "run": {
                "name": name,
                "uid": "run-uid",
                "state": "RUN_STATE_FINISHED",
                "params": [
                    {"key": "max_depth", "value": {"int_value": 4}},
                    {"key": "criterion", "value": {"string_value": "gini"}},
                ],
                "metrics": [{"key": "accuracy", "last": 0.97, "count": 5}],
                "dataset_inputs": [{"dataset": dataset, "role": "training"}],
                "code": {"commit": "c" * 40, "dirty": True},
                "environment": {"python_version": "3.11.7", "packages": {"numpy": "2.0"}},
            },
            "artifacts": [
                {
                    "run": name,
                    "path": path,
                    "digest": self.store_file(content) if stored else digest_of(content),
                    "size_bytes": len(content),
                }
                for path, content in sorted(files.items())
            ],
            "datasets": [{"name": dataset, "digest": f"sha256:{'d' * 64}", "row_count": 178}],
        }
        message = run_service_pb2.HoldRunResponse()
        self.tracking.runs[name] = json_format.ParseDict(held, message)

    async def register(self, number: str, **fields: Any) -> Any:
        """Register a version of the model from all files of the run's folder `model`."""
        given = {"source_run": RUN, "artifact_paths": ["model"], **fields}
        answer = await self.call(
            "ModelService.CreateVersion", parent=MODEL, version_id=number, **given
        )
        return answer.version

    async def move(self, number: str, stage: str, **fields: Any) -> Any:
        """Move a version of the model to a stage."""
        name = f"{MODEL}/versions/{number}"
        return await self.call(
            "PromotionService.TransitionStage", name=name, to_stage=f"STAGE_{stage}", **fields
        )

    async def ledger(self) -> list[Any]:
        """All entries of the ledger."""
        answer = await self.call(
            "LineageService.ListLedgerEntries", parent="workspaces/-", page_size=1000
        )
        return list(answer.entries)


@dataclass(frozen=True)
class _Method:
    path: str
    request: Any
    response: Any


def settings_for(folder: Path, tracking_port: int, **more: Any) -> RegistrySettings:
    gateway_key = folder / "gateway.pub.pem"
    gateway_key.write_bytes(GATEWAY_KEY.as_pem(private=False))
    registry_key = folder / "registry.pem"
    registry_key.write_bytes(REGISTRY_KEY.as_pem(private=True))
    signing_key = folder / "ledger.pem"
    signing_key.write_bytes(SIGNING_KEY.as_pem(private=True))
    return RegistrySettings(
        database_url=f"sqlite:///{folder / 'registry.db'}",
        artifact_store=str(folder / "artifacts"),
        assertion_trusted_keys={"gateway": gateway_key},
        assertion_private_key=registry_key,
        signing_key=more.pop("signing_key", signing_key),
        # Tests run side by side.
        listen="127.0.0.1:0",
        tracking_address=f"127.0.0.1:{tracking_port}",
        tracking_timeout_seconds=5,
        drain_seconds=0,
        **more,
    )


def with_registry(
    folder: Path,
    test: Callable[[Registry], Awaitable[None]],
    **settings: Any,
) -> None:
    """Run a test against a registry that keeps its data in a folder."""

    async def run() -> None:
        peer = Tracking()  # type: ignore[abstract] # the rest is not called
        verifier = AssertionVerifier("tracking", {"registry": REGISTRY_KEY.as_pem(private=False)})
        peer_server = grpc.aio.server(interceptors=[CallPipeline(verifier)])
        run_service_pb2_grpc.add_RunServiceServicer_to_server(peer, peer_server)
        dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(peer, peer_server)
        peer_port = peer_server.add_insecure_port("127.0.0.1:0")
        await peer_server.start()
        chosen = settings_for(folder, peer_port, **settings)
        application = Application(chosen)
        await application.prepare()
        pipeline = CallPipeline(AssertionVerifier("registry", chosen.trusted_keys()))
        server = Server(chosen, [pipeline], ["registry"])
        application.add_to(server.grpc)
        await server.start()
        try:
            address = f"127.0.0.1:{server.port}"
            async with grpc.aio.insecure_channel(address) as channel:
                blobs = application.blobs
                await test(Registry(application, address, channel, peer, peer_server, blobs))
        finally:
            await server.stop()
            await application.close()
            await peer_server.stop(None)

    asyncio.run(run())


async def refusal(call: Awaitable[Any]) -> tuple[str, str, dict[str, str]]:
    """Code, reason and metadata with which a call is refused."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        trailers: Any = error.trailing_metadata() or ()
        for key, value in trailers:
            if key == DETAILS_KEY:
                for detail in status_pb2.Status.FromString(value).details:
                    info = error_details_pb2.ErrorInfo()
                    if detail.Unpack(info):
                        return error.code().name, info.reason, dict(info.metadata)
        raise
    message = f"not refused, but answered with {answer}"
    raise AssertionError(message)
