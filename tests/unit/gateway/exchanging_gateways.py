"""Two replicas of the gateway before one registry, all really serving, and a CI system's tokens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from joserfc.jwk import OKPKey

from gateway.application import Gateway
from gateway.settings import GatewaySettings
from studbook.identity.v1 import identity_service_pb2 as messages
from studbook.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from studbook.registry.v1 import model_service_pb2
from studbook.registry.v1.model_service_pb2_grpc import ModelServiceStub
from tests.unit.gateway.loopback_issuer import AUDIENCE
from tests.unit.gateway.running_gateway import explanation, refused
from tests.unit.registry_service.serving_registry import GATEWAY_KEY, with_registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer
    from tests.unit.registry_service.serving_registry import Registry

WINE = "workspaces/main/models/wine"
BEER = "workspaces/main/models/beer"
TOKEN_KEY, NEXT_KEY = (OKPKey.generate_key("Ed25519").as_pem(private=True) for _ in range(2))
_numbers = itertools.count()

ACCESS = """
version: 1
issuers:
  ci:
    url: {url}
    kind: pipelines
    audience: {audience}
    {exchange}
  corp: {{kind: people, url: "https://login.example", audience: x}}
pipelines:
  release: {{issuer: ci, claims: {{repository_id: "1", ref: {ref}}}}}
bindings:
  - {{role: trainer, members: ["pipeline:release"], resources: [workspaces/main/**]}}
{rest}
"""


@dataclass
class Replicas:
    """Gateways that share access rules and keys, and the registry behind them."""

    issuer: LoopbackIssuer
    registry: Registry
    access_file: Path
    gateways: list[Gateway] = field(default_factory=list)
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def job_token(self, **changes: Any) -> str:
        """A job's token, as its CI system gives it."""
        claims = {
            "sub": "repo:acme/wine:ref:refs/heads/main",
            "repository": "acme/wine",
            "repository_id": "1",
            "ref": "refs/heads/main",
            "run_id": "77",
            "jti": f"job-{next(_numbers)}",
            "client_id": None,
            "name": None,
            "groups": None,
            **changes,
        }
        return self.issuer.token(header={"typ": "JWT"}, **claims)

    def identity(self, replica: int = 0) -> Any:
        return IdentityServiceStub(self.channels[replica])

    async def exchange(self, token: str, replica: int = 0, **wanted: Any) -> Any:
        request = messages.ExchangeTokenRequest(**wanted)
        return await self.identity(replica).ExchangeToken(request, metadata=bearer(token))

    async def who(self, token: str, replica: int = 0) -> Any:
        request = messages.WhoAmIRequest()
        return await self.identity(replica).WhoAmI(request, metadata=bearer(token))

    async def read(self, name: str, token: str, replica: int = 0) -> Any:
        """Read a model, which needs a permission on it."""
        request = model_service_pb2.GetModelRequest(name=name)
        stub: Any = ModelServiceStub(self.channels[replica])
        return await stub.GetModel(request, metadata=bearer(token))

    async def create(self, name: str, token: str, replica: int = 0) -> Any:
        """Create a model, which needs a permission on its workspace."""
        parent, _, model_id = name.rpartition("/models/")
        request = model_service_pb2.CreateModelRequest(parent=parent, model_id=model_id)
        stub: Any = ModelServiceStub(self.channels[replica])
        return await stub.CreateModel(request, metadata=bearer(token))

    async def change_rules(self, **changes: str) -> None:
        """Write other access rules, and have them read."""
        write_rules(self.access_file, self.issuer, **changes)
        for gateway in self.gateways:
            await gateway._rules.reload_if_changed()


def write_rules(path: Path, issuer: LoopbackIssuer, **changes: str) -> None:
    wanted = {"ref": "refs/heads/main", "exchange": "exchange: required", "rest": "", **changes}
    # As configuration is swapped when it is mounted: at once.
    partial = path.with_suffix(".new")
    partial.write_text(ACCESS.format(url=issuer.url, audience=AUDIENCE, **wanted))
    partial.replace(path)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def reason(call: Any) -> str:
    return str(explanation(await refused(call)).reason)


def settings(folder: Path, registry: str, keys: bytes | None) -> GatewaySettings:
    (folder / "assertion.pem").write_bytes(GATEWAY_KEY.as_pem(private=True))
    given: dict[str, Any] = {}
    if keys is not None:
        given["token_keys"] = folder / f"tokens-{next(_numbers)}.pem"
        given["token_keys"].write_bytes(keys)
    return GatewaySettings.model_validate(
        {
            "listen": "127.0.0.1:0",
            "registry_address": registry,
            "access_file": folder / "access.yaml",
            "assertion_private_key": folder / "assertion.pem",
            "announce_seconds": 0,
            "drain_seconds": 0,
            **given,
        }
    )


@contextlib.asynccontextmanager
async def _started(replicas: Replicas, chosen: GatewaySettings) -> AsyncIterator[None]:
    gateway = Gateway(chosen)
    await gateway.prepare()
    await gateway.server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.server.port}") as channel:
        replicas.gateways.append(gateway)
        replicas.channels.append(channel)
        try:
            yield
        finally:
            await gateway.server.stop()
            await gateway.close()


def with_replicas(
    folder: Path,
    issuer: LoopbackIssuer,
    test: Callable[[Replicas], Awaitable[None]],
    keys: tuple[bytes | None, ...] = (TOKEN_KEY, TOKEN_KEY),
    **rules: str,
) -> None:
    """Run a test against gateways with these token keys, for at most a minute."""
    write_rules(folder / "access.yaml", issuer, **rules)
    # A change within the same tick of the file system's clock is one all the same.
    os.utime(folder / "access.yaml", (1, 1))

    async def run(registry: Registry) -> None:
        replicas = Replicas(issuer, registry, folder / "access.yaml")
        async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
            for pem in keys:
                chosen = settings(folder, registry.address, pem)
                await stack.enter_async_context(_started(replicas, chosen))
            await test(replicas)

    with_registry(folder, run)
