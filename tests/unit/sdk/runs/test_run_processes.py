"""Processes that log and then come to an end of some kind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from studbook.record_folder import run_folders
from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_server import Stored

RUN = "workspaces/main/experiments/wine/runs/one"

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


def run_to_its_end(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


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


def test_a_full_disk_is_one_warning_and_training_goes_on(offline: Path, stored: Stored) -> None:
    # A limit on the size of files takes the beginning of a record and then nothing, as a full
    # disk does.
    ended = run_to_its_end(
        "import resource, studbook\n"
        "run = studbook.init('wine', run_id='one')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "for step in range(5000): run.log({'x': step}, step=step)\n"
        "print('trained')"
    )
    assert ended.stdout == "trained\n"
    assert ended.stderr.count("cannot be written") == 1
    assert ended.returncode == 0
    sync_pending()
    found = [step for step, _, _ in stored.points[RUN, "x"]]
    assert found == list(range(len(found)))
    assert len(found) > 100


def test_forked_workers_log_into_the_run(online: Path, stored: Stored) -> None:
    ended = run_to_its_end(
        "import os, studbook\n"
        "with studbook.init('wine', run_id='one') as run:\n"
        "    run.log({'x': 0}, step=0)\n"
        "    run.flush()\n"  # so that there is a connection and a thread to be forked with
        "    for worker in range(1, 11):\n"
        "        child = os.fork()\n"
        "        if child == 0:\n"
        "            run.log({'x': worker}, step=worker)\n"
        "            run.finish('failed')\n"  # ends nothing: the run is the parent's
        "            os._exit(0)\n"
        "        assert os.waitpid(child, 0)[1] == 0\n"
        "    run.log({'x': 11}, step=11)\n"
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(value for _, _, value in stored.points[RUN, "x"]) == list(range(12))
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED
    assert len({writer for _, writer in stored.sequences}) == 11
    assert list(online.iterdir()) == []


def test_a_worker_that_outlives_its_parent_is_synced(offline: Path, stored: Stored) -> None:
    ended = run_to_its_end(
        "import os, studbook\n"
        "run = studbook.init('wine', run_id='one')\n"
        "run.log({'x': 1}, step=1)\n"
        "if os.fork() == 0:\n"
        "    run.log({'x': 2}, step=2)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "run.finish()"
    )
    assert ended.returncode == 0, ended.stderr
    (folder,) = run_folders(offline)
    assert len(folder.chains()) == 2
    sync_pending()
    assert sorted(value for _, _, value in stored.points[RUN, "x"]) == [1.0, 2.0]
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED
    assert os.listdir(offline) == []  # noqa: PTH208 - reads better here


_POOLS = """
import multiprocessing, sys, threading
from concurrent.futures import ProcessPoolExecutor
import studbook

def keep(run):
    global kept
    kept = run

def log_kept(worker):
    kept.log({"x": worker}, step=worker)

def log_given(run, worker):
    run.log({"x": worker}, step=worker)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    run = studbook.init("wine", run_id="one")
    with context.Pool(2, keep, (run,)) as pool:
        pool.map(log_kept, range(10))
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        list(executor.map(log_given, [run] * 10, range(10, 20)))
    process = context.Process(target=log_given, args=(run, 20))
    process.start()
    process.join()
    threads = [threading.Thread(target=log_given, args=(run, n)) for n in range(21, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_workers_of_every_kind_log_into_the_run(
    online: Path,
    stored: Stored,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    mode: str,
) -> None:
    monkeypatch.setenv("STUDBOOK_MODE", mode)
    program = tmp_path / "pools.py"
    program.write_text(_POOLS)
    ended = subprocess.run(
        [sys.executable, program, method], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    sync_pending()
    assert sorted(value for _, _, value in stored.points[RUN, "x"]) == list(range(30))
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED
    assert list(online.iterdir()) == []


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
    inside: bool,  # noqa: FBT001 - a parameter of the test
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


def test_a_disk_that_is_full_at_the_end_does_not_hide_why(offline: Path, stored: Stored) -> None:
    # A program fails for want of room, and so there is none for the record of it either.
    ended = run_to_its_end(
        "import errno, os, studbook, studbook.record_log as log\n"
        "run = studbook.init('wine', run_id='one')\n"
        "reserve = next(run._folder.path.glob('*.reserve'))\n"
        "write = os.write\n"
        "def write_while_there_is_room(descriptor, data):\n"
        "    if reserve.exists(): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "    return write(descriptor, data)\n"
        "os.write = write_while_there_is_room\n"
        "run.log({'x': 1})\n"
        "raise OSError(errno.ENOSPC, 'No space left on device')\n"
    )
    assert ended.stderr.count("cannot be written") == 1
    sync_pending()
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FAILED
    assert "No space left on device" in stored.runs[RUN].state_reason
    assert list(offline.iterdir()) == []


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


_KEEPING_MUCH = """
import os, resource, sys
import numpy, studbook
from matplotlib.figure import Figure
from sklearn.neighbors import KNeighborsClassifier

open("large.bin", "wb").write(os.urandom(200_000))
rows = numpy.random.rand(5000, 10)
model = KNeighborsClassifier().fit(rows, numpy.arange(5000) % 2)
figure = Figure(figsize=(20, 20))
figure.figimage(numpy.random.rand(1000, 1000))
run = studbook.init("wine", run_id="one")
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
for step in range(3):
    run.log({"x": step, "picture": studbook.Image(numpy.random.rand(300, 300, 3))}, step)
    run.log({"table": studbook.Table(["a"], [[text] for text in map(str, range(9000))])}, step)
    assert run.log_artifact("large.bin") == ["large.bin"]
    assert run.log_figure(figure, "figure.png") == "figure.png"
    assert run.log_model(model) == []
assert len(run.log_confusion_matrix(range(400), range(400))) < 2
print("trained")
"""


def test_large_things_on_a_full_disk_are_left_out(
    offline: Path, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("numpy", "matplotlib", "sklearn"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    ended = run_to_its_end(_KEEPING_MUCH)
    assert ended.stdout == "trained\n", ended.stderr
    assert ended.returncode == 0
    assert ended.stderr.count("cannot be written to") == 1
    assert ended.stderr.count("could not be copied") == 1
    sync_pending()
    assert [step for step, _, _ in stored.points[RUN, "x"]] == [0, 1, 2]
    # It was not copied, but lies there still.
    assert (RUN, "large.bin") in stored.artifacts
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED
