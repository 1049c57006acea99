"""Supervising one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING

import pytest

from local_stack.child import Child, ChildError, ChildSpec, is_serving
from local_stack.ports import Ports
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
MODULE = "tests.unit.local_stack.health_only_service"


class Nursery:
    """Makes children and sees to it that none stays behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: Queue[str] = Queue()
        self.children: list[Child] = []

    def child(self, **environment: str) -> Child:
        address = f"127.0.0.1:{Ports.from_base(0).chosen().gateway}"
        settings = {"LISTEN": address, "PYTHONPATH": str(ROOT), **environment}
        spec = ChildSpec("nursling", MODULE, address, settings)
        child = Child(spec, self.folder / "nursling.log", self.said.put)
        self.children.append(child)
        return child


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path)
    yield nursery
    for child in nursery.children:
        child.stop()


def exists(pid: int) -> bool:
    """Whether a process exists that we have, if it is ours, not yet taken note of the end of."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_serves_until_it_is_stopped(nursery: Nursery) -> None:
    child = nursery.child()
    child.spawn()
    child.wait_serving(30)

    child.stop()

    assert not exists(child.pid)
    assert not is_serving(child.spec.address)


def test_comes_back_after_a_crash(nursery: Nursery) -> None:
    child = nursery.child()
    child.spawn()
    child.wait_serving(30)
    child.supervise()
    first = child.pid

    child.kill()

    assert "signal 9" in nursery.said.get(timeout=30)
    child.wait_serving(30)
    assert child.pid != first


def test_failure_at_start_shows_the_log(nursery: Nursery) -> None:
    child = nursery.child(FAIL_AT_START="1")
    child.spawn()

    with pytest.raises(ChildError, match=r"exit code 1[\s\S]*the database is on fire"):
        child.wait_serving(30)


def test_stopping_interrupts_the_restarts(nursery: Nursery) -> None:
    child = nursery.child(FAIL_AT_START="1")
    child.spawn()
    child.supervise()
    nursery.said.get(timeout=30)

    child.stop()

    assert not exists(child.pid)


def test_not_started_has_no_process_id(nursery: Nursery) -> None:
    with pytest.raises(ChildError):
        _ = nursery.child().pid


_PARENT = f"""
import sys
import time
from pathlib import Path
from local_stack.child import Child, ChildSpec
address, log = sys.argv[1:]
spec = ChildSpec("nursling", "{MODULE}", address, {{"LISTEN": address}})
child = Child(spec, Path(log), print)
child.spawn()
child.wait_serving(30)
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_child_ends_with_a_killed_parent(tmp_path: Path) -> None:
    address = f"127.0.0.1:{Ports.from_base(0).chosen().gateway}"
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, address, str(tmp_path / "log")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        assert is_serving(address)

        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: not is_serving(address))
