"""`python -m bench`: measure the hot paths through the gateway and print the figures as JSON.

Everything runs on this machine: three server processes on SQLite, and this client. Each figure
stands beside a limit measured in the same run, so that runs on other machines can be compared by
their ratios.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from bench.story import Story
from local_stack.ports import Ports
from local_stack.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 400
SECONDS = 4.0
POINTS = 10_000
MIB = 1024 * 1024
UPLOAD_MIB = 128


def latency(call: Callable[[], object], calls: int = CALLS) -> dict[str, float]:
    """Median and 99th percentile of one call after another, in milliseconds."""
    for _ in range(min(20, calls)):
        call()
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    return {
        "p50_ms": round(statistics.median(taken), 3),
        "p99_ms": round(taken[int(len(taken) * 0.99)], 3),
    }


def rate(*calls: Callable[[], int]) -> int:
    """Units a second that calls do, each in a thread of its own; a call returns how many it did."""
    done = [0] * len(calls)
    start = time.perf_counter()

    def repeat(place: int) -> None:
        while time.perf_counter() - start < SECONDS:
            done[place] += calls[place]()

    threads = [threading.Thread(target=repeat, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(sum(done) / (time.perf_counter() - start))


def write_and_sync(folder: Path, size: int) -> float:
    """What the disk can do with as many bytes, in MB/s: write once, then fsync."""
    data = bytes(MIB)
    start = time.perf_counter()
    with (folder / f"limit-{uuid.uuid4().hex}").open("wb") as file:
        for _ in range(size // MIB):
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return round(size / 1e6 / (time.perf_counter() - start))


def transport_limit(address: str) -> dict[str, float]:
    """The cheapest call there is on the same port: a health check, without any of our code."""
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
        return latency(lambda: check(b""))


def measure(stack: LocalStack, folder: Path) -> dict[str, object]:
    """All figures."""
    story = Story(stack)
    size = UPLOAD_MIB * MIB
    started = time.perf_counter()
    story.upload(size)
    upload = round(size / 1e6 / (time.perf_counter() - started))
    started = time.perf_counter()
    story.download()
    download = round(size / 1e6 / (time.perf_counter() - started))
    return {
        "limit: health check": transport_limit(stack.addresses.gateway),
        "resolve Production": latency(story.resolve),
        "read a run": latency(story.read_run),
        "append one point, durable": latency(lambda: story.append(1)),
        f"append {POINTS} points, points a second": rate(lambda: story.append(POINTS)),
        "promote": latency(story.promote),
        "limit: write and fsync, MB/s": write_and_sync(folder, size),
        "upload, verified and durable, MB/s": upload,
        "download, verified, MB/s": download,
    }


def main() -> None:
    """Start a stack, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder / "stack", Ports.from_base(0)) as stack:
            print(json.dumps(measure(stack, folder), indent=2))


if __name__ == "__main__":
    main()
