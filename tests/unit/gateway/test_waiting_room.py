"""A slow issuer can hold up a few callers for a while, and nobody whose token needs no asking."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from gateway.waiting_room import MOST_WAITING
from tests.patience import PATIENCE_S
from tests.unit.gateway.loopback_issuer import public_jwk, rsa_key
from tests.unit.gateway.running_gateway import Gateway, explanation, refused, through_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

AWAITED = (grpc.StatusCode.UNAVAILABLE, "ISSUER_UNAVAILABLE")
INVALID = (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


class Slow:
    """Holds an issuer's answers up from when it is told to."""

    def __init__(self, issuer: LoopbackIssuer) -> None:
        self._may_answer = threading.Event()
        self._may_answer.set()
        issuer.before_answer = self._wait

    def _wait(self) -> None:
        self._may_answer.wait(PATIENCE_S)

    def hold(self) -> None:
        self._may_answer.clear()

    def release(self) -> None:
        self._may_answer.set()


@pytest.fixture
def slow(http_issuer: LoopbackIssuer) -> Iterator[Slow]:
    slow = Slow(http_issuer)
    yield slow
    slow.release()


async def outcome(gateway: Gateway, key_id: str) -> tuple[grpc.StatusCode, str]:
    metadata = gateway.login(header={"kid": key_id})
    error = await refused(gateway.get_run(metadata=metadata))
    return error.code(), explanation(error).reason


def test_made_up_key_ids_at_a_slow_issuer(http_issuer: LoopbackIssuer, slow: Slow) -> None:
    async def test(gateway: Gateway) -> None:
        await gateway.get_run()
        slow.hold()
        calls = [
            asyncio.create_task(outcome(gateway, f"made-up-{number}"))
            for number in range(MOST_WAITING + 40)
        ]
        turned_away = [await first for first in first_of(calls, 40)]
        assert turned_away == [AWAITED] * 40
        # Meanwhile callers whose keys are known are served, also with tokens that are new.
        for number in range(20):
            await gateway.get_run(metadata=gateway.login(jti=f"new-{number}"))
        assert sum(call.done() for call in calls) == 40
        slow.release()
        assert Counter(await asyncio.gather(*calls)) == {AWAITED: 40, INVALID: MOST_WAITING}

    through_gateway(http_issuer, test, key_pause_s=0)


def first_of(calls: list[asyncio.Task[Any]], count: int) -> list[Any]:
    return list(itertools.islice(asyncio.as_completed(calls), count))


def test_there_is_room_again_afterwards(http_issuer: LoopbackIssuer, slow: Slow) -> None:
    async def test(gateway: Gateway) -> None:
        await gateway.get_run()
        for turn in range(2):
            slow.hold()
            calls = [
                asyncio.create_task(outcome(gateway, f"{turn}-{number}"))
                for number in range(MOST_WAITING + 1)
            ]
            assert [await first for first in first_of(calls, 1)] == [AWAITED]
            slow.release()
            await asyncio.gather(*calls)
        http_issuer.keys.append(public_jwk(rsa_key(1), "new"))
        metadata = gateway.login(key=rsa_key(1), header={"kid": "new"})
        await gateway.get_run(metadata=metadata)

    through_gateway(http_issuer, test, key_pause_s=0)
