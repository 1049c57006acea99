"""Calls pass the gateway as if it were not there, and carry nothing but what they may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from service_chassis.assertion import METADATA_KEY
from studbook.registry.v1 import model_service_pb2, model_service_pb2_grpc
from studbook.tracking.v1 import artifact_service_pb2, metric_service_pb2, run_service_pb2
from tests.unit.gateway.running_gateway import (
    MESSAGE_BYTES,
    RUN,
    Gateway,
    explanation,
    through_gateway,
    trailers_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

OTHER_RUN = RUN.rsplit("/", 1)[0]


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def chunk(data: bytes) -> artifact_service_pb2.UploadRequest:
    return artifact_service_pb2.UploadRequest(data=data)


HEADER = artifact_service_pb2.UploadRequest(header=artifact_service_pb2.UploadHeader(run=RUN))


def batch(sequence: int, run: str = RUN) -> metric_service_pb2.StreamMetricsRequest:
    return metric_service_pb2.StreamMetricsRequest(
        batch=metric_service_pb2.AppendMetricsRequest(run=run, sequence=sequence)
    )


async def all_of(messages: list[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


def test_unary_call(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        response = await gateway.get_run()
        assert response.run.name == RUN
        caller = gateway.seen.callers[0]
        assert caller.principal.id == "user:dev:ada"
        assert caller.grants == {"runs.read": ("workspaces/main/**",)}

    through_gateway(http_issuer, test)


def test_client_stream(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        parts = [HEADER, *(chunk(bytes(1000)) for _ in range(50))]
        response = await gateway.artifacts.Upload(all_of(parts), metadata=gateway.login())
        assert response.committed_size == 50_000

    through_gateway(http_issuer, test)


def test_server_stream(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        request = artifact_service_pb2.DownloadRequest(run=RUN, read_limit=20)
        call = gateway.artifacts.Download(request, metadata=gateway.login())
        assert [part.data[0] async for part in call] == list(range(20))
        assert tuple(await call.trailing_metadata()) == (("x-last", "2"),)

    through_gateway(http_issuer, test)


def test_conversation(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        call = gateway.metrics.StreamMetrics(metadata=gateway.login())
        for sequence in (1, 2, 3):
            await call.write(batch(sequence))
            assert (await call.read()).committed_sequence == sequence
        await call.done_writing()
        assert not await call.read()
        assert await call.code() is grpc.StatusCode.OK

    through_gateway(http_issuer, test)


def test_slow_reader_slows_the_service(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        request = artifact_service_pb2.DownloadRequest(run=RUN)
        call = gateway.artifacts.Download(request, metadata=gateway.login())
        await call.read()
        count, before = -1, -2
        while count != before:
            before, count = count, len(gateway.seen.sizes)
            await asyncio.sleep(0.2)
        # The windows of two connections hold a few messages of 64 KiB; the service has billions.
        assert count < 500
        call.cancel()

    through_gateway(http_issuer, test)


def test_details_and_trailers_survive(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run(f"{OTHER_RUN}/bad"))
        info = explanation(error)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (info.reason, info.metadata["field"]) == ("FIELD_INVALID", "name")
        error = await refused(gateway.get_run(f"{OTHER_RUN}/abort"))
        assert (error.code(), error.details()) == (
            grpc.StatusCode.DATA_LOSS,
            "the disk is gone",
        )
        assert trailers_of(error) == {
            "x-last": "2",
            "grpc-status-details-bin": b"made by hand",
        }

    through_gateway(http_issuer, test)


def test_metadata_of_a_good_answer_survives(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        request = run_service_pb2.GetRunRequest(name=f"{OTHER_RUN}/trailers")
        call = gateway.runs.GetRun(request, metadata=gateway.login())
        await call
        assert ("x-first", "1") in tuple(await call.initial_metadata())
        assert dict(tuple(await call.trailing_metadata())) == {
            "x-last": "2",
            "x-data-bin": b"\x00\xff",
        }

    through_gateway(http_issuer, test)


def test_status_of_the_service_is_kept_even_when_it_is_cancelled(
    http_issuer: LoopbackIssuer,
) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run(f"{OTHER_RUN}/cancelled"))
        assert (error.code(), error.details()) == (grpc.StatusCode.CANCELLED, "by the service")

    through_gateway(http_issuer, test)


def test_errors_in_the_middle_of_streams(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        request = artifact_service_pb2.DownloadRequest(run=RUN, path="broken")
        call = gateway.artifacts.Download(request, metadata=gateway.login())
        received = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            received += [part async for part in call]
        assert explanation(caught.value).reason == "FIELD_INVALID"

        upload = gateway.artifacts.Upload(metadata=gateway.login())
        await upload.write(HEADER)
        await upload.write(chunk(b"wrong"))
        # The client has not ended its side, and learns of the failure all the same.
        assert explanation(await refused(upload)).metadata["field"] == "data"

        talk = gateway.metrics.StreamMetrics(metadata=gateway.login())
        await talk.write(batch(13))
        assert explanation(await refused(talk.read())).metadata["field"] == "sequence"

    through_gateway(http_issuer, test)


def test_service_may_end_an_upload_early(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        upload = gateway.artifacts.Upload(metadata=gateway.login())
        await upload.write(HEADER)
        await upload.write(chunk(b"enough"))
        assert (await upload).committed_size == len(b"enough")

    through_gateway(http_issuer, test)


async def begin_unary(gateway: Gateway) -> Any:
    request = run_service_pb2.GetRunRequest(name=f"{OTHER_RUN}/slow")
    return gateway.runs.GetRun(request, metadata=gateway.login())


async def begin_upload(gateway: Gateway) -> Any:
    call = gateway.artifacts.Upload(metadata=gateway.login())
    await call.write(HEADER)
    await call.write(chunk(b"hang"))
    return call


async def begin_download(gateway: Gateway) -> Any:
    request = artifact_service_pb2.DownloadRequest(run=RUN, path="slow")
    call = gateway.artifacts.Download(request, metadata=gateway.login())
    await call.read()
    return call


async def begin_conversation(gateway: Gateway) -> Any:
    call = gateway.metrics.StreamMetrics(metadata=gateway.login())
    await call.write(batch(99))
    return call


@pytest.mark.parametrize("begin", [begin_unary, begin_upload, begin_download, begin_conversation])
def test_cancelling_reaches_the_service(http_issuer: LoopbackIssuer, begin: Any) -> None:
    async def test(gateway: Gateway) -> None:
        call = await begin(gateway)
        await gateway.seen.began.wait()
        call.cancel()
        await gateway.seen.cancelled.wait()

    through_gateway(http_issuer, test)


def test_deadline_is_passed_on_a_little_shorter(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        await gateway.get_run(timeout=5)
        assert 3 < gateway.seen.remaining[0] <= 4.96
        error = await refused(gateway.get_run(f"{OTHER_RUN}/slow", timeout=0.5))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await gateway.seen.cancelled.wait()

    through_gateway(http_issuer, test)


def test_calls_without_a_deadline_get_one(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        await gateway.get_run()
        await gateway.artifacts.Upload(all_of([HEADER]), metadata=gateway.login())
        request = artifact_service_pb2.DownloadRequest(run=RUN, read_limit=1)
        async for _ in gateway.artifacts.Download(request, metadata=gateway.login()):
            pass
        async for _ in gateway.metrics.StreamMetrics(all_of([batch(1)]), metadata=gateway.login()):
            pass
        assert gateway.seen.remaining == pytest.approx([30, 900, 900, 3600], abs=10)

    through_gateway(http_issuer, test)


def test_client_cannot_speak_in_the_gateways_name(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        sent = (
            *gateway.login(),
            (METADATA_KEY, "forged"),
            ("studbook-principal", "user:dev:admin"),
            ("studbook-client", "python/1.0"),
            ("studbook-client", "second"),
            ("traceparent", "00-1-2-01"),
            ("tracestate", "x" * 600),
            ("x-request-id", "mine-1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("cookie", "a=b"),
            ("x-data-bin", b"\x00"),
        )
        await gateway.get_run(metadata=sent)
        entries = gateway.seen.metadata[0]
        (assertion,) = entries.pop(METADATA_KEY)
        assert assertion.count(".") == 2
        entries.pop("user-agent")
        assert entries == {
            "studbook-client": ["python/1.0"],
            "traceparent": ["00-1-2-01"],
            "x-request-id": ["mine-1"],
        }

    through_gateway(http_issuer, test)


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "a/b"])
def test_request_id_is_replaced_when_it_is_none(http_issuer: LoopbackIssuer, given: str) -> None:
    async def test(gateway: Gateway) -> None:
        await gateway.get_run(metadata=(*gateway.login(), ("x-request-id", given)))
        (made,) = gateway.seen.metadata[0]["x-request-id"]
        assert len(made) == 32

    through_gateway(http_issuer, test)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization", "Bearer "),), "TOKEN_MISSING"),
        ((("authorization", "Bearer garbage"),), "TOKEN_INVALID"),
        ((("authorization", "Basic YTpi"),), "TOKEN_INVALID"),
    ],
)
def test_calls_without_a_good_token_are_refused(
    http_issuer: LoopbackIssuer, sent: Any, reason: str
) -> None:
    async def test(gateway: Gateway) -> None:
        calls = (
            gateway.get_run(metadata=sent),
            gateway.artifacts.Upload(all_of([HEADER]), metadata=sent),
            gateway.artifacts.Download(
                artifact_service_pb2.DownloadRequest(run=RUN), metadata=sent
            ).read(),
            gateway.metrics.StreamMetrics(all_of([batch(1)]), metadata=sent).read(),
        )
        for call in calls:
            error = await refused(call)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert explanation(error).reason == reason
        assert gateway.seen.metadata == []

    through_gateway(http_issuer, test)


def test_two_tokens_are_one_too_many(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run(metadata=gateway.login() * 2))
        assert explanation(error).reason == "TOKEN_INVALID"

    through_gateway(http_issuer, test)


def test_permission_is_needed_somewhere(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run(metadata=gateway.login(sub="max", groups=[])))
        info = explanation(error)
        assert (error.code(), info.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "PERMISSION_MISSING",
        )
        assert info.metadata["permission"] == "runs.read"
        assert info.metadata["principal"] == "user:dev:max"
        assert "viewer" in info.metadata["roles"]
        assert gateway.seen.metadata == []

    through_gateway(http_issuer, test)


def test_service_decides_on_the_resource(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run("workspaces/other/experiments/e/runs/r"))
        assert explanation(error).metadata["resource"].startswith("workspaces/other/")

    through_gateway(http_issuer, test)


def test_internal_methods_are_not_passed_on(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        internal = gateway.runs.HoldRun(
            run_service_pb2.HoldRunRequest(run=RUN), metadata=gateway.login()
        )
        error = await refused(internal)
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert explanation(error).metadata["permission"] == "runs.hold"

    through_gateway(http_issuer, test)


@pytest.mark.parametrize("path", ["/studbook.tracking.v1.RunService/Nope", "/x/y", "/x"])
def test_unknown_methods(http_issuer: LoopbackIssuer, path: str) -> None:
    async def test(gateway: Gateway) -> None:
        for call in (gateway.channel.unary_unary(path), gateway.channel.stream_unary(path)):  # type: ignore[call-arg]
            argument: Any = b"" if "UnaryUnary" in type(call).__name__ else all_of([b""])
            error = await refused(call(argument))
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            info = explanation(error)
            assert (info.reason, info.metadata["method"]) == ("UNKNOWN_METHOD", path)

    through_gateway(http_issuer, test)


def test_messages_beyond_the_limit_are_refused(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        large = chunk(bytes(MESSAGE_BYTES))
        calls = (
            gateway.get_run("x" * (MESSAGE_BYTES + 1)),
            gateway.artifacts.Upload(all_of([HEADER, large]), metadata=gateway.login()),
            gateway.metrics.StreamMetrics(
                all_of([batch(1, "x" * 300_000)]),
                metadata=gateway.login(),
            ).read(),
        )
        for call in calls:
            error = await refused(call)
            info = explanation(error)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert info.reason == "MESSAGE_TOO_LARGE"
            assert info.metadata["limit_bytes"] == str(MESSAGE_BYTES)

    through_gateway(http_issuer, test)


def test_service_that_is_down(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        models = model_service_pb2_grpc.ModelServiceStub(gateway.channel)
        request = model_service_pb2.GetModelRequest(name="workspaces/main/models/m")
        error = await refused(models.GetModel(request, metadata=gateway.login()))
        info = explanation(error)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert (info.reason, info.metadata["service"]) == ("SERVICE_UNAVAILABLE", "registry")
        error = await refused(gateway.get_run(f"{OTHER_RUN}/unexplained"))
        assert explanation(error).metadata["service"] == "tracking"

    through_gateway(http_issuer, test)


def test_service_that_dies_during_a_call(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        call = asyncio.create_task(gateway.get_run(f"{OTHER_RUN}/slow"))
        await gateway.seen.began.wait()
        await gateway.service.stop(None)
        error = await refused(call)
        assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

    through_gateway(http_issuer, test)


def test_assertion_is_reused_until_rules_change(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        login = gateway.login()
        for _ in range(2):
            await gateway.get_run(metadata=login)
        first, second = (entry[METADATA_KEY] for entry in gateway.seen.metadata)
        assert first == second
        file = gateway.rules.current.file
        gateway.rules.current = type(gateway.rules.current)(
            file.model_copy(update={"bindings": ()})
        )
        error = await refused(gateway.get_run(metadata=login))
        assert explanation(error).reason == "PERMISSION_MISSING"

    through_gateway(http_issuer, test)
