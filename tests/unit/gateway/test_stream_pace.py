"""Clients that neither send nor read are not waited for without end; those with patience are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from service_chassis.stream_pace import StreamPace
from studbook.tracking.v1 import artifact_service_pb2
from tests.unit.gateway.running_gateway import (
    HEADER,
    RUN,
    Gateway,
    batch,
    chunk,
    explanation,
    refused,
    through_gateway,
)

if TYPE_CHECKING:
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

SHORT = StreamPace(stalled_s=0.5, quiet_s=20)


async def stalled_upload(gateway: Gateway) -> grpc.aio.AioRpcError:
    """An upload whose client stops in the middle, without ending it."""
    upload = gateway.artifacts.Upload(metadata=gateway.login())
    await upload.write(HEADER)
    await upload.write(chunk(b"and then?"))
    return await refused(upload)


async def answers_of(call: Any) -> None:
    while await call.read():
        pass


def stalled(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """What the refusal of a stalled stream says."""
    info = explanation(error)
    assert (error.code(), info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "STREAM_STALLED")
    return dict(info.metadata)


def test_upload_that_stops(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        error = await stalled_upload(gateway)
        assert stalled(error) == {"missing": "send", "seconds": "0.5"}

    through_gateway(http_issuer, test, mounted=mounted, pace=SHORT)


def test_upload_that_never_begins(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        upload = gateway.artifacts.Upload(metadata=gateway.login())
        assert stalled(await refused(upload))["missing"] == "send"

    through_gateway(http_issuer, test, mounted=mounted, pace=SHORT)


def test_upload_of_many_pieces_takes_as_long_as_it_takes(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    """It is each message that has to come in time, not all of them."""

    async def test(gateway: Gateway) -> None:
        upload = gateway.artifacts.Upload(metadata=gateway.login())
        await upload.write(HEADER)
        other = await refused_upload_beside(gateway, upload)
        await upload.done_writing()
        assert stalled(other)
        assert (await upload).committed_size

    async def refused_upload_beside(gateway: Gateway, upload: Any) -> grpc.aio.AioRpcError:
        """Send on for as long as another upload is waited for."""
        other = asyncio.create_task(stalled_upload(gateway))
        while not other.done():
            await upload.write(chunk(b"x"))
            await asyncio.wait([other], timeout=0.05)
        return other.result()

    through_gateway(http_issuer, test, mounted=mounted, pace=SHORT)


def test_conversation_may_be_quiet_between_epochs(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        call = gateway.metrics.StreamMetrics(metadata=gateway.login())
        await call.write(batch(1))
        assert (await call.read()).committed_sequence == 1
        # Meanwhile an upload is given up for the same silence.
        assert stalled(await stalled_upload(gateway))
        await call.write(batch(2))
        assert (await call.read()).committed_sequence == 2
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK

    through_gateway(http_issuer, test, mounted=mounted, pace=SHORT)


def test_conversation_that_was_forgotten(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        call = gateway.metrics.StreamMetrics(metadata=gateway.login())
        await call.write(batch(1))
        error = await refused(answers_of(call))
        assert stalled(error) == {"missing": "send", "seconds": "0.7"}

    pace = StreamPace(stalled_s=20, quiet_s=0.7)
    through_gateway(http_issuer, test, mounted=mounted, pace=pace)


def test_server_may_be_quiet(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    """As in a watch of what seldom changes."""

    async def test(gateway: Gateway) -> None:
        request = artifact_service_pb2.DownloadRequest(run=RUN, path="slow")
        call = gateway.artifacts.Download(request, metadata=gateway.login())
        await call.read()
        await gateway.seen.began.wait()
        assert stalled(await stalled_upload(gateway))
        assert not gateway.seen.cancelled.is_set()
        call.cancel()

    through_gateway(http_issuer, test, mounted=mounted, pace=SHORT)


def test_reader_that_does_not_read(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        request = artifact_service_pb2.DownloadRequest(run=RUN)
        call = gateway.artifacts.Download(request, metadata=gateway.login())
        await gateway.seen.download_ended.wait()
        error = await refused(answers_of(call))
        assert stalled(error) == {"missing": "read", "seconds": "0.5"}

    through_gateway(http_issuer, test, mounted=mounted, pace=SHORT)
