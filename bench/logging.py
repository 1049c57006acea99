"""`python -m bench.logging`: what recording costs a training, and what it is worth when one dies.

Programs of their own log into a Studbook on this machine, which takes what they send meanwhile.
Beside each figure stands what the machine does at best in the same run: a bare write of the same
bytes, an interpreter that imports nothing; and the peer's client against the peer's server.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.peer import Peer, PeerUnavailableError
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.sync import sync_pending
from studbook.tracking.v1 import metric_service_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS = 100_000
PEER_STEPS = 100
STARTS = 15
KILLS = 3

# Times each call alone. The loop itself allocates nothing, so that what memory grows is the SDK's.
_TIMING = """
import array, json, os, sys, time

def percentiles(taken):
    ordered = sorted(taken)
    at = lambda part: round(ordered[int(len(ordered) * part)] * 1e6, 1)
    return {"p50_us": at(0.5), "p99_us": at(0.99), "p99.9_us": at(0.999)}

def timed(call, make, taken):
    clock = time.perf_counter
    for step in range(len(taken)):
        values = make(step)
        start = clock()
        call(values, step)
        taken[step] = clock() - start
    return taken

def room(steps):
    return array.array("d", bytes(8 * steps))

def resident_mb():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
"""

_LOGGING = (
    _TIMING
    + """
import numpy, studbook
shape, taken = sys.argv[1], room(int(sys.argv[2]))
makers = {
    "flat": lambda step: {f"metric_{n}": step * 0.1 for n in range(10)},
    "nested": lambda step: {part: {f"m{n}": step * 0.1 for n in range(5)} for part in ("a", "b")},
    "NumPy": lambda step: {f"metric_{n}": numpy.float32(step) for n in range(10)},
}
run = studbook.init("bench", run_id=shape.lower())
# Once before it counts, so that the thread that sends has had batches of full size.
timed(run.log, makers[shape], taken)
if os.environ.get("STUDBOOK_MODE") != "offline":
    run.flush()
before = resident_mb()
start = time.perf_counter()
timed(run.log, makers[shape], taken)
loop_s = time.perf_counter() - start
after = resident_mb()
start = time.perf_counter()
run.finish()
print(json.dumps({
    **percentiles(taken),
    "loop_s": round(loop_s, 2),
    "memory_before_mb": round(before, 1),
    "memory_after_mb": round(after, 1),
    "finish_s": round(time.perf_counter() - start, 2),
    "refused": run.refusals,
}))
"""
)

_BARE_WRITE = (
    _TIMING
    + """
data, taken = bytes(int(sys.argv[1])), room(int(sys.argv[2]))
descriptor = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
print(json.dumps(percentiles(timed(lambda _v, _s: os.write(descriptor, data), int, taken))))
"""
)

_PEER_LOGGING = (
    _TIMING
    + """
import mlflow
mlflow.set_experiment("bench")
with mlflow.start_run():
    make = lambda step: {f"metric_{n}": step * 0.1 for n in range(10)}
    timed(mlflow.log_metrics, make, room(5))
    taken = timed(mlflow.log_metrics, make, room(int(sys.argv[1])))
print(json.dumps(percentiles(taken)))
"""
)

_ENDLESS = """
import itertools, sys, studbook
run = studbook.init("bench", run_id=sys.argv[1])
for step in itertools.count():
    run.log({f"metric_{n}": step for n in range(10)}, step)
    if step % 10 == 9:
        print(step + 1, flush=True)
"""


def run_program(program: str, *arguments: object, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a program; returns the JSON object that it prints."""
    done = subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, "-c", program, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def start_ms(statement: str, python: str = sys.executable) -> float:
    """Milliseconds that an interpreter takes from start to end with one statement."""
    taken = []
    for _ in range(STARTS):
        start = time.perf_counter()
        subprocess.run([python, "-c", statement], check=True)  # noqa: S603 - our own statements
        taken.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(taken), 1)


def record_bytes(folder: Path) -> int:
    """Bytes of the record files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.records"))


def measure_size(environment: Mapping[str, str], folder: Path) -> float:
    """Bytes a point on disk, of a run that is not being sent."""
    offline = {**environment, "STUDBOOK_MODE": "offline", "STUDBOOK_DIR": str(folder)}
    run_program(_LOGGING, "flat", STEPS, environment=offline)
    return round(record_bytes(folder) / (10 * 2 * STEPS), 2)


def points_lost(environment: Mapping[str, str], client: Client, folder: Path) -> int:
    """Points that `log` returned for before a kill -9, and that the server does not have then."""
    lost = 0
    for number in range(KILLS):
        run_id = f"killed-{number}"
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _ENDLESS, run_id],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=random.uniform(1, 3))  # noqa: S311 - any moment
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        logged = max(int(line) for line in out.split())
        sync_pending(root=folder, token_source=FixedToken(environment["STUDBOOK_TOKEN"]))
        lost += 10 * logged - min(points_of(client, run_id), 10 * logged)
    return lost


def points_of(client: Client, run_id: str) -> int:
    """How many points the server has of the first so many steps of a run."""
    name = f"{client.workspace}/experiments/bench/runs/{run_id}"
    keys = [f"metric_{number}" for number in range(10)]
    request = metric_service_pb2.ReadMetricsRequest(runs=[name], keys=keys)
    return sum(len(part.series.values) for part in client.metrics.ReadMetrics(request))


def measure(stack: LocalStack, folder: Path) -> dict[str, object]:
    """Our own figures."""
    gateway, records = stack.addresses.gateway, folder / "records"
    token = login.as_demo_person(gateway, "ada").access_token
    environment = {
        "STUDBOOK_ADDRESS": gateway,
        "STUDBOOK_TOKEN": token,
        "STUDBOOK_DIR": str(records),
    }
    bytes_a_point = measure_size(environment, folder / "offline")
    bare = run_program(
        _BARE_WRITE, round(10 * bytes_a_point), STEPS, folder / "bare", environment={}
    )
    found: dict[str, object] = {
        f"log 10 scalars, {shape}": run_program(_LOGGING, shape, STEPS, environment=environment)
        for shape in ("flat", "nested", "NumPy")
    }
    with Client(gateway, workspace="main", token_source=FixedToken(token)) as client:
        lost = points_lost(environment, client, records)
    return {
        **found,
        "limit: bare write of the same bytes": bare,
        "bytes a point on disk": bytes_a_point,
        f"points lost in {KILLS} times kill -9": lost,
        "import studbook, ms": start_ms("import studbook"),
        "studbook.init offline, whole program, ms": start_ms(
            "import os; os.environ.update(STUDBOOK_MODE='offline', STUDBOOK_DIR="
            f"{str(folder / 'starts')!r}); import studbook; studbook.init('bench').finish()"
        ),
        "limit: interpreter that imports nothing, ms": start_ms("pass"),
    }


def measure_peer(folder: Path) -> object:
    """The same of the peer."""
    try:
        with Peer(folder) as peer:
            logging = peer.run(_PEER_LOGGING, [PEER_STEPS])
            imported = peer.run(
                "import json, time; start = time.perf_counter(); import mlflow; "
                "print(json.dumps({'import_ms': (time.perf_counter() - start) * 1000}))"
            )
    except PeerUnavailableError as error:
        return str(error)
    return {"log_metrics of 10": logging, "import mlflow, ms": round(imported["import_ms"])}


def main() -> None:
    """Start a stack, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.logging")
    parser.add_argument("--no-peer", action="store_true", help="leave out MLflow")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder / "stack", Ports.from_base(0)) as stack:
            figures = measure(stack, folder)
        if not arguments.no_peer:
            figures["peer"] = measure_peer(folder / "peer")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
