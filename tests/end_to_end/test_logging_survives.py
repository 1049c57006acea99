"""kill -9 of a training process, of the server, and of both: what `log()` took arrives once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from studbook.cli.__main__ import run as studbook_command
from studbook.client import Client
from studbook.tracking.v1 import metric_service_pb2
from tests.end_to_end.conftest import FixedToken
from tests.patience import insist, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from local_stack.stack import LocalStack

RUN = "workspaces/main/experiments/crash/runs/one"
PROCESSES = 4
KEYS = 10

# Each process logs under its own number, and says now and then how far it has come.
_TRAINING = f"""
import itertools, sys, time, studbook
process = int(sys.argv[1])
run = studbook.init("crash", run_id="one")
for step in itertools.count():
    run.log({{f"m{{key}}": step * {KEYS} + key for key in range({KEYS})}}, process * 10**9 + step)
    if step % 50 == 49:
        print(step + 1, flush=True)
        time.sleep(0.002)
"""


@pytest.fixture
def token(
    own_stack: LocalStack,
    own_tokens: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Ada's token, and the settings of her processes."""
    text = own_tokens["ada"]
    monkeypatch.setenv("STUDBOOK_ADDRESS", own_stack.addresses.gateway)
    monkeypatch.setenv("STUDBOOK_TOKEN", text)
    monkeypatch.setenv("STUDBOOK_DIR", str(tmp_path / "records"))
    return text


def train_and_kill(number: int, seconds: float) -> int:
    """Let a process train and kill it; returns how many steps it said it had logged."""
    process = subprocess.Popen(
        [sys.executable, "-c", _TRAINING, str(number)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = int(process.stdout.readline())
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    return max([said, *(int(line) for line in out.split() if line)])


def kill_until(done: threading.Event, stack: LocalStack, victims: list[str], seed: int) -> None:
    """Kill the server again and again, twice at least."""
    moments = random.Random(seed)  # noqa: S311 - the moments of the kills, to be repeated
    kills = 0
    while not done.wait(moments.uniform(0.1, 0.8)) or kills < 2:
        stack.kill_child(moments.choice(victims))
        stack.wait_serving()
        kills += 1


def sync_and_kill(seconds: float) -> None:
    """Send what is left, and be killed over it, unless it is done sooner."""
    command = [sys.executable, "-m", "studbook.cli", "sync"]
    with suppress(subprocess.TimeoutExpired):  # it kills what takes longer
        subprocess.run(command, capture_output=True, timeout=seconds, check=False)


def steps_by_process(client: Client, key: int) -> dict[int, list[int]]:
    """The steps of one metric by process, in the order of the server, their values checked."""
    request = metric_service_pb2.ReadMetricsRequest(runs=[RUN], keys=[f"m{key}"])
    found: dict[int, list[int]] = {}
    parts: list[metric_service_pb2.ReadMetricsResponse] = []

    def read() -> None:
        # After a kill the gateway may be about to find the service again; streams are not repeated.
        parts[:] = client.metrics.ReadMetrics(request)

    insist(read)
    for part in parts:
        for step, value in zip(part.series.steps, part.series.values, strict=True):
            process, number = divmod(step, 10**9)
            assert value == number * KEYS + key
            found.setdefault(process, []).append(number)
    return found


@pytest.mark.parametrize("victims", [[], ["tracking"], ["gateway", "tracking"]])
def test_nothing_that_was_logged_is_lost_or_doubled(
    own_stack: LocalStack, token: str, tmp_path: Path, victims: list[str]
) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # shown when the test fails
    moments = random.Random(seed)  # noqa: S311 - as above
    done = threading.Event()
    killer = threading.Thread(target=kill_until, args=(done, own_stack, victims, seed))
    if victims:
        killer.start()
    try:
        logged = [train_and_kill(number, moments.uniform(0.0, 2.0)) for number in range(PROCESSES)]
        for _ in range(PROCESSES):
            sync_and_kill(moments.uniform(0.3, 0.9))
    finally:
        done.set()
        if victims:
            killer.join()
    own_stack.wait_serving()
    assert studbook_command(["sync"]) == 0
    with Client(own_stack.addresses.gateway, token_source=FixedToken(token)) as client:
        for key in range(KEYS):
            steps = steps_by_process(client, key)
            assert sorted(steps) == list(range(PROCESSES))
            for number, said in enumerate(logged):
                assert len(steps[number]) >= said
                assert steps[number] == list(range(len(steps[number])))
    assert list((tmp_path / "records").iterdir()) == []


def test_sync_sends_what_the_dead_left_while_others_are_running(
    own_stack: LocalStack, token: str, tmp_path: Path
) -> None:
    program = _TRAINING.replace('run_id="one"', 'run_id="alive"')
    alive = subprocess.Popen(
        [sys.executable, "-c", program, "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert alive.stdout is not None
        assert int(alive.stdout.readline()) > 0
        logged = train_and_kill(0, 0.1)
        assert studbook_command(["sync"]) == 0
        assert alive.poll() is None
        with Client(own_stack.addresses.gateway, token_source=FixedToken(token)) as client:
            steps = steps_by_process(client, 0)[0]
        assert len(steps) >= logged
        assert steps == list(range(len(steps)))
        assert [path.name.partition("-")[0] for path in (tmp_path / "records").iterdir()] == [
            "alive"
        ]
    finally:
        alive.kill()
        alive.communicate(timeout=60)
    wait_until(lambda: studbook_command(["sync"]) == 0)
    assert list((tmp_path / "records").iterdir()) == []
