"""Workers of every kind log into the run of the process that started them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from studbook.record_folder import run_folders
from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2
from tests.unit.sdk.runs.programs import RUN, run_to_its_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored


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
