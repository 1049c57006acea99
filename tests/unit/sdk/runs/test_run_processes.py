"""Processes that log and then come to an end of some kind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2
from tests.unit.sdk.runs.programs import RUN, run_to_its_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored

_COUNTING = """
import studbook, sys
run = studbook.init("wine", run_id="one")
step = 0
while True:
    run.log({"x": step, "y": -step}, step=step)
    step += 1
    if step % 100 == 0:
        print(step, flush=True)
"""


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def read_until(process: subprocess.Popen[str], least: int) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= least:
            return int(line)
    pytest.fail(f"The process ended early: {process.stderr and process.stderr.read()}")


def kill(process: subprocess.Popen[str]) -> int:
    """Kill a counting process; returns the last count it printed."""
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    counts = [int(line) for line in out.split()]
    return counts[-1] if counts else 0


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_kill_9_loses_nothing(
    online: Path, stored: Stored, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_MODE", mode)
    process = start(_COUNTING)
    logged = read_until(process, 30_000)
    logged = max(logged, kill(process))
    synced = sync_pending()
    assert [(entry.run, entry.problem) for entry in synced] == [(RUN, None)]
    for key, sign in (("x", 1), ("y", -1)):
        found = [(step, value) for step, _, value in stored.points[RUN, key]]
        assert len(found) >= logged
        assert found == [(step, float(sign * step)) for step in range(len(found))]
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_KILLED
    assert "without finishing" in stored.runs[RUN].state_reason
    assert list(online.iterdir()) == []


def test_a_resumed_run_sends_what_the_killed_process_left(
    offline: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(_COUNTING)
    read_until(process, 1000)
    kill(process)
    monkeypatch.setenv("STUDBOOK_MODE", "online")
    again = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import studbook\nwith studbook.init('wine', run_id='one') as run:\n"
                "    run.log({'x': 0.5}, step=0)"
            ),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert again.stderr == ""
    values = [value for _, _, value in stored.points[RUN, "x"]]
    assert values[:1000] == [float(step) for step in range(1000)]
    assert values[-1] == 0.5
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED
    assert list(offline.iterdir()) == []


def test_sigterm_ends_the_run_as_killed(online: Path, stored: Stored) -> None:
    process = start(_COUNTING)
    read_until(process, 500)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM, said
    assert RUN in stored.runs, said
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_KILLED
    assert stored.runs[RUN].state_reason == "SIGTERM"
    assert stored.runs[RUN].signal == "SIGTERM"
    assert list(online.iterdir()) == []


def test_a_handler_that_exits_decides_on_the_exit_code(online: Path, stored: Stored) -> None:
    ended = run_to_its_end(
        "import os, signal, studbook, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "studbook.init('wine', run_id='one')\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    assert ended.returncode == 9
    kept = stored.runs[RUN]
    assert (kept.state, kept.signal) == (run_pb2.RUN_STATE_KILLED, "SIGTERM")
    assert kept.exit_code == 9


def test_an_uncaught_error_ends_the_run_as_failed(online: Path, stored: Stored) -> None:
    ended = run_to_its_end(
        "import studbook\nstudbook.init('wine', run_id='one')\nstudbook.log({'x': 1})\n1 / 0"
    )
    assert ended.returncode == 1
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FAILED
    assert stored.runs[RUN].state_reason == "ZeroDivisionError: division by zero"


def test_leaving_the_program_finishes_the_run(online: Path, stored: Stored) -> None:
    ended = run_to_its_end(
        "import studbook\nstudbook.init('wine', run_id='one')\nstudbook.log({'x': 1})"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED
    assert [value for _, _, value in stored.points[RUN, "x"]] == [1.0]


@pytest.mark.parametrize(
    ("last_words", "state", "exit_code", "reason"),
    [
        ("sys.exit(3)", run_pb2.RUN_STATE_FAILED, 3, "exit code 3"),
        ("sys.exit('no data')", run_pb2.RUN_STATE_FAILED, 1, "exit code no data"),
        ("sys.exit(0)", run_pb2.RUN_STATE_FINISHED, 0, ""),
        ("raise KeyboardInterrupt", run_pb2.RUN_STATE_KILLED, None, "KeyboardInterrupt"),
        ("raise MemoryError('of the GPU')", run_pb2.RUN_STATE_FAILED, 1, "MemoryError: of the GPU"),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_how_a_program_ends_is_how_its_run_ends(
    online: Path,
    stored: Stored,
    last_words: str,
    state: int,
    exit_code: int | None,
    reason: str,
    inside: bool,
) -> None:
    begin = (
        "with studbook.init('wine', run_id='one'): "
        if inside
        else "run = studbook.init('wine', run_id='one')\n"
    )
    run_to_its_end(f"import studbook, sys\n{begin}{last_words}")
    kept = stored.runs[RUN]
    assert (kept.state, kept.state_reason) == (state, reason)
    assert (kept.exit_code if kept.HasField("exit_code") else None) == exit_code


def test_a_program_that_leaves_without_a_word_is_synced_as_killed(
    online: Path, stored: Stored
) -> None:
    ended = run_to_its_end(
        "import os, studbook\n"
        "run = studbook.init('wine', run_id='one')\n"
        "for step in range(1000): run.log({'x': step}, step)\n"
        "os._exit(7)"
    )
    assert ended.returncode == 7
    sync_pending()
    assert len(stored.points[RUN, "x"]) == 1000
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_KILLED
    assert list(online.iterdir()) == []


_INTERRUPTED = """
import json, os, random, signal, sys, threading, time
import studbook

def interrupt():
    while not over.wait(random.uniform(0, 0.002)):
        os.kill(os.getpid(), signal.SIGINT)

def handle(number, frame):
    global looping
    if looping:
        looping = False
        raise KeyboardInterrupt

looping = False
signal.signal(signal.SIGINT, handle)
run = studbook.init("wine", run_id="one")
over, returned, step, interrupts = threading.Event(), [], 0, 0
end = time.monotonic() + 1.5
threading.Thread(target=interrupt, daemon=True).start()
while time.monotonic() < end:
    try:
        looping = True
        while time.monotonic() < end:
            step += 1
            run.log({f"{step % 3}": step}, step)
            returned.append(step)
        looping = False
    except KeyboardInterrupt:
        interrupts += 1
over.set()
run.finish()
print(json.dumps([interrupts, returned]))
"""


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_interrupting_in_the_middle_of_anything_loses_nothing(
    online: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    # As in a notebook, where a loop is stopped, and the next cell goes on with the run.
    monkeypatch.setenv("STUDBOOK_MODE", mode)
    monkeypatch.setenv("STUDBOOK_SEGMENT_BYTES", "5000")
    ended = run_to_its_end(_INTERRUPTED)
    assert (ended.returncode, ended.stderr) == (0, "")
    interrupts, returned = json.loads(ended.stdout)
    assert interrupts > 10
    sync_pending()
    found = sorted(step for points in stored.points.values() for step, _, _ in points)
    assert len(found) == len(set(found))
    assert set(returned) <= set(found)
