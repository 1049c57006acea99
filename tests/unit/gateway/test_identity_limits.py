"""One identity cannot take more than its share of the gateway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from gateway.turnstile import IdentityLimits
from service_chassis.status_details import DETAILS_KEY
from studbook.identity.v1 import identity_service_pb2
from studbook.tracking.v1 import artifact_service_pb2
from tests.unit.gateway.running_gateway import (
    HEADER,
    RUN,
    Gateway,
    all_of,
    batch,
    chunk,
    explanation,
    refused,
    through_gateway,
    trailers_of,
)

if TYPE_CHECKING:
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

FIVE = IdentityLimits(calls_per_second=2, burst=5, calls_at_a_time=100)
TWO_AT_A_TIME = IdentityLimits(calls_per_second=1000, burst=1000, calls_at_a_time=2)
SLOW = f"{RUN.rpartition('/')[0]}/slow"


def wait_of(error: grpc.aio.AioRpcError) -> float:
    """Seconds that a refusal asks to wait."""
    status = status_pb2.Status.FromString(trailers_of(error)[DETAILS_KEY])
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    return float(retry.retry_delay.ToTimedelta().total_seconds())


def test_calls_beyond_the_rate_wait_for_their_turn(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        # Another token makes no other identity.
        for number in range(5):
            await gateway.get_run(metadata=gateway.login(jti=f"t{number}"))
        error = await refused(gateway.get_run())
        info = explanation(error)
        assert (error.code(), info.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "RATE_LIMITED",
        )
        assert info.metadata == {
            "principal": "user:dev:ada",
            "limit": "identity_calls_per_second",
            "allowed": "2",
        }
        assert wait_of(error) == 0.5
        await gateway.get_run(metadata=gateway.login(sub="grace"))
        gateway.time.passed_s += wait_of(error)
        await gateway.get_run()
        await refused(gateway.get_run())
        # However long the pause, no more than the burst.
        gateway.time.passed_s += 3600
        for _ in range(5):
            await gateway.get_run()
        await refused(gateway.get_run())
        assert len(gateway.seen.callers) == 12

    through_gateway(http_issuer, test, mounted=mounted, limits=FIVE)


def test_refused_calls_and_questions_about_oneself_count(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        nobody = gateway.login(sub="nobody", groups=[])
        who = identity_service_pb2.WhoAmIRequest()
        for _ in range(2):
            assert explanation(await refused(gateway.get_run(metadata=nobody))).reason == (
                "PERMISSION_MISSING"
            )
        for _ in range(3):
            await gateway.identity.WhoAmI(who, metadata=nobody)
        for call in (
            gateway.get_run(metadata=nobody),
            gateway.identity.WhoAmI(who, metadata=nobody),
        ):
            assert explanation(await refused(call)).reason == "RATE_LIMITED"

    through_gateway(http_issuer, test, mounted=mounted, limits=FIVE)


def test_stream_counts_once(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        parts = [HEADER, *(chunk(b"x") for _ in range(50))]
        for _ in range(5):
            await gateway.artifacts.Upload(all_of(parts), metadata=gateway.login())
        last = gateway.artifacts.Upload(all_of(parts), metadata=gateway.login())
        assert explanation(await refused(last)).reason == "RATE_LIMITED"

    through_gateway(http_issuer, test, mounted=mounted, limits=FIVE)


def hanging(gateway: Gateway, kind: str) -> Any:
    login = gateway.login()
    if kind == "unary":
        return gateway.get_run(SLOW, metadata=login)
    if kind == "download":
        request = artifact_service_pb2.DownloadRequest(run=RUN, path="slow")
        return all_answers(gateway.artifacts.Download(request, metadata=login))
    return all_answers(gateway.metrics.StreamMetrics(all_of([batch(99)]), metadata=login))


async def all_answers(call: Any) -> None:
    try:
        async for _ in call:
            pass
    finally:
        call.cancel()


@pytest.mark.parametrize("kind", ["unary", "download", "conversation"])
def test_calls_under_way_are_limited(http_issuer: LoopbackIssuer, mounted: bool, kind: str) -> None:
    async def test(gateway: Gateway) -> None:
        running = []
        for _ in range(2):
            gateway.seen.began.clear()
            running.append(asyncio.ensure_future(hanging(gateway, kind)))
            await gateway.seen.began.wait()
        error = await refused(gateway.get_run())
        info = explanation(error)
        assert (info.reason, info.metadata["limit"], info.metadata["allowed"]) == (
            "RATE_LIMITED",
            "identity_calls_at_a_time",
            "2",
        )
        assert wait_of(error) > 0
        await gateway.get_run(metadata=gateway.login(sub="grace"))
        running[0].cancel()
        await gateway.seen.cancelled.wait()
        await gateway.get_run()
        running[1].cancel()
        await asyncio.wait(running)

    through_gateway(http_issuer, test, mounted=mounted, limits=TWO_AT_A_TIME)


def test_calls_that_ended_hold_no_place(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        for _ in range(3):
            await gateway.get_run()
            bad = await refused(gateway.get_run(f"{RUN.rpartition('/')[0]}/bad"))
            assert explanation(bad).reason == "FIELD_INVALID"
            denied = await refused(gateway.get_run("workspaces/other/experiments/e/runs/r"))
            assert explanation(denied).reason == "PERMISSION_MISSING"

    through_gateway(http_issuer, test, mounted=mounted, limits=TWO_AT_A_TIME)


def test_identities_at_rest_are_forgotten_and_busy_ones_are_not(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        for _ in range(5):
            await gateway.get_run()
        await gateway.turnstile.sweep()
        assert explanation(await refused(gateway.get_run())).reason == "RATE_LIMITED"
        gateway.time.passed_s += 2.5
        await gateway.turnstile.sweep()
        assert gateway.turnstile.identities == 0
        for _ in range(5):
            await gateway.get_run()

    through_gateway(http_issuer, test, mounted=mounted, limits=FIVE)
