"""No process is forked in the middle of an import or a call of a thread of Studbook."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from studbook.fork_gate import calling, importing
from tests.unit.sdk.runs.programs import run_to_its_end

if TYPE_CHECKING:
    from pathlib import Path


def fork_and_wait() -> int:
    """Fork a child that ends at once; returns its exit code."""
    child = os.fork()
    if child == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_forking_waits_until_an_import_is_done() -> None:
    inside, forked, done = threading.Event(), threading.Event(), threading.Event()
    was_forked_inside = []

    def work() -> None:
        with importing():
            inside.set()
            was_forked_inside.append(forked.wait(0.3))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    assert fork_and_wait() == 7
    forked.set()
    thread.join()
    assert was_forked_inside == [False]
    assert done.is_set()


def test_forking_waits_for_a_call_for_a_moment_only() -> None:
    inside, over = threading.Event(), threading.Event()

    def work() -> None:
        with calling():
            inside.set()
            over.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    begun = time.monotonic()
    codes = [fork_and_wait() for _ in range(20)]
    took_s = time.monotonic() - begun
    over.set()
    thread.join()
    assert codes == [7] * 20
    # All of them together: one call holds up no more than one moment.
    assert took_s < 20


def test_a_thread_that_is_inside_may_fork() -> None:
    with importing(), calling():
        assert fork_and_wait() == 7
    assert fork_and_wait() == 7


# Whatever is imported by a thread of Studbook is named, unless forking waits for it.
_WATCHED = """
import sys, threading
import studbook
from studbook import fork_gate

class Watch:
    def find_spec(self, name, path=None, target=None):
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            if thread.ident not in fork_gate._gate._inside:
                print(f"{thread.name} imports {name}")

sys.meta_path.insert(0, Watch())
with open("model.bin", "wb") as file:
    file.write(b"weights")
with studbook.init("wine", config={"lr": 0.1}, tags={"a": 1}, console=True) as run:
    run.log({"x": 1})
    run.use_dataset(b"1,2", name="numbers")
    run.log_artifact("model.bin")
    run.log_model("model.bin", register_as="m", version="1.0.0", parents=["m@0.9.0"])
    sys.stdout.flush()
"""


def test_threads_import_nothing_while_a_process_may_be_forked(online: Path, tmp_path: Path) -> None:
    ended = run_to_its_end(f"import os; os.chdir({str(tmp_path)!r})\n{_WATCHED}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
