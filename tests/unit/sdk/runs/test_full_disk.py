"""A disk that is full costs a training what does not fit, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2
from tests.unit.sdk.runs.programs import RUN, run_to_its_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored


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
