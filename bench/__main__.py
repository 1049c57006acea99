"""`python -m bench`: measure the hot paths through the gateway and print the figures as JSON.

Everything runs on this machine: three server processes on SQLite, and this client. Each figure
stands beside a limit measured in the same run, so that runs on other machines can be compared by
their ratios.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import uuid
from pathlib import Path

import grpc

from bench.story import Story
from bench.timing import latency, rate
from local_stack.ports import Ports
from local_stack.stack import LocalStack

POINTS = 10_000
MIB = 1024 * 1024
UPLOAD_MIB = 128


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
