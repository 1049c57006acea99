"""A gateway in front of a tracking service, both really serving, in the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from joserfc.jwk import OKPKey

from gateway.admission import AssertionDesk
from gateway.authentication import Authenticator
from gateway.forwarding import Forwarder
from gateway.identity_rpc import IdentityService
from gateway.mounting import AuthenticatedCallers
from gateway.signing_keys import SigningKeys
from gateway.token_verifier import TokenVerifier
from gateway.turnstile import IdentityLimits, Turnstile
from gateway.upstreams import Upstreams
from service_chassis.assertion import AssertionSigner, AssertionVerifier
from service_chassis.call_pipeline import CallPipeline, Door
from service_chassis.caller import Caller, current_caller
from service_chassis.errors import invalid_field
from service_chassis.request_message import for_anybody
from service_chassis.server import server_options
from service_chassis.service_settings import ServerSettings, ServiceSettings
from service_chassis.status_details import DETAILS_KEY
from service_chassis.stream_pace import StreamPace
from studbook.identity.v1.identity_service_pb2 import Limits
from studbook.identity.v1.identity_service_pb2_grpc import (
    IdentityServiceStub,
    add_IdentityServiceServicer_to_server,
)
from studbook.tracking.v1 import (
    artifact_service_pb2,
    artifact_service_pb2_grpc,
    metric_service_pb2,
    metric_service_pb2_grpc,
    run_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
)
from tests.unit.gateway.loopback_issuer import rules_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.access_rules import AccessRules
    from gateway.refusal_pace import RefusalPace
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

RUN = "workspaces/main/experiments/wine/runs/r1"
MESSAGE_BYTES = 256 * 1024
LIMITS = Limits(
    message_bytes=MESSAGE_BYTES, chunk_bytes=64 * 1024, points_per_batch=1000, page_size=1000
)
PACE = StreamPace(stalled_s=30, quiet_s=30)
IDENTITY_LIMITS = IdentityLimits(calls_per_second=1000, burst=1000, calls_at_a_time=1000)
KEY = OKPKey.generate_key("Ed25519")
BINDINGS = """
bindings:
  - role: trainer
    members: [group:dev:data-science]
    resources: [workspaces/main/**]
  - role: deployer
    members: [user:dev:max]
    resources: [workspaces/main/**]
"""


@dataclass
class Seen:
    """What the service saw of the calls that reached it."""

    metadata: list[dict[str, list[str]]] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    remaining: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    download_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def call(self, context: Any) -> None:
        entries: dict[str, list[str]] = {}
        for key, value in context.invocation_metadata():
            entries.setdefault(key, []).append(value)
        self.metadata.append(entries)
        self.callers.append(current_caller())
        self.remaining.append(context.time_remaining())

    async def hang(self) -> None:
        """Answer never; note when the call is cancelled."""
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Runs(run_service_pb2_grpc.RunServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def GetRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._seen.call(context)
        match request.name.rsplit("/", 1)[1]:
            case "slow":
                await self._seen.hang()
            case "bad":
                raise invalid_field("name", request.name, "choose another")
            case "trailers":
                await context.send_initial_metadata((("x-first", "1"),))
                context.set_trailing_metadata((("x-last", "2"), ("x-data-bin", b"\x00\xff")))
            case "abort":
                trailers = (("x-last", "2"), (DETAILS_KEY, b"made by hand"))
                await context.abort(grpc.StatusCode.DATA_LOSS, "the disk is gone", trailers)
            case "cancelled":
                await context.abort(grpc.StatusCode.CANCELLED, "by the service")
            case "unexplained":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "raw")
        return run_service_pb2.GetRunResponse(run=run_pb2.Run(name=request.name))


class Artifacts(artifact_service_pb2_grpc.ArtifactServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def Upload(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        self._seen.call(context)
        async for request in request_iterator:
            self._seen.sizes.append(len(request.data))
            if request.data == b"enough":
                break
            if request.data == b"wrong":
                raise invalid_field("data", "wrong", "send something else")
            if request.data == b"hang":
                await self._seen.hang()
        return artifact_service_pb2.UploadResponse(committed_size=sum(self._seen.sizes))

    async def Download(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self._seen.call(context)
        try:
            for number in range(request.read_limit or 10**9):
                if request.path == "broken" and number == 2:
                    raise invalid_field("path", request.path, "choose another")
                if request.path == "slow" and number == 2:
                    await self._seen.hang()
                self._seen.sizes.append(number)
                yield artifact_service_pb2.DownloadResponse(data=bytes([number % 256]) * 65_536)
        finally:
            self._seen.download_ended.set()
        context.set_trailing_metadata((("x-last", "2"),))


class Metrics(metric_service_pb2_grpc.MetricServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def StreamMetrics(  # noqa: N802
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[Any]:
        self._seen.call(context)
        async for request in request_iterator:
            if request.batch.sequence == 99:
                await self._seen.hang()
            if request.batch.sequence == 13:
                raise invalid_field("sequence", 13, "choose another")
            yield metric_service_pb2.StreamMetricsResponse(
                committed_sequence=request.batch.sequence
            )


@dataclass
class Rules:
    """Access rules that a test can exchange."""

    current: AccessRules


@dataclass
class Time:
    """The clocks of the turnstile, which a test can set forward; until then they stand still."""

    passed_s: float = 0.0
    began_s: float = field(default_factory=time.time)

    def monotonic(self) -> float:
        return self.passed_s

    def wall(self) -> float:
        return self.began_s + self.passed_s


@dataclass
class Gateway:
    """What a test needs: stubs that go through the gateway, and what the service saw."""

    channel: grpc.aio.Channel
    issuer: LoopbackIssuer
    rules: Rules
    seen: Seen
    service: grpc.aio.Server
    turnstile: Turnstile
    time: Time

    @property
    def runs(self) -> Any:
        return run_service_pb2_grpc.RunServiceStub(self.channel)

    @property
    def artifacts(self) -> Any:
        return artifact_service_pb2_grpc.ArtifactServiceStub(self.channel)

    @property
    def metrics(self) -> Any:
        return metric_service_pb2_grpc.MetricServiceStub(self.channel)

    @property
    def identity(self) -> Any:
        return IdentityServiceStub(self.channel)

    def login(self, **changes: Any) -> tuple[tuple[str, str], ...]:
        """Metadata with a token."""
        return (("authorization", f"Bearer {self.issuer.token(**changes)}"),)

    async def get_run(self, name: str = RUN, **options: Any) -> Any:
        options.setdefault("metadata", self.login())
        return await self.runs.GetRun(run_service_pb2.GetRunRequest(name=name), **options)


def _add_services(seen: Seen, server: grpc.aio.Server) -> None:
    run_service_pb2_grpc.add_RunServiceServicer_to_server(Runs(seen), server)  # type: ignore[abstract]
    artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(Artifacts(seen), server)  # type: ignore[abstract]
    metric_service_pb2_grpc.add_MetricServiceServicer_to_server(Metrics(seen), server)  # type: ignore[abstract]


@contextlib.asynccontextmanager
async def _service(seen: Seen) -> AsyncIterator[tuple[grpc.aio.Server, int]]:
    verifier = AssertionVerifier("tracking", {"gateway": KEY.as_pem(private=False)})
    settings = ServiceSettings.model_construct()
    server = grpc.aio.server(
        options=server_options(settings), interceptors=[CallPipeline(verifier)]
    )
    _add_services(seen, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield server, port
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def _running(
    issuer: LoopbackIssuer,
    *,
    mounted: bool,
    limits: IdentityLimits,
    pace: StreamPace,
    key_pause_s: float,
    refusals: RefusalPace | None,
) -> AsyncIterator[Gateway]:
    seen, keys = Seen(), SigningKeys(key_pause_s)
    login = "    login: {client_id: studbook-cli}\n    service_accounts: [client_id: serving]"
    rules = Rules(rules_for(issuer.url, more=login, rest=BINDINGS))
    keys.follow(rules.current)
    clocks = Time()
    authenticator = Authenticator(rules, TokenVerifier(keys), now=clocks.wall, pace=refusals)
    turnstile = Turnstile(authenticator, limits, clock=clocks.monotonic, now=clocks.wall)
    desk = AssertionDesk(AssertionSigner("gateway", KEY.as_pem(private=True)), 256 * 1024)
    settings = ServerSettings.model_validate({"message_bytes": MESSAGE_BYTES})
    async with _service(seen) as (service, port):
        # Nobody listens where the registry should be.
        addresses = {"tracking": f"127.0.0.1:{port}", "registry": "127.0.0.1:1"}
        upstreams = Upstreams({} if mounted else addresses, MESSAGE_BYTES)
        callers = AuthenticatedCallers(authenticator, turnstile)
        door = Door(frozenset({"tracking"}), MESSAGE_BYTES, pace, callers.under_way)
        pipeline = CallPipeline(callers, door)
        server = grpc.aio.server(
            options=server_options(settings), interceptors=[pipeline] if mounted else []
        )
        if mounted:
            _add_services(seen, server)
        identity = IdentityService(authenticator, turnstile, rules, LIMITS)
        add_IdentityServiceServicer_to_server(identity, for_anybody(server, 3))
        forwarder = Forwarder(authenticator, turnstile, desk, upstreams, MESSAGE_BYTES, pace)
        server.add_generic_rpc_handlers((forwarder,))
        own_port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{own_port}") as channel:
            try:
                yield Gateway(channel, issuer, rules, seen, service, turnstile, clocks)
            finally:
                await server.stop(None)
                await upstreams.close()
                await keys.close()


def through_gateway(
    issuer: LoopbackIssuer,
    test: Callable[[Gateway], Awaitable[None]],
    *,
    mounted: bool = False,
    limits: IdentityLimits = IDENTITY_LIMITS,
    pace: StreamPace = PACE,
    key_pause_s: float = 60,
    refusals: RefusalPace | None = None,
) -> None:
    """Run a test against a gateway, for at most half a minute."""

    async def run() -> None:
        running = _running(
            issuer,
            mounted=mounted,
            limits=limits,
            pace=pace,
            key_pause_s=key_pause_s,
            refusals=refusals,
        )
        async with asyncio.timeout(30), running as gateway:
            await test(gateway)

    asyncio.run(run())


def trailers_of(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    trailing: Any = error.trailing_metadata() or ()
    return dict(tuple(trailing))


def explanation(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo of a refusal, which also repeats code and message."""
    trailers = trailers_of(error)
    status = status_pb2.Status.FromString(trailers[DETAILS_KEY])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert status.message == error.details()
    assert status.code == error.code().value[0]
    return info


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
