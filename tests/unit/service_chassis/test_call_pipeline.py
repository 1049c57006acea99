"""Every call to a service is vouched for, allowed, answered in the contract's terms and logged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from joserfc.jwk import OKPKey

from service_chassis.assertion import METADATA_KEY, AssertionSigner, AssertionVerifier
from service_chassis.call_pipeline import CallPipeline
from service_chassis.caller import Caller, Principal, current_caller
from service_chassis.errors import invalid_field
from service_chassis.status_details import DETAILS_KEY
from studbook.tracking.v1 import (
    artifact_service_pb2,
    artifact_service_pb2_grpc,
    run_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

KEY = OKPKey.generate_key("Ed25519")
SIGNER = AssertionSigner("gateway", KEY.as_pem(private=True))
RUN = "workspaces/main/experiments/wine/runs/r1"
GET_RUN = "/studbook.tracking.v1.RunService/GetRun"


class Runs(run_service_pb2_grpc.RunServiceServicer):
    """Answers with who called; fails in the ways handlers fail."""

    async def GetRun(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        if request.name.endswith("/bad"):
            raise invalid_field("name", request.name, "use another")
        if request.name.endswith("/defect"):
            message = "secret detail"
            raise RuntimeError(message)
        if request.name.endswith("/slow"):
            await asyncio.Event().wait()
        caller = current_caller()
        return run_service_pb2.GetRunResponse(run=run_pb2.Run(name=caller.principal.id))

    async def ListRuns(self, request: Any, context: Any) -> Any:  # noqa: N802
        return run_service_pb2.ListRunsResponse()


class Artifacts(artifact_service_pb2_grpc.ArtifactServiceServicer):
    """Counts the messages of an upload."""

    async def Upload(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        count = 0
        async for _ in request_iterator:
            count += 1
        return artifact_service_pb2.UploadResponse(committed_size=count)


def with_service(test: Callable[[grpc.aio.Channel], Awaitable[None]]) -> None:
    """Run the test against a server on a free port."""

    async def run() -> None:
        verifier = AssertionVerifier("tracking", {"gateway": KEY.as_pem(private=False)})
        server = grpc.aio.server(interceptors=[CallPipeline(verifier)])
        run_service_pb2_grpc.add_RunServiceServicer_to_server(Runs(), server)  # type: ignore[abstract] # the others are never called
        artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(Artifacts(), server)  # type: ignore[abstract] # as above
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await test(channel)
        finally:
            await server.stop(None)

    asyncio.run(run())


def metadata(method: str = GET_RUN, **grants: str) -> tuple[tuple[str, str], ...]:
    patterns: dict[str, tuple[str, ...]] = {
        name.replace("_", "."): (pattern,) for name, pattern in grants.items()
    }
    caller = Caller(Principal("user:dev:ada", "user"), patterns)
    return ((METADATA_KEY, SIGNER.sign(caller, method, "tracking")),)


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo]:
    """The code and ErrorInfo of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    trailing: Any = caught.value.trailing_metadata()
    trailers = dict(trailing)
    status = status_pb2.Status.FromString(trailers[DETAILS_KEY])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert status.message == caught.value.details()
    return caught.value.code(), info


def test_caller_reaches_the_handler() -> None:
    async def test(channel: grpc.aio.Channel) -> None:
        stub = run_service_pb2_grpc.RunServiceStub(channel)
        request = run_service_pb2.GetRunRequest(name=RUN)
        response = await stub.GetRun(request, metadata=metadata(runs_read="workspaces/main/**"))
        assert response.run.name == "user:dev:ada"

    with_service(test)


@pytest.mark.parametrize(
    "sent",
    [
        (),
        ((METADATA_KEY, "forged"),),
        metadata("/studbook.tracking.v1.RunService/DeleteRun", runs_read="**"),
        metadata(runs_read="**") * 2,
    ],
    ids=["none", "forged", "other method", "two"],
)
def test_unvouched_calls_are_refused(sent: tuple[tuple[str, str], ...]) -> None:
    async def test(channel: grpc.aio.Channel) -> None:
        stub = run_service_pb2_grpc.RunServiceStub(channel)
        code, info = await refusal(
            stub.GetRun(run_service_pb2.GetRunRequest(name=RUN), metadata=sent)
        )
        assert (code, info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "ASSERTION_INVALID")

    with_service(test)


@pytest.mark.parametrize(
    ("grants", "name", "code", "reason"),
    [
        ({}, RUN, "PERMISSION_DENIED", "PERMISSION_MISSING"),
        ({"runs_write": "**"}, RUN, "PERMISSION_DENIED", "PERMISSION_MISSING"),
        ({"runs_read": "workspaces/x/**"}, RUN, "PERMISSION_DENIED", "PERMISSION_MISSING"),
        ({"runs_read": "**"}, "", "INVALID_ARGUMENT", "FIELD_REQUIRED"),
        ({"runs_read": "**"}, f"{RUN}/bad", "INVALID_ARGUMENT", "FIELD_INVALID"),
        ({"runs_read": "**"}, f"{RUN}/defect", "INTERNAL", "INTERNAL"),
    ],
)
def test_refusals(grants: dict[str, str], name: str, code: str, reason: str) -> None:
    async def test(channel: grpc.aio.Channel) -> None:
        stub = run_service_pb2_grpc.RunServiceStub(channel)
        request = run_service_pb2.GetRunRequest(name=name)
        status, info = await refusal(stub.GetRun(request, metadata=metadata(**grants)))
        assert (status.name, info.reason, info.domain) == (code, reason, "studbook.dev")

    with_service(test)


def test_defects_are_not_described_to_the_caller() -> None:
    async def test(channel: grpc.aio.Channel) -> None:
        stub = run_service_pb2_grpc.RunServiceStub(channel)
        request = run_service_pb2.GetRunRequest(name=f"{RUN}/defect")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetRun(request, metadata=metadata(runs_read="**"))
        assert "secret" not in str(caught.value)

    with_service(test)


def test_listing_needs_a_grant_somewhere_below() -> None:
    async def test(channel: grpc.aio.Channel) -> None:
        stub = run_service_pb2_grpc.RunServiceStub(channel)
        method = "/studbook.tracking.v1.RunService/ListRuns"
        request = run_service_pb2.ListRunsRequest(parent="workspaces/main/experiments/-")
        below = "workspaces/main/experiments/wine/**"
        await stub.ListRuns(request, metadata=metadata(method, runs_read=below))
        elsewhere = metadata(method, runs_read="workspaces/other/**")
        code, _ = await refusal(stub.ListRuns(request, metadata=elsewhere))
        assert code is grpc.StatusCode.PERMISSION_DENIED

    with_service(test)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([RUN, ""], ""),
        (["", RUN], "FIELD_REQUIRED"),
        ([RUN, "workspaces/other/experiments/e/runs/r"], "PERMISSION_MISSING"),
    ],
)
def test_client_streams_are_checked_message_by_message(names: list[str], reason: str) -> None:
    async def requests() -> AsyncIterator[artifact_service_pb2.UploadRequest]:
        for name in names:
            yield artifact_service_pb2.UploadRequest(
                header=artifact_service_pb2.UploadHeader(run=name)
            )

    async def test(channel: grpc.aio.Channel) -> None:
        stub = artifact_service_pb2_grpc.ArtifactServiceStub(channel)
        sent = metadata(
            "/studbook.tracking.v1.ArtifactService/Upload", runs_write="workspaces/main/**"
        )
        call = stub.Upload(requests(), metadata=sent)
        if reason:
            assert (await refusal(call))[1].reason == reason
        else:
            assert (await call).committed_size == len(names)

    with_service(test)


def test_deadline_ends_the_handler() -> None:
    async def test(channel: grpc.aio.Channel) -> None:
        stub = run_service_pb2_grpc.RunServiceStub(channel)
        request = run_service_pb2.GetRunRequest(name=f"{RUN}/slow")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetRun(request, metadata=metadata(runs_read="**"), timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    with_service(test)
