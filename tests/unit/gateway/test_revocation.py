"""A token that access.yaml revokes is refused, remembered or not, and ends its streams."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from gateway.access_file import Revoked
from gateway.access_rules import AccessRules
from gateway.refusal_pace import RefusalPace
from gateway.token_verifier import LEEWAY_S
from studbook.identity.v1 import identity_service_pb2
from studbook.tracking.v1 import artifact_service_pb2
from tests.security.forging import ecdsa_twin
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


def revoke(gateway: Gateway, **revoked: Any) -> None:
    """Put other access rules in force, with these revocations."""
    file = gateway.rules.current.file
    gateway.rules.current = AccessRules(
        file.model_copy(update={"revoked": Revoked.model_validate(revoked)})
    )


def principal(**entry: Any) -> dict[str, Any]:
    return {"principals": [{"principal": "user:dev:ada", **entry}]}


@pytest.mark.parametrize("revoked", [{"tokens": ["t1"]}, principal()], ids=["token", "principal"])
def test_remembered_caller_is_refused_and_others_are_not(
    http_issuer: LoopbackIssuer, mounted: bool, revoked: dict[str, Any]
) -> None:
    async def test(gateway: Gateway) -> None:
        login = gateway.login()
        await gateway.get_run(metadata=login)
        revoke(gateway, **revoked)
        error = await refused(gateway.get_run(metadata=login))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert explanation(error).reason == "TOKEN_REVOKED"
        who = identity_service_pb2.WhoAmIRequest()
        error = await refused(gateway.identity.WhoAmI(who, metadata=login))
        assert explanation(error).reason == "TOKEN_REVOKED"
        await gateway.get_run(metadata=gateway.login(sub="grace", jti="t2"))
        revoke(gateway)
        await gateway.get_run(metadata=login)

    through_gateway(http_issuer, test, mounted=mounted)


def test_tokens_issued_since_are_good(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        now = int(time.time())
        revoke(gateway, **principal(issued_before=datetime.fromtimestamp(now - 10, UTC)))
        error = await refused(gateway.get_run(metadata=gateway.login(iat=now - 11)))
        assert explanation(error).reason == "TOKEN_REVOKED"
        await gateway.get_run(metadata=gateway.login(iat=now - 10))

    through_gateway(http_issuer, test, mounted=mounted)


def test_token_without_an_id_is_revoked_by_the_one_that_the_ledger_has(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        token = gateway.issuer.token(algorithm="ES256", jti=None)
        login = (("authorization", f"Bearer {token}"),)
        await gateway.get_run(metadata=login)
        (caller,) = gateway.seen.callers
        assert caller.principal.token_id.startswith("sha256:")
        revoke(gateway, tokens=[caller.principal.token_id])
        # Whoever has a token can make another signature of it that is as good.
        for text in (token, ecdsa_twin(token)):
            error = await refused(gateway.get_run(metadata=(("authorization", f"Bearer {text}"),)))
            assert explanation(error).reason == "TOKEN_REVOKED"

    through_gateway(http_issuer, test, mounted=mounted)


async def begun_download(gateway: Gateway, login: Any) -> Any:
    """A download that hangs after two parts."""
    request = artifact_service_pb2.DownloadRequest(run=RUN, path="slow")
    call = gateway.artifacts.Download(request, metadata=login)
    await call.read()
    await call.read()
    return call


async def begun_upload(gateway: Gateway, login: Any) -> Any:
    call = gateway.artifacts.Upload(metadata=login)
    await call.write(HEADER)
    await call.write(chunk(b"hang"))
    return call


async def begun_conversation(gateway: Gateway, login: Any) -> Any:
    call = gateway.metrics.StreamMetrics(metadata=login)
    await call.write(batch(1))
    assert (await call.read()).committed_sequence == 1
    await call.write(batch(99))
    return call


STREAMS = pytest.mark.parametrize(
    "begin", [begun_download, begun_upload, begun_conversation], ids=lambda f: f.__name__[6:]
)


async def ending_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """Code and reason of a stream that the gateway ended."""
    error = await refused(call if hasattr(call, "__await__") else call.read())
    return error.code(), explanation(error).reason


@STREAMS
@pytest.mark.parametrize("revoked", [{"tokens": ["t1"]}, principal()], ids=["token", "principal"])
def test_stream_ends_when_its_token_is_revoked(
    http_issuer: LoopbackIssuer, mounted: bool, begin: Any, revoked: dict[str, Any]
) -> None:
    async def test(gateway: Gateway) -> None:
        call = await begin(gateway, gateway.login())
        await gateway.seen.began.wait()
        await gateway.turnstile.sweep()
        revoke(gateway, **revoked)
        await gateway.turnstile.sweep()
        assert await ending_of(call) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED")
        await gateway.seen.cancelled.wait()

    # At once, however many refusals have to wait.
    none_at_once = RefusalPace(0, delay_s=3600)
    through_gateway(http_issuer, test, mounted=mounted, refusals=none_at_once)


@STREAMS
def test_stream_ends_with_its_token(http_issuer: LoopbackIssuer, mounted: bool, begin: Any) -> None:
    async def test(gateway: Gateway) -> None:
        expires = int(time.time()) + 300
        call = await begin(gateway, gateway.login(exp=expires))
        await gateway.seen.began.wait()
        gateway.time.passed_s = expires + LEEWAY_S - gateway.time.began_s - 1
        await gateway.turnstile.sweep()
        assert not call.done()
        gateway.time.passed_s += 1
        await gateway.turnstile.sweep()
        assert await ending_of(call) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")
        await gateway.seen.cancelled.wait()

    through_gateway(http_issuer, test, mounted=mounted)


async def until_nothing_is_sent(gateway: Gateway) -> None:
    """Wait until a download is held up by its client, while other calls go on."""
    sent = -1
    while sent != len(gateway.seen.sizes):
        sent = len(gateway.seen.sizes)
        for _ in range(20):
            await gateway.identity.GetServerInfo(identity_service_pb2.GetServerInfoRequest())


@pytest.mark.parametrize("held_up", [True, False], ids=["held up", "at its beginning"])
def test_client_that_does_not_read_is_ended_too(
    http_issuer: LoopbackIssuer, mounted: bool, held_up: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        request = artifact_service_pb2.DownloadRequest(run=RUN)
        call = gateway.artifacts.Download(request, metadata=gateway.login())
        await call.read()
        if held_up:
            await until_nothing_is_sent(gateway)
        revoke(gateway, tokens=["t1"])
        await gateway.turnstile.sweep()
        await gateway.seen.download_ended.wait()

        async def rest() -> None:
            while await call.read():
                pass

        assert explanation(await refused(rest())).reason == "TOKEN_REVOKED"

    through_gateway(http_issuer, test, mounted=mounted)
