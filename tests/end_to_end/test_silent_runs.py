"""A run of which nothing is heard becomes stale, not failed; one with nothing to say does not."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook.cli.__main__ import run as studbook_command
from studbook.client import Client
from studbook.tracking.v1 import run_pb2, run_service_pb2
from tests.end_to_end.conftest import FixedToken, tokens_of
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SILENT = """
import sys, studbook
run = studbook.init("silent", run_id=sys.argv[1], system_metrics=False)
run.log({"x": 1})
run.flush()
print("begun", flush=True)
sys.stdin.read()
run.finish()
"""


@pytest.fixture
def client(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Client]:
    """A client of a Studbook that is soon worried."""
    monkeypatch.setenv("STUDBOOK_TRACKING_STALE_AFTER_SECONDS", "4")
    monkeypatch.setenv("STUDBOOK_TRACKING_STALE_SWEEP_SECONDS", "0.5")
    monkeypatch.setenv("STUDBOOK_HEARTBEAT_INTERVAL_S", "1")
    with LocalStack(tmp_path_factory.mktemp("stack"), Ports.from_base(0)) as stack:
        token = tokens_of(stack)["ada"]
        monkeypatch.setenv("STUDBOOK_ADDRESS", stack.addresses.gateway)
        monkeypatch.setenv("STUDBOOK_TOKEN", token)
        monkeypatch.setenv("STUDBOOK_DIR", str(tmp_path / "records"))
        with Client(stack.addresses.gateway, token_source=FixedToken(token)) as client:
            yield client


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Begins a run in a process that then has nothing to say until its input ends."""
    begun: list[subprocess.Popen[str]] = []

    def begin(run_id: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _SILENT, run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate(timeout=60)


def state_of(client: Client, run_id: str) -> int:
    name = f"workspaces/main/experiments/silent/runs/{run_id}"
    return client.runs.GetRun(run_service_pb2.GetRunRequest(name=name)).run.state


def wait_for(client: Client, run_id: str, state: int) -> None:
    wait_until(lambda: state_of(client, run_id) == state)


def test_silence_is_told_from_having_nothing_to_say(
    client: Client, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    alive, killed, stopped = start("alive"), start("killed"), start("stopped")
    killed.kill()
    killed.wait()
    stopped.send_signal(signal.SIGSTOP)
    wait_for(client, "killed", run_pb2.RUN_STATE_STALE)
    wait_for(client, "stopped", run_pb2.RUN_STATE_STALE)
    assert state_of(client, "alive") == run_pb2.RUN_STATE_RUNNING

    stopped.send_signal(signal.SIGCONT)
    wait_for(client, "stopped", run_pb2.RUN_STATE_RUNNING)
    for process in (alive, stopped):
        process.communicate(timeout=60)
    assert state_of(client, "alive") == run_pb2.RUN_STATE_FINISHED
    assert state_of(client, "stopped") == run_pb2.RUN_STATE_FINISHED

    # What is known for sure is said by whoever finds the records of the process.
    assert state_of(client, "killed") == run_pb2.RUN_STATE_STALE
    assert studbook_command(["sync"]) == 0
    assert state_of(client, "killed") == run_pb2.RUN_STATE_KILLED
