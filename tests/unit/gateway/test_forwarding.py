"""Calls pass the gateway as if it were not there, and carry nothing but what they may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from structlog.testing import capture_logs

from gateway import forwarding
from service_chassis import call_pipeline
from studbook.registry.v1 import model_service_pb2, model_service_pb2_grpc
from studbook.tracking.v1 import artifact_service_pb2, run_service_pb2
from tests.unit.gateway.running_gateway import (
    HEADER,
    RUN,
    Gateway,
    Seen,
    all_of,
    batch,
    chunk,
    explanation,
    refused,
    through_gateway,
    trailers_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

OTHER_RUN = RUN.rsplit("/", 1)[0]


def test_unary_call(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        response = await gateway.get_run()
        assert response.run.name == RUN
        caller = gateway.seen.callers[0]
        assert caller.principal.id == "user:dev:ada"
        assert caller.grants == {"runs.read": ("workspaces/main/**",)}

    through_gateway(http_issuer, test, mounted=mounted)


def test_client_stream(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        parts = [HEADER, *(chunk(bytes(1000)) for _ in range(50))]
        response = await gateway.artifacts.Upload(all_of(parts), metadata=gateway.login())
        assert response.committed_size == 50_000

    through_gateway(http_issuer, test, mounted=mounted)


def test_server_stream(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        request = artifact_service_pb2.DownloadRequest(run=RUN, read_limit=20)
        call = gateway.artifacts.Download(request, metadata=gateway.login())
        assert [part.data[0] async for part in call] == list(range(20))
        assert tuple(await call.trailing_metadata()) == (("x-last", "2"),)

    through_gateway(http_issuer, test, mounted=mounted)


def test_conversation(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        call = gateway.metrics.StreamMetrics(metadata=gateway.login())
        for sequence in (1, 2, 3):
            await call.write(batch(sequence))
            assert (await call.read()).committed_sequence == sequence
        await call.done_writing()
        assert not await call.read()
        assert await call.code() is grpc.StatusCode.OK

    through_gateway(http_issuer, test, mounted=mounted)


def test_slow_reader_slows_the_service(http_issuer: LoopbackIssuer, mounted: bool) -> None:
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

    through_gateway(http_issuer, test, mounted=mounted)


def test_details_and_trailers_survive(http_issuer: LoopbackIssuer, mounted: bool) -> None:
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

    through_gateway(http_issuer, test, mounted=mounted)


def test_metadata_of_a_good_answer_survives(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        request = run_service_pb2.GetRunRequest(name=f"{OTHER_RUN}/trailers")
        call = gateway.runs.GetRun(request, metadata=gateway.login())
        await call
        assert ("x-first", "1") in tuple(await call.initial_metadata())
        assert dict(tuple(await call.trailing_metadata())) == {
            "x-last": "2",
            "x-data-bin": b"\x00\xff",
        }

    through_gateway(http_issuer, test, mounted=mounted)


def test_status_of_the_service_is_kept_even_when_it_is_cancelled(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run(f"{OTHER_RUN}/cancelled"))
        assert (error.code(), error.details()) == (grpc.StatusCode.CANCELLED, "by the service")

    through_gateway(http_issuer, test, mounted=mounted)


def test_errors_in_the_middle_of_streams(http_issuer: LoopbackIssuer, mounted: bool) -> None:
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

    through_gateway(http_issuer, test, mounted=mounted)


def test_service_may_end_an_upload_early(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        upload = gateway.artifacts.Upload(metadata=gateway.login())
        await upload.write(HEADER)
        await upload.write(chunk(b"enough"))
        assert (await upload).committed_size == len(b"enough")

    through_gateway(http_issuer, test, mounted=mounted)


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
def test_cancelling_reaches_the_service(
    http_issuer: LoopbackIssuer, begin: Any, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        call = await begin(gateway)
        await gateway.seen.began.wait()
        call.cancel()
        await gateway.seen.cancelled.wait()

    through_gateway(http_issuer, test, mounted=mounted)


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


async def answer_of(call: Any) -> Any:
    """The answer of a call, or its last one."""
    if not hasattr(call, "read"):
        return await call
    while answer := await call.read():
        pass
    return answer


@pytest.mark.parametrize("begin", [begin_unary, begin_upload, begin_download, begin_conversation])
def test_mounted_calls_without_a_deadline_get_one(
    http_issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch, begin: Any
) -> None:
    monkeypatch.setattr(call_pipeline, "longest_s", lambda _method: 1.5)

    async def test(gateway: Gateway) -> None:
        error = await refused(answer_of(await begin(gateway)))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert explanation(error).metadata == {"seconds": "1.5"}
        assert gateway.seen.cancelled.is_set()

    through_gateway(http_issuer, test, mounted=True)


def test_mounted_calls_with_a_deadline_keep_theirs(
    http_issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_pipeline, "longest_s", lambda _method: 0.0)

    async def test(gateway: Gateway) -> None:
        await gateway.get_run(timeout=20)

    through_gateway(http_issuer, test, mounted=True)


def test_mounted_calls_end_though_their_client_does_not_read(
    http_issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_pipeline, "longest_s", lambda _method: 1.5)

    async def test(gateway: Gateway) -> None:
        request = artifact_service_pb2.DownloadRequest(run=RUN)
        call = gateway.artifacts.Download(request, metadata=gateway.login())
        await gateway.seen.download_ended.wait()
        error = await refused(answer_of(call))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert explanation(error).reason == "CALL_TOO_LONG"

    through_gateway(http_issuer, test, mounted=True)


async def barred(work: Awaitable[None]) -> None:
    """Fail as grpc.aio does where a message that cannot be sent tells first of a client's end."""
    try:
        await work
    except asyncio.CancelledError:
        raise grpc.aio.InternalError("a message could not be sent") from None


def test_client_that_left_is_no_defect_however_it_is_noticed(
    http_issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch, mounted: bool
) -> None:
    hang, pass_answers = Seen.hang, forwarding._pass_answers
    monkeypatch.setattr(Seen, "hang", lambda seen: barred(hang(seen)))
    monkeypatch.setattr(forwarding, "_pass_answers", lambda *given: barred(pass_answers(*given)))

    async def test(gateway: Gateway) -> None:
        call = await begin_download(gateway)
        await gateway.seen.began.wait()
        call.cancel()
        await gateway.seen.cancelled.wait()

    with capture_logs() as logs:
        through_gateway(http_issuer, test, mounted=mounted)
    ends = [entry["code"] for entry in logs if entry["event"] == "call"]
    assert ends == ["CANCELLED"] * (1 if mounted else 2)
    assert not [entry for entry in logs if entry["log_level"] == "error"]
