"""Whoever adds a line to access.yaml sees it in force within seconds, in the gateway as it runs."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc

from gateway.application import Gateway
from gateway.settings import GatewaySettings
from studbook.tracking.v1 import artifact_service_pb2, artifact_service_pb2_grpc
from studbook.tracking.v1 import run_service_pb2 as runs
from studbook.tracking.v1 import run_service_pb2_grpc as runs_grpc
from tests.unit.gateway.loopback_issuer import AUDIENCE
from tests.unit.gateway.running_gateway import (
    BINDINGS,
    KEY,
    RUN,
    Artifacts,
    Runs,
    Seen,
    explanation,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

SECONDS = 6.0


def access_file(issuer: LoopbackIssuer) -> str:
    return f"""version: 1
issuers:
  dev: {{url: "{issuer.url}", kind: people, audience: "{AUDIENCE}"}}
{BINDINGS}"""


@asynccontextmanager
async def started(folder: Path, seen: Seen) -> AsyncIterator[grpc.aio.Channel]:
    """A gateway as it is started in earnest, with a service mounted in it."""
    (folder / "key.pem").write_bytes(KEY.as_pem(private=True))
    settings = GatewaySettings.model_validate(
        {
            "listen": "127.0.0.1:0",
            "access_file": folder / "access.yaml",
            "assertion_private_key": folder / "key.pem",
            "announce_seconds": 0,
        }
    )

    def add_services(server: grpc.aio.Server) -> None:
        runs_grpc.add_RunServiceServicer_to_server(Runs(seen), server)  # type: ignore[abstract] # the others are never called
        artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(Artifacts(seen), server)  # type: ignore[abstract] # as above

    gateway = Gateway(settings, mounted={"tracking": add_services})
    await gateway.prepare()
    await gateway.server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.server.port}") as channel:
            yield channel
    finally:
        await gateway.server.stop()
        await gateway.close()


def test_revocation_ends_calls_and_streams_within_seconds(
    http_issuer: LoopbackIssuer, tmp_path: Path
) -> None:
    path, seen = tmp_path / "access.yaml", Seen()
    path.write_text(access_file(http_issuer))
    login = (("authorization", f"Bearer {http_issuer.token()}"),)

    async def run() -> None:
        async with started(tmp_path, seen) as channel:
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
