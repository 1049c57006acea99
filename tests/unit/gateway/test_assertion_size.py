"""A caller with many grants: what the gateway passes on, a service accepts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from service_chassis.behind_gateway import service_server
from service_chassis.service_settings import ServiceSettings
from studbook.tracking.v1 import run_service_pb2, run_service_pb2_grpc
from tests.unit.gateway.loopback_issuer import AUDIENCE
from tests.unit.gateway.running_gateway import KEY, RUN, Runs, Seen, explanation
from tests.unit.gateway.whole_gateway import started

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

METADATA_BYTES = 16 * 1024
# As much as a client can have passed on beside it.
CLIENTS = tuple((key, "c" * 512) for key in ("traceparent", "tracestate", "studbook-client"))
MOST = 90


def access_file(issuer: LoopbackIssuer) -> str:
    """Each of many groups is bound to a resource of its own."""
    bindings = "".join(
        f"  - {{role: trainer, members: [group:dev:g{n}], "
        f"resources: [workspaces/main/experiments/{'e' * 50}{n}/**]}}\n"
        for n in range(MOST)
    )
    return f"""version: 1
issuers:
  dev: {{url: "{issuer.url}", kind: people, audience: "{AUDIENCE}"}}
bindings:
  - {{role: trainer, members: [group:dev:g0], resources: ["{RUN}"]}}
{bindings}"""


def test_what_is_passed_on_is_accepted(http_issuer: LoopbackIssuer, tmp_path: Path) -> None:
    (tmp_path / "access.yaml").write_text(access_file(http_issuer))
    (tmp_path / "public.pem").write_bytes(KEY.as_pem(private=False))
    settings = ServiceSettings.model_validate(
        {
            "metadata_bytes": METADATA_BYTES,
            "database_url": "sqlite://",
            "artifact_store": str(tmp_path),
            "assertion_trusted_keys": {"gateway": tmp_path / "public.pem"},
            "drain_seconds": 0,
        }
    )

    async def outcome(get: run_service_pb2_grpc.RunServiceAsyncStub, groups: int) -> str:
        token = http_issuer.token(groups=[f"g{n}" for n in range(groups)], jti=f"t{groups}")
        metadata = (("authorization", f"Bearer {token}"), *CLIENTS)
        try:
            await get.GetRun(run_service_pb2.GetRunRequest(name=RUN), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return str(explanation(error).reason)
        return "OK"

    async def run() -> None:
        service = service_server("tracking", settings)
        run_service_pb2_grpc.add_RunServiceServicer_to_server(Runs(Seen()), service.grpc)  # type: ignore[abstract]
        await service.start()
        more = {
            "tracking_address": f"127.0.0.1:{service.port}",
            "service_metadata_bytes": METADATA_BYTES,
        }
        async with (
            asyncio.timeout(60),
            started(tmp_path, Seen(), mounts=False, **more) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            stub = run_service_pb2_grpc.RunServiceStub(channel)
            outcomes = [await outcome(stub, groups) for groups in range(1, MOST)]
        await service.stop()
        answered = outcomes.index("GROUPS_TOO_MANY")
        assert 10 < answered < MOST - 10
        assert outcomes == ["OK"] * answered + ["GROUPS_TOO_MANY"] * (MOST - 1 - answered)

    asyncio.run(run())
