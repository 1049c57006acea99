"""Work that goes on beside the calls: from time to time, until the service ends."""

from __future__ import annotations

import asyncio
import inspect
import random
import threading
from typing import TYPE_CHECKING

import structlog

from tracking_service.completion import completed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = structlog.get_logger("studbook.background")

# Replicas that were started together must not do the same work at the same moments for ever.
_JITTER = 0.1


class BackgroundWork:
    """Repeats pieces of work, each at its own pace.

    A piece that fails is logged and tried again at its next turn. No piece overlaps with itself;
    different ones run side by side.
    """

    def __init__(self) -> None:
        self._pieces: list[tuple[str, float, Callable[[], Awaitable[object] | object]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether the service is ending; work in threads that takes long looks at it now and then.

        Safe to ask from any thread.
        """
        return self._stopping.is_set()

    def add(
        self, name: str, interval_s: float, work: Callable[[], Awaitable[object] | object]
    ) -> None:
        """Have work done from now on, or from `start` on.

        Args:
            name: What the log calls it.
            interval_s: Seconds between the end of one turn and the begin of the next, give or
                take a tenth; the first turn comes after a random part of it. 0: never.
            work: A coroutine function, run in the event loop, or a function that blocks, run in a
                thread.
        """
        if interval_s <= 0:
            return
        self._pieces.append((name, interval_s, work))

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._tasks = [
            asyncio.create_task(self._repeat(name, interval_s, work), name=f"background {name}")
            for name, interval_s, work in self._pieces
        ]

    async def stop(self) -> None:
        """End all work: coroutines where they wait, functions in threads when they return."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _repeat(
        self, name: str, interval_s: float, work: Callable[[], Awaitable[object] | object]
    ) -> None:
        pause_s = interval_s * random.random()  # noqa: S311 - spreads load
        while True:
            await asyncio.sleep(pause_s)
            try:
                await _one_turn(work)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next turn is due
                _log.warning("background work failed", work=name, exc_info=error)
            pause_s = interval_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - as above


async def _one_turn(work: Callable[[], Awaitable[object] | object]) -> None:
    if inspect.iscoroutinefunction(work):
        await work()
        return
    # What it works on is closed next.
    await completed(asyncio.to_thread(work))
