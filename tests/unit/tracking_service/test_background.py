from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from tracking_service.background import BackgroundWork

if TYPE_CHECKING:
    import pytest

_OFTEN_S = 0.001


def test_work_is_repeated_in_the_loop_and_in_threads() -> None:
    async def scenario() -> tuple[set[int], set[int]]:
        background = BackgroundWork()
        in_loop: list[int] = []
        in_thread: list[int] = []
        enough = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def coroutine() -> None:
            in_loop.append(threading.get_ident())
            if len(in_loop) >= 3 and len(in_thread) >= 3:
                enough.set()

        def blocking() -> None:
            in_thread.append(threading.get_ident())

        background.add("coroutine", _OFTEN_S, coroutine)
        background.add("blocking", _OFTEN_S, blocking)
        background.start()
        await asyncio.wait_for(enough.wait(), 30)
        await background.stop()
        assert loop.is_running()
        return set(in_loop), set(in_thread)

    here = threading.get_ident()
    in_loop, in_thread = asyncio.run(scenario())
    assert in_loop == {here}
    assert here not in in_thread


def test_a_failure_is_logged_and_the_next_turn_comes(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> int:
        background = BackgroundWork()
        turns = 0
        again = asyncio.Event()

        async def failing() -> None:
            nonlocal turns
            turns += 1
            if turns > 1:
                again.set()
            message = "the disk is gone"
            raise OSError(message)

        background.add("sweep", _OFTEN_S, failing)
        background.start()
        await asyncio.wait_for(again.wait(), 30)
        await background.stop()
        return turns

    assert asyncio.run(scenario()) > 1
    output = capsys.readouterr()
    assert "sweep" in output.out + output.err
    assert "the disk is gone" in output.out + output.err


def test_stopping_waits_for_work_in_threads_and_tells_it() -> None:
    async def scenario() -> list[str]:
        background = BackgroundWork()
        events: list[str] = []
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        told = threading.Event()

        def long_work() -> None:
            loop.call_soon_threadsafe(begun.set)
            while not background.stopping:
                told.wait(0.001)
            events.append("ended")

        background.add("long", _OFTEN_S, long_work)
        background.start()
        await asyncio.wait_for(begun.wait(), 30)
        await background.stop()
        events.append("stopped")
        return events

    assert asyncio.run(scenario()) == ["ended", "stopped"]


def test_an_interval_of_zero_means_never() -> None:
    async def scenario() -> bool:
        background = BackgroundWork()
        ran = False

        def work() -> None:
            nonlocal ran
            ran = True

        other = asyncio.Event()

        async def sign() -> None:
            other.set()

        background.add("never", 0, work)
        background.add("sign", _OFTEN_S, sign)
        background.start()
        await asyncio.wait_for(other.wait(), 30)
        await background.stop()
        return ran

    assert not asyncio.run(scenario())


def test_stopping_what_was_never_started_is_fine() -> None:
    asyncio.run(BackgroundWork().stop())
