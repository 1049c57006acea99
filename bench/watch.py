"""`python -m bench.watch`: how soon a promotion reaches those who watch, and what watching costs.

A thousand callers watch one model through the gateway, on ten connections, with tokens verified;
then versions are promoted one after the other. Time is taken from when the promotion is sent, so
that it includes the promotion itself, and from when it was answered, until the last of them has
been told. Beside it stands how long promotions take while nobody watches, while a thousand do, and
while a thousand do of whom a hundred do not read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from bench.story import Story
from bench.timing import latency
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import login
from studbook.registry.v1 import watch_service_pb2
from studbook.registry.v1.version_pb2 import STAGE_PRODUCTION
from studbook.registry.v1.watch_service_pb2_grpc import WatchServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 10
ROUNDS = 20
PROMOTIONS = 100
SLOW = 100


class Watchers:
    """Callers that watch one model and note when they are told that a version enters."""

    def __init__(self, address: str, token: str, model: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),)
        parent, _, model_id = model.partition("/models/")
        self._request = watch_service_pb2.WatchVersionsRequest(
            parent=parent, models=model_id, stages=[STAGE_PRODUCTION]
        )
        self._channels = [
            grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(CONNECTIONS)
        ]
        self._calls: list[Any] = []
        self._readers: list[asyncio.Task[None]] = []
        self._told: list[float] = []
        self._all_told = asyncio.Event()
        self._wanted = 0

    async def open(self, count: int, *, reading: bool = True) -> None:
        """Open watches and wait for their first message; those that do not read only open."""
        calls = [
            WatchServiceStub(self._channels[index % CONNECTIONS]).WatchVersions(
                self._request, metadata=self._metadata
            )
            for index in range(count)
        ]
        await asyncio.gather(*(call.read() for call in calls))
        self._calls += calls
        if reading:
            self._readers += [asyncio.create_task(self._read(call)) for call in calls]

    async def _read(self, call: Any) -> None:
        while message := await call.read():
            if any(change.stage.to_stage == STAGE_PRODUCTION for change in message.changes.changes):
                self._told.append(time.perf_counter())
                if len(self._told) >= self._wanted:
                    self._all_told.set()

    async def after(self, act: Callable[[], object]) -> tuple[float, float, float]:
        """Milliseconds from the start of an act, and its end, to the last; and to the median."""
        self._told.clear()
        self._all_told.clear()
        self._wanted = len(self._readers)
        sent = time.perf_counter()
        await asyncio.to_thread(act)
        answered = time.perf_counter()
        async with asyncio.timeout(60):
            await self._all_told.wait()
        last, middle = max(self._told), statistics.median(self._told)
        return (last - sent) * 1000, (last - answered) * 1000, (middle - answered) * 1000

    async def close(self) -> None:
        """End all watches."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for channel in self._channels:
            await channel.close(None)


def memory_mib(stack: LocalStack) -> float:
    """Resident memory of all server processes together."""
    pages = 0
    for pid in stack.pids().values():
        # Each process is a child of the one that keeps it.
        pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def measure(stack: LocalStack, count: int) -> dict[str, object]:
    """All figures."""
    story = Story(stack)
    address = stack.addresses.gateway
    token = login.as_demo_person(address, "grace").access_token
    alone = latency(story.promote, PROMOTIONS)
    watchers = Watchers(address, token, story.model)
    before = memory_mib(stack)
    start = time.perf_counter()
    await watchers.open(count)
    opened = time.perf_counter() - start
    taken = (memory_mib(stack) - before) * 1024 / count
    rounds = [await watchers.after(story.promote) for _ in range(ROUNDS)]
    watched = await asyncio.to_thread(latency, story.promote, PROMOTIONS)
    await watchers.open(SLOW, reading=False)
    slowed = await asyncio.to_thread(latency, story.promote, PROMOTIONS)
    await watchers.close()
    return {
        "watchers": count,
        "opened and told the state, s": round(opened, 2),
        "server memory for each, KiB": round(taken, 1),
        "promotion sent until the last was told, ms": spread(entry[0] for entry in rounds),
        "promotion sent until it was answered, ms": spread(sent - done for sent, done, _ in rounds),
        "promotion answered until the last was told, ms": spread(entry[1] for entry in rounds),
        "promotion answered until the median was told, ms": spread(entry[2] for entry in rounds),
        "promote, nobody watches": alone,
        "promote without a pause, all watch": watched,
        f"promote without a pause, all watch and {SLOW} more do not read": slowed,
    }


def spread(values: Any) -> dict[str, float]:
    """Median, and the least and largest."""
    found = sorted(values)
    return {
        "median": round(statistics.median(found), 1),
        "min": round(found[0], 1),
        "max": round(found[-1], 1),
    }


def main() -> None:
    """Start a stack, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--separate", action="store_true", help="each service in its own process")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        LocalStack(Path(name), Ports.from_base(0), separate=given.separate) as stack,
    ):
        print(json.dumps(asyncio.run(measure(stack, given.watchers)), indent=2))


if __name__ == "__main__":
    main()
