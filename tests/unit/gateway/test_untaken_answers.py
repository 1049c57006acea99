"""Whoever takes no answers is cut off, sooner where places are few; others are left alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from gateway.untaken_answers import UntakenAnswers
from tests.security.wire import Wire, message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE_S, PLACES = 60.0, 8


class Answering(grpc.GenericRpcHandler):  # type: ignore[type-arg] # not generic at run time
    """Answers everything with a short message; notes when it was done with the last call."""

    def __init__(self) -> None:
        self.answered = 0

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.stream_unary_rpc_method_handler(self.answer)

    async def answer(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        await anext(requests)
        self.answered += 1
        return b"answer"


def call_without_taking(address: str, calls: int, ended: list[str]) -> None:
    with Wire(address, takes_nothing=True) as wire:
        for _ in range(calls):
            number = wire.begin(wire.headers(path="/s/m"), message(b"ask"))
        ended.append(wire.reply(number).ended)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize(
    ("calls", "after_s", "before_s"),
    [(1, PATIENCE_S, 1000.0), (PLACES - 1, 10.0, PATIENCE_S)],
    ids=["one", "most places"],
)
def test_answers_that_are_not_taken(host: str, calls: int, after_s: float, before_s: float) -> None:
    async def test() -> None:
        now = 0.0
        ended: list[str] = []
        untaken = UntakenAnswers(PATIENCE_S, PLACES, lambda: port, clock=lambda: now)
        answering = Answering()
        server = grpc.aio.server(
            interceptors=[untaken], maximum_concurrent_rpcs=PLACES, handlers=[answering]
        )
        port = server.add_insecure_port(f"{host}:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
            other = channel.unary_unary("/s/m", None, None)
            assert await other(b"ask") == b"answer"
            attack = asyncio.to_thread(call_without_taking, f"{host}:{port}", calls, ended)
            attacking = asyncio.create_task(attack)
            while answering.answered < 1 + calls:
                await asyncio.wait([attacking], timeout=0.01)
            while not ended and now < 1000:
                now += 1
                await untaken.sweep()
                await asyncio.wait([attacking], timeout=0.03)
            assert ended == ["closed"]
            # Several sweeps may pass until the other side has noticed.
            assert after_s <= now < before_s
            # The connection of the other goes on.
            assert await other(b"ask") == b"answer"
            assert channel.get_state() is grpc.ChannelConnectivity.READY
        await server.stop(None)

    asyncio.run(asyncio.wait_for(test(), 60))
