"""What programs print becomes a file of their run, and arrives where it should all the same."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import studbook
from studbook.record_folder import run_folders
from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored

RUN = "workspaces/main/experiments/wine/runs/one"
BEGIN = (
    "import os, subprocess, sys, studbook\n"
    "run = studbook.init('wine', run_id='one', console=True)\n"
)


def start(program: str, **options: Any) -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    return process


def run(program: str) -> tuple[str, str]:
    """Run to the end; what arrived at stdout and stderr."""
    process = start(program)
    out, problems = process.communicate(timeout=60)
    assert process.returncode == 0, problems
    return out, problems


def console(stored: Stored) -> str:
    artifact = stored.artifacts[RUN, "studbook/console.log"]
    assert artifact.media_type == "text/plain; charset=utf-8"
    return (stored.blobs / artifact.digest.partition(":")[2]).read_text()


def test_all_who_print_are_heard_and_passed_on(online: Path, stored: Stored) -> None:
    out, problems = run(
        "print('from Python')\n"
        "print('to stderr', file=sys.stderr)\n"
        "subprocess.run(['echo', 'from a child'])\n"
        "os.write(1, b'from a descriptor\\n')\n"
        "if os.fork() == 0:\n"
        "    print('from a fork', flush=True); os._exit(0)\n"
        "os.wait()\n"
        "import ctypes; ctypes.CDLL(None).puts(b'from C')\n"
        "run.finish()\n"
        "print('after the end')\n"
    )
    expected = {"from Python", "from a child", "from a descriptor", "from a fork", "from C"}
    assert set(out.splitlines()) == expected | {"after the end"}
    assert problems == "to stderr\n"
    assert set(console(stored).splitlines()) == expected | {"to stderr"}
    assert list(online.iterdir()) == []


def test_progress_bars_are_folded_and_colours_taken_out(online: Path, stored: Stored) -> None:
    out, _ = run(
        "for n in range(0, 101, 10): print(f'\\r\\x1b[32m{n}%\\x1b[0m', end='')\n"
        "print('\\nghp_0123456789abcdefghijABCDEFGHIJ456789')\nrun.finish()"
    )
    assert "\x1b[32m50%\x1b[0m" in out
    assert console(stored) == "100%\n***\n"


def test_much_more_than_a_pipe_holds_arrives_whole(online: Path, stored: Stored) -> None:
    out, _ = run("for n in range(200_000): print(f'line {n:06d}')")
    lines = [f"line {n:06d}" for n in range(200_000)]
    assert out.splitlines() == lines
    assert console(stored).splitlines() == lines


def test_only_beginning_and_end_are_kept_of_too_much(
    online: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_CONSOLE_BYTES", "20000")
    run("for n in range(100_000): print(f'line {n:06d}')")
    kept = console(stored)
    assert len(kept) <= 20_000
    assert kept.startswith("line 000000\n")
    assert kept.endswith("line 099999\n")
    assert "STUDBOOK_CONSOLE_BYTES" in kept


def test_code_that_holds_the_interpreter_while_it_prints_goes_on(
    online: Path, stored: Stored
) -> None:
    # PyDLL keeps the interpreter's lock during the call.
    run(
        "import ctypes\nlibrary = ctypes.PyDLL(None)\ntext = b'x' * 1000 + b'\\n'\n"
        "for _ in range(5000): library.write(1, text, 1001)\n"
    )
    assert console(stored) == ("x" * 1000 + "\n") * 5000


def test_a_terminal_stays_a_terminal(online: Path, stored: Stored) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + "print(sys.stdout.isatty(), sys.stderr.isatty())"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while b"\n" not in seen:
        seen += os.read(ours, 1000)
    assert process.wait(60) == 0
    os.close(ours)
    assert seen == b"True True\r\n"
    assert console(stored) == "True True\n"


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
def test_closed_streams_are_no_hindrance(
    online: Path, stored: Stored, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    program = BEGIN + "\nfor s in (sys.stdout, sys.stderr): print('x', file=s) if s else None\n"
    (tmp_path / "program.py").write_text(program + "run.finish()\n")
    redirections = " ".join(f"{number}>&-" for number in closed)
    done = subprocess.run(  # noqa: S602 - a shell closes streams
        f"{sys.executable} {tmp_path}/program.py {redirections}", shell=True, check=True
    )
    assert done.returncode == 0
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED
    assert len(closed) == 2 or console(stored) == "x\n"


def test_what_a_killed_program_printed_is_sent_later(offline: Path, stored: Stored) -> None:
    process = start("print('last words', flush=True)\nimport time\ntime.sleep(600)")
    assert process.stdout is not None
    assert process.stdout.readline() == "last words\n"
    process.send_signal(signal.SIGKILL)
    # The relay passes on what is left, and closes the streams when it has written it down.
    process.communicate(timeout=60)
    assert [entry.problem for entry in sync_pending()] == [None]
    assert console(stored) == "last words\n"
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_KILLED
    assert list(offline.iterdir()) == []


def test_a_program_goes_on_printing_without_the_relay(online: Path, stored: Stored) -> None:
    process = start(
        "from pathlib import Path\n"
        "def relays():\n"
        "    found = []\n"
        "    for path in Path('/proc').glob('[0-9]*/cmdline'):\n"
        "        try: text = path.read_bytes()\n"
        "        except OSError: continue\n"
        "        if b'console_relay' in text and str(run._folder.path).encode() in text:\n"
        "            found.append(int(path.parent.name))\n"
        "    return found\n"
        "print('before', flush=True)\n"
        "for number in relays(): os.kill(number, 9)\n"
        "for n in range(20_000): print('x' * 100, n)\n"
        "run.finish()\nprint('end', flush=True)"
    )
    out, problems = process.communicate(timeout=60)
    assert process.returncode == 0, problems
    assert "it is not recorded" in problems
    lines = out.splitlines()
    assert lines[-1] == "end"
    assert len(lines) > 19_000  # what the relay had in hand is gone with it
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED


def test_a_running_program_shows_what_it_printed_so_far(
    online: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_CONSOLE_INTERVAL", "0.2")
    process = start("print('so far', flush=True)\ninput()", stdin=subprocess.PIPE)
    arrived = threading.Event()
    while not arrived.wait(0.05):
        if (RUN, "studbook/console.log") in stored.artifacts:
            assert console(stored) == "so far\n"
            arrived.set()
        assert process.poll() is None
    process.communicate("\n", timeout=60)


def test_streams_of_notebooks_are_wrapped(
    offline: Path,
    stored: Stored,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(type(sys.stdout), "__module__", "ipykernel.iostream", raising=False)
    before = sys.stdout
    one = studbook.init("wine", run_id="one", console=True)
    assert sys.stdout is not before
    print("in a cell")
    sys.stdout.writelines(["a\n", "b\n"])
    print("wrong", file=sys.stderr)
    one.finish()
    assert sys.stdout is before
    print("later")
    assert capsys.readouterr() == ("in a cell\na\nb\nlater\n", "wrong\n")
    sync_pending()
    assert console(stored) == "in a cell\na\nb\nwrong\n"


def test_without_asking_nothing_is_recorded(online: Path, stored: Stored) -> None:
    with studbook.init("wine", run_id="one"):
        print("unheard")
    assert (RUN, "studbook/console.log") not in stored.artifacts
    assert run_folders(online) == []
