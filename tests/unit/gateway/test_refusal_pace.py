"""A flood of bad tokens is answered late, and takes nothing from those who have good ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.refusal_pace import MOST_WAITING, RefusalPace
from tests.unit.gateway.running_gateway import Gateway, explanation, refused, through_gateway

if TYPE_CHECKING:
    import grpc

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

FOR_EVER_S = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def answered_of(pace: RefusalPace, refusals: int) -> int:
    """How many of so many refusals in one moment are answered at once."""

    async def run() -> int:
        kept = [asyncio.create_task(pace.keep()) for _ in range(refusals)]
        # A task that waits for nothing is done after one turn.
        await asyncio.sleep(0)
        answered = sum(task.done() for task in kept)
        for task in kept:
            task.cancel()
        await asyncio.gather(*kept, return_exceptions=True)
        return answered

    return asyncio.run(run())


def test_so_many_a_second_are_answered_at_once() -> None:
    clock = Clock()
    pace = RefusalPace(10, clock, FOR_EVER_S)
    assert answered_of(pace, 25) == 10
    assert answered_of(pace, 5) == 0
    clock.now += 0.5
    assert answered_of(pace, 25) == 5
    # However long the pause, no more than those of a second.
    clock.now += 3600
    assert answered_of(pace, 25) == 10


def test_only_so_many_wait() -> None:
    pace = RefusalPace(1, Clock(), FOR_EVER_S)
    assert answered_of(pace, 1 + MOST_WAITING + 7) == 1 + 7
    # Those that waited have left.
    assert answered_of(pace, MOST_WAITING) == 0


def test_those_that_wait_are_answered_in_the_end() -> None:
    pace = RefusalPace(1, Clock(), delay_s=0.001)

    async def run() -> None:
        async with asyncio.timeout(10):
            await asyncio.gather(*(pace.keep() for _ in range(100)))

    asyncio.run(run())


def test_good_tokens_wait_for_nothing(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        def bad() -> asyncio.Task[grpc.aio.AioRpcError]:
            call = gateway.get_run(metadata=(("authorization", "Bearer no.such.token"),))
            return asyncio.create_task(refused(call))

        flood = [bad() for _ in range(40)]
        done: set[asyncio.Task[grpc.aio.AioRpcError]] = set()
        while len(done) < 4:
            done |= (await asyncio.wait(set(flood) - done, return_when="FIRST_COMPLETED"))[0]
        for _ in range(20):
            await gateway.get_run()
            # Another token that is good, and was not seen before.
            await gateway.get_run(metadata=gateway.login(sub="grace"))
        assert {task for task in flood if task.done()} == done
        assert {explanation(task.result()).reason for task in done} == {"TOKEN_INVALID"}
        for task in flood:
            task.cancel()

    pace = RefusalPace(4, Clock(), FOR_EVER_S)
    through_gateway(http_issuer, test, mounted=mounted, refusals=pace)
