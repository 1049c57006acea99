"""A gateway with everything that it has when it is started, in the process of a test."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from gateway.application import Gateway
from gateway.settings import GatewaySettings
from studbook.tracking.v1 import artifact_service_pb2_grpc
from studbook.tracking.v1 import run_service_pb2_grpc as runs_grpc
from tests.unit.gateway.loopback_issuer import AUDIENCE
from tests.unit.gateway.running_gateway import BINDINGS, KEY, Artifacts, Runs, Seen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import grpc

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer


def access_file(issuer: LoopbackIssuer) -> str:
    return f"""version: 1
issuers:
  dev: {{url: "{issuer.url}", kind: people, audience: "{AUDIENCE}"}}
{BINDINGS}"""


@asynccontextmanager
async def started(
    folder: Path, seen: Seen, *, mounts: bool = True, **more: Any
) -> AsyncIterator[str]:
    """The address of a gateway as it is started in earnest.

    Args:
        folder: Holds `access.yaml`.
        seen: What the service remembers.
        mounts: Whether the service is mounted in it.
        more: Further settings.
    """
    (folder / "key.pem").write_bytes(KEY.as_pem(private=True))
    settings = GatewaySettings.model_validate(
        {
            "listen": "127.0.0.1:0",
            "access_file": folder / "access.yaml",
            "assertion_private_key": folder / "key.pem",
            "announce_seconds": 0,
            **more,
        }
    )

    def add_services(server: grpc.aio.Server) -> None:
        runs_grpc.add_RunServiceServicer_to_server(Runs(seen), server)  # type: ignore[abstract] # the others are never called
        artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(Artifacts(seen), server)  # type: ignore[abstract] # as above

    gateway = Gateway(settings, mounted={"tracking": add_services} if mounts else {})
    await gateway.prepare()
    await gateway.server.start()
    try:
        yield f"127.0.0.1:{gateway.server.port}"
    finally:
        await gateway.server.stop()
        await gateway.close()
