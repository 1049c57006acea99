"""`python -m bench.metrics`: points of metrics through the gateway, durable, and back.

Beside each figure of writing stands what the disk allows in the same run: a commit cannot be faster
than an fsync. The peer's client logs to the peer's server in the same run. `--separate` measures
with each service in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import sqlite3
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from bench.__main__ import transport_limit
from bench.peer import Peer, PeerUnavailableError
from bench.timing import SECONDS, latency, rate
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.metric_batches import Series, encoded_request
from studbook.tracking.v1 import (
    experiment_service_pb2,
    metric_service_pb2,
    run_service_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LONG = 1_000_000
SHORT = 100_000

_PEER = """
import itertools, json
from bench.timing import latency, rate
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

client = MlflowClient()
run = client.create_run(client.create_experiment("bench")).info.run_id
steps = itertools.count()

def log_one():
    client.log_metric(run, "loss", 0.5, step=next(steps))

def log_batch():
    client.log_batch(run, [Metric("loss", 0.5, 0, next(steps)) for _ in range(1000)])
    return 1000

print(json.dumps({
    "log_metric, one point": latency(log_one, 60),
    "log_batch of 1 000, points/s": rate(log_batch),
}))
"""


def columns(first: int, values: Sequence[float]) -> tuple[bytes, bytes, bytes]:
    """Steps, times a millisecond apart, and values as a contract's columns."""
    from array import array  # noqa: PLC0415 - what follows is not measured

    start = 1_700_000_000_000_000
    steps = array("q", range(first, first + len(values)))
    times = array("q", range(start + first * 1000, start + (first + len(values)) * 1000, 1000))
    return steps.tobytes(), times.tobytes(), array("d", values).tobytes()


class Notebook:
    """Runs to write to and read from."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._experiment = client.experiments.CreateExperiment(
            experiment_service_pb2.CreateExperimentRequest(
                parent=client.workspace, experiment_id="bench"
            )
        ).experiment.name

    def run(self) -> str:
        """A new run."""
        request = run_service_pb2.CreateRunRequest(parent=self._experiment)
        return self._client.runs.CreateRun(request).run.name

    def batches(
        self, run: str, writer: str, values: Sequence[float]
    ) -> Iterator[metric_service_pb2.AppendMetricsRequest]:
        """Batch after batch of one series."""
        series = [Series("loss", *columns(0, values))]
        for sequence in itertools.count(1):
            yield metric_service_pb2.AppendMetricsRequest.FromString(
                encoded_request(run, writer, sequence, series)
            )

    def append(self, run: str, writer: str, values: Sequence[float]) -> Callable[[], int]:
        """A call that appends one batch more."""
        batches = self.batches(run, writer, values)

        def call() -> int:
            self._client.metrics.AppendMetrics(next(batches))
            return len(values)

        return call

    def stream(self, run: str, values: Sequence[float], seconds: float = SECONDS) -> int:
        """Points a second that one stream of batches is acknowledged for."""
        end = time.perf_counter() + seconds
        acknowledged = 0
        start = time.perf_counter()

        def requests() -> Iterator[metric_service_pb2.StreamMetricsRequest]:
            for batch in self.batches(run, "stream", values):
                if time.perf_counter() > end:
                    return
                yield metric_service_pb2.StreamMetricsRequest(batch=batch)

        for _ in self._client.metrics.StreamMetrics(requests()):
            acknowledged += len(values)
        return round(acknowledged / (time.perf_counter() - start))

    def fill(self, key: str, points: int, value: Callable[[int], float]) -> str:
        """A run with one series of so many points."""
        run = self.run()
        for sequence, first in enumerate(range(0, points, 10_000), 1):
            values = [value(step) for step in range(first, first + 10_000)]
            request = encoded_request(run, "fill", sequence, [Series(key, *columns(first, values))])
            self._client.metrics.AppendMetrics(
                metric_service_pb2.AppendMetricsRequest.FromString(request)
            )
        return run

    def read(self, run: str, most: int = 0) -> int:
        """Read a series; returns how many points came."""
        request = metric_service_pb2.ReadMetricsRequest(runs=[run], max_points=most)
        return sum(len(part.series.values) for part in self._client.metrics.ReadMetrics(request))


def rate_together(*rates: Callable[[], int]) -> int:
    """The sum of what goes on at the same time, each in a thread of its own."""
    with ThreadPoolExecutor(len(rates)) as threads:
        return sum(threads.map(lambda measured: measured(), rates))


def fsync_limit(folder: Path) -> dict[str, float]:
    """Appending four KiB to a file and waiting for the disk."""
    with (folder / "limit").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())

        return latency(append)


def database_bytes(folder: Path) -> int:
    """Size of the tracking service's database, with what is still in its log."""
    (file,) = folder.rglob("tracking.sqlite")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        pages, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "page_size")
        )
        return int(pages) * int(size)


def stored(notebook: Notebook, folder: Path, value: Callable[[int], float]) -> float:
    """Bytes that a point of a series takes in the database."""
    before = database_bytes(folder)
    notebook.fill("stored", LONG, value)
    return round((database_bytes(folder) - before) / LONG, 2)


def measure(stack: LocalStack, folder: Path) -> dict[str, object]:
    """All figures."""
    gateway = stack.addresses.gateway
    token = FixedToken(login.as_demo_person(gateway, "ada").access_token)
    noise = random.Random(1)  # noqa: S311 - noise to compress
    with Client(gateway, workspace="main", token_source=token) as client:
        notebook = Notebook(client)
        large = [noise.random() for _ in range(10_000)]
        writers = [notebook.append(notebook.run(), f"w{i}", large) for i in range(4)]
        figures: dict[str, object] = {
            "limit: health check": transport_limit(str(gateway)),
            "limit: append and fsync": fsync_limit(folder),
            "append one point, durable": latency(notebook.append(notebook.run(), "w", [1.0])),
            "batches of 10 000, points/s": rate(writers[0]),
            "batches of 10 000 on a stream, points/s": notebook.stream(notebook.run(), large),
            "batches of 1 000, points/s": rate(notebook.append(notebook.run(), "w", large[:1000])),
            "batches of 1 000 on a stream, points/s": notebook.stream(notebook.run(), large[:1000]),
            "4 writers of batches of 10 000, points/s": rate(*writers),
            "4 streams of batches of 10 000, points/s": rate_together(
                *(lambda: notebook.stream(notebook.run(), large) for _ in range(4))
            ),
        }
        short = notebook.fill("loss", SHORT, lambda step: math.sin(step / 1000))
        long = notebook.fill("loss", LONG, lambda _: noise.random())
        figures["read 100 000 points"] = latency(lambda: notebook.read(short), 40)
        figures["1 000 000 points reduced to 2 000"] = latency(
            lambda: notebook.read(long, 2000), 40
        )
        figures["stored noise, bytes a point"] = stored(notebook, folder, lambda _: noise.random())
        figures["stored decay, bytes a point"] = stored(
            notebook, folder, lambda step: math.exp(-step / 300_000)
        )
    return figures


def measure_peer(folder: Path) -> object:
    """The peer's own: the most that its client sends at once is a batch of 1 000."""
    try:
        with Peer(folder) as peer:
            return peer.run(_PEER)
    except PeerUnavailableError as error:
        return str(error)


def main() -> None:
    """Start a stack, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--separate", action="store_true", help="each service in a process of its own"
    )
    parser.add_argument("--no-peer", action="store_true", help="leave out MLflow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ports = Ports.from_base(0)
        with LocalStack(folder / "stack", ports, separate=options.separate) as stack:
            figures = measure(stack, folder)
        if not options.no_peer:
            figures["peer"] = measure_peer(folder / "peer")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
