"""`python -m bench.short_runs`: whole runs of a moment, as a sweep makes by the thousand.

A run is created, given ten parameters and ten metrics of a point each, and finished; each step is
durable when it is answered. Once through the stubs, as a program would that makes many, and once
through the SDK, which also records code and machine; beside either, the peer's client against the
peer's server: its fastest way (three calls) and its usual one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.__main__ import transport_limit
from bench.metrics import fsync_limit
from bench.peer import Peer, PeerUnavailableError
from bench.timing import latency, rate
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.tracking.v1 import (
    experiment_service_pb2,
    metric_pb2,
    metric_service_pb2,
    run_pb2,
    run_service_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 8
RUNS = 200
PEER_RUNS = 20

_SDK = """
import json, studbook
from bench.timing import latency

def short_run():
    with studbook.init("sdk", config={f"param_{n}": n * 0.1 for n in range(10)}) as run:
        run.log({f"metric_{n}": n * 0.1 for n in range(10)}, step=0)

print(json.dumps(latency(short_run, 40)))
"""

_PEER = """
import json, sys, time, mlflow
from bench.timing import latency, rate
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

runs, at_once = int(sys.argv[1]), int(sys.argv[2])
client = MlflowClient()
experiment = client.create_experiment("stubs")
mlflow.set_experiment("sdk")

def short_run():
    run = client.create_run(experiment).info.run_id
    now = time.time_ns() // 1_000_000
    client.log_batch(
        run,
        metrics=[Metric(f"metric_{n}", n * 0.1, now, 0) for n in range(10)],
        params=[Param(f"param_{n}", str(n * 0.1)) for n in range(10)],
    )
    client.set_terminated(run)
    return 1

def usual_run():
    with mlflow.start_run():
        mlflow.log_params({f"param_{n}": n * 0.1 for n in range(10)})
        mlflow.log_metrics({f"metric_{n}": n * 0.1 for n in range(10)}, step=0)

print(json.dumps({
    "one after another": latency(short_run, runs),
    f"{at_once} at once, runs/s": rate(*[short_run] * at_once),
    "mlflow.start_run": latency(usual_run, runs),
}))
"""


def short_runs(client: Client) -> Callable[[], int]:
    """A call that makes one whole run."""
    experiment = client.experiments.CreateExperiment(
        experiment_service_pb2.CreateExperimentRequest(
            parent=client.workspace, experiment_id="stubs"
        )
    ).experiment.name
    params = [
        run_pb2.Param(key=f"param_{number}", value=run_pb2.ParamValue(double_value=number * 0.1))
        for number in range(10)
    ]

    def short_run() -> int:
        request = run_service_pb2.CreateRunRequest(
            parent=experiment, run=run_pb2.Run(params=params)
        )
        name = client.runs.CreateRun(request).run.name
        client.metrics.AppendMetrics(
            metric_service_pb2.AppendMetricsRequest(
                run=name, writer="bench", sequence=1, series=one_step()
            )
        )
        ended = run_pb2.Run(name=name, state=run_pb2.RUN_STATE_FINISHED)
        client.runs.UpdateRun(run_service_pb2.UpdateRunRequest(run=ended))
        return 1

    return short_run


def one_step() -> list[metric_pb2.MetricSeries]:
    """A point of each of ten metrics."""
    now_us = time.time_ns() // 1000
    return [
        metric_pb2.MetricSeries(
            key=f"metric_{number}", steps=[0], times_us=[now_us], values=[number * 0.1]
        )
        for number in range(10)
    ]


def through_sdk(gateway: str, token: str, folder: Path) -> dict[str, float]:
    """The same through the SDK, in a program of its own."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _SDK],
        check=True,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "STUDBOOK_ADDRESS": gateway,
            "STUDBOOK_TOKEN": token,
            "STUDBOOK_DIR": str(folder),
        },
    )
    found: dict[str, float] = json.loads(done.stdout.decode().splitlines()[-1])
    return found


def measure(stack: LocalStack, folder: Path) -> dict[str, Any]:
    """Our own figures."""
    gateway = stack.addresses.gateway
    token = login.as_demo_person(gateway, "ada").access_token
    with Client(gateway, workspace="main", token_source=FixedToken(token)) as client:
        short_run = short_runs(client)
        return {
            "limit: health check": transport_limit(gateway),
            "limit: append and fsync": fsync_limit(folder),
            "one after another": latency(short_run, RUNS),
            f"{AT_ONCE} at once, runs/s": rate(*[short_run] * AT_ONCE),
            "studbook.init": through_sdk(gateway, token, folder / "records"),
        }


def measure_peer(folder: Path) -> dict[str, Any]:
    """The same of the peer."""
    try:
        with Peer(folder) as peer:
            return peer.run(_PEER, [PEER_RUNS, AT_ONCE])
    except PeerUnavailableError as error:
        return {"not measured": str(error)}


def times_the_peer(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, float]:
    """How many runs we make while the peer makes one."""
    if "one after another" not in peer:
        return {}
    key = f"{AT_ONCE} at once, runs/s"
    return {
        "one after another": round(
            peer["one after another"]["p50_ms"] / ours["one after another"]["p50_ms"], 1
        ),
        f"{AT_ONCE} at once": round(ours[key] / peer[key], 1),
        "studbook.init": round(
            peer["mlflow.start_run"]["p50_ms"] / ours["studbook.init"]["p50_ms"], 1
        ),
    }


def main() -> None:
    """Start a stack, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.short_runs")
    parser.add_argument("--no-peer", action="store_true", help="leave out MLflow")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder / "stack", Ports.from_base(0)) as stack:
            figures = measure(stack, folder)
        if not arguments.no_peer:
            peer = measure_peer(folder / "peer")
            figures |= {"peer": peer, "times the peer": times_the_peer(figures, peer)}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
