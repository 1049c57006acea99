"""`studbook up` as a process: readiness, signals, and that nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from local_stack.child import is_serving
from tests.patience import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Up:
    """One `studbook up` on a folder of its own."""

    process: subprocess.Popen[str]
    ready_file: Path

    def wait_ready(self) -> dict[str, Any]:
        """The addresses, once everything serves."""
        wait_until(lambda: self.ready_file.exists() or self.process.poll() is not None)
        assert self.process.poll() is None
        return dict(json.loads(self.ready_file.read_text()))


def all_gone(addresses: dict[str, Any]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    ports = [addresses[name] for name in ("gateway", "tracking", "registry")]
    while any(is_serving(address) for address in ports):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def start(folder: Path) -> Up:
    ready_file = folder / "ready.json"
    command = [sys.executable, "-m", "studbook.cli", "up", "--port", "0"]
    command += ["--data", str(folder / "data"), "--ready-file", str(ready_file)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    return Up(process, ready_file)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = start(tmp_path)
    with running.process:
        yield running
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(PATIENCE_S)


def test_one_at_a_time_until_ctrl_c(up: Up, tmp_path: Path) -> None:
    addresses = up.wait_ready()
    assert addresses["pid"] == up.process.pid

    second = start(tmp_path)
    _, said = second.process.communicate(timeout=PATIENCE_S)
    assert second.process.returncode == 1
    assert "Another Studbook is running" in said

    # What a terminal does: the signal goes to the whole process group.
    os.killpg(up.process.pid, signal.SIGINT)
    printed, said = up.process.communicate(timeout=PATIENCE_S)

    assert up.process.returncode == 0
    assert "studbook login --as ada" in printed
    assert "Stopped; the data is kept." in said
    assert not up.ready_file.exists()
    assert all_gone(addresses)


def test_nothing_outlives_a_killed_supervisor(up: Up) -> None:
    addresses = up.wait_ready()

    up.process.kill()
    up.process.wait(PATIENCE_S)

    assert all_gone(addresses)
