"""Processes that lack what others have: a home, a folder, threads, open files. They train on."""

from __future__ import annotations

import resource
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from studbook.exceptions import Unavailable
from studbook.process_room import require_room
from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2
from tests.unit.sdk.runs.programs import RUN, run_to_its_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored

_TRAINING = """
run = studbook.init("wine", run_id="one")
for step in range(5):
    run.log({"x": step}, step=step)
run.finish()
print("trained")
"""


def train(beginning: str) -> str:
    """Run a program that trains; returns its warnings."""
    ended = run_to_its_end(f"import studbook\n{beginning}\n{_TRAINING}")
    assert ended.stdout == "trained\n", ended.stderr
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr
    return ended.stderr


def is_complete(stored: Stored) -> bool:
    steps = [step for step, *_ in stored.points.get((RUN, "x"), [])]
    return steps == list(range(5)) and stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED


# As for a user id that the machine does not know, which containers are often given.
_HOMELESS = """
import pathlib
def homeless(self): raise RuntimeError("Could not determine home directory.")
pathlib.Path.home = classmethod(homeless)
pathlib.Path.expanduser = homeless
"""


@pytest.mark.parametrize("configured", [None, "~nobody-there/records"])
def test_a_user_without_a_home_is_recorded_elsewhere(
    online: Path, stored: Stored, configured: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STUDBOOK_DIR", "STUDBOOK_CONFIG_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    if configured:
        monkeypatch.setenv("STUDBOOK_DIR", configured)
    warnings = train(_HOMELESS)
    assert warnings.count("Studbook:") == 1
    assert "no home folder is known; set HOME or STUDBOOK_DIR" in warnings
    assert is_complete(stored)


def test_a_current_folder_that_is_gone_is_done_without(
    online: Path, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_SYSTEM_METRICS", "on")
    train(f"import os; os.mkdir({str(tmp_path / 'g')!r}); os.chdir({str(tmp_path / 'g')!r})\n"
          "os.rmdir(os.getcwd())")  # fmt: skip
    assert is_complete(stored)
    # Only what the folder is needed for is missing.
    assert (RUN, "system/memory.percent") in stored.points


def test_a_relative_folder_for_records_below_one_that_is_gone(
    online: Path, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_DIR", "records")
    warnings = train(
        f"import os; os.mkdir({str(tmp_path / 'g')!r}); os.chdir({str(tmp_path / 'g')!r})\n"
        "os.rmdir(os.getcwd())"
    )
    assert warnings.count("records go to") == 1
    assert is_complete(stored)


def test_profiles_that_cannot_be_read_are_told_of_by_the_thread_that_sends(
    online: Path, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_CONFIG_DIR", str(tmp_path))
    monkeypatch.delenv("STUDBOOK_ADDRESS")
    (tmp_path / "profiles.json").write_text("{")
    warnings = train("")
    assert "profiles.json cannot be read" in warnings
    assert not stored.calls


def test_a_process_that_may_start_no_thread_is_sent_later(online: Path, stored: Stored) -> None:
    warnings = train(
        "import threading\n"
        'def none(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = none"
    )
    assert warnings.count("can't start new thread") == 2  # at the beginning, and of the rest
    assert sync_pending()[0].is_complete
    assert is_complete(stored)


def test_a_process_that_may_open_no_file_is_sent_later(online: Path, stored: Stored) -> None:
    warnings = train(
        "import os, resource, concurrent.futures.thread, studbook.run, studbook.shipper\n"
        "studbook.run.FINISH_PATIENCE_S = 3.0\n"
        "start = studbook.shipper.Shipper.start\n"
        "def start_poor(self):\n"
        "    if self._thread.ident is None:\n"
        "        next_file = os.open(os.devnull, os.O_RDONLY)\n"
        "        os.close(next_file)\n"
        "        resource.setrlimit(resource.RLIMIT_NOFILE, (next_file, next_file))\n"
        "    start(self)\n"
        "studbook.shipper.Shipper.start = start_poor"
    )
    assert "no room for 16 more open files: Too many open files. Raise its limit" in warnings
    assert sync_pending()[0].is_complete
    assert is_complete(stored)


def test_there_is_room_or_an_error_that_says_what_to_do() -> None:
    require_room()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, hard))
    try:
        with pytest.raises(Unavailable) as caught:
            require_room()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "open files" in str(caught.value)
    assert "ulimit -n" in caught.value.next_step


def test_the_end_of_a_program_is_no_want_of_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        message = "can't create new thread at interpreter shutdown"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    require_room()


def test_what_the_end_of_a_program_keeps_back_is_sent_later(online: Path, stored: Stored) -> None:
    warnings = train(
        "import studbook.delivery\n"
        "def none(self, record):\n"
        '    raise RuntimeError("can\'t create new thread at interpreter shutdown")\n'
        "deliver = studbook.delivery.Delivery.deliver\n"
        "studbook.delivery.Delivery.deliver = lambda self, record: (\n"
        "    deliver if type(record).__name__ == 'RunStart' else none)(self, record)\n"
    )
    assert "did not take" not in warnings
    assert "End runs with run.finish()" in warnings
    assert sync_pending()[0].is_complete
    assert is_complete(stored)


def test_a_folder_that_is_logged_last_is_sent_at_the_end_of_the_program(
    online: Path, stored: Stored, tmp_path: Path
) -> None:
    files = tmp_path / "many"
    files.mkdir()
    for number in range(20):
        (files / f"{number}.txt").write_text(f"{number}\n" * 1000)
    ended = run_to_its_end(
        "import studbook\n"
        'run = studbook.init("wine", run_id="one")\n'
        f"run.log_artifact({str(files)!r})\n"
    )
    assert ended.returncode == 0
    if sys.version_info < (3, 12):  # from which on no thread begins then
        assert ended.stderr == ""
    else:
        sync_pending()
    assert sum(path.startswith("many/") for _, path in stored.artifacts) == 20
