"""Whoever adds a line to access.yaml sees it in force within seconds, in the gateway as it runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import grpc

from studbook.tracking.v1 import artifact_service_pb2, artifact_service_pb2_grpc
from studbook.tracking.v1 import run_service_pb2 as runs
from studbook.tracking.v1 import run_service_pb2_grpc as runs_grpc
from tests.unit.gateway.running_gateway import RUN, Seen, explanation, refused
from tests.unit.gateway.whole_gateway import access_file, started

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

SECONDS = 6.0


def test_revocation_ends_calls_and_streams_within_seconds(
    http_issuer: LoopbackIssuer, tmp_path: Path
) -> None:
    path, seen = tmp_path / "access.yaml", Seen()
    path.write_text(access_file(http_issuer))
    login = (("authorization", f"Bearer {http_issuer.token()}"),)

    async def run() -> None:
        async with (
            started(tmp_path, seen) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            get = runs_grpc.RunServiceStub(channel).GetRun
            artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(channel)
            request = artifact_service_pb2.DownloadRequest(run=RUN, path="slow")
            download = artifacts.Download(request, metadata=login)
            await download.read()
            await download.read()
            await get(runs.GetRunRequest(name=RUN), metadata=login)
            begin = time.monotonic()
            path.write_text(access_file(http_issuer) + "revoked: {tokens: [t1]}\n")
            error = await refused(download.read())
            assert time.monotonic() - begin < SECONDS
            assert explanation(error).reason == "TOKEN_REVOKED"
            error = await refused(get(runs.GetRunRequest(name=RUN), metadata=login))
            assert explanation(error).reason == "TOKEN_REVOKED"
            await seen.cancelled.wait()

    async def within_half_a_minute() -> None:
        async with asyncio.timeout(30):
            await run()

    asyncio.run(within_half_a_minute())
