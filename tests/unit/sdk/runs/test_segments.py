"""A long run: its records lie in segments, which go when the server has them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import studbook
from studbook.record_folder import run_folders
from studbook.record_keeper import RecordKeeper
from studbook.shipment import Shipment
from studbook.sync import sync_pending

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.client import Client
    from studbook.record_chain import RecordChain
    from tests.unit.sdk.runs.loopback_state import Stored

RUN = "workspaces/main/experiments/wine/runs/one"


@pytest.fixture
def long_run(offline: Path, monkeypatch: pytest.MonkeyPatch) -> RecordChain:
    """A run of 2000 points in many small segments."""
    monkeypatch.setenv("STUDBOOK_SEGMENT_BYTES", "5000")
    with studbook.init("wine", run_id="one", config={"lr": 0.1}) as run:
        for step in range(2000):
            run.log({"x" if step % 3 else "y": step}, step=step)
            if step % 500 == 0:
                run.config[f"at-{step}"] = step
    ((chain,),) = (folder.chains() for folder in run_folders(offline))
    assert len(chain.segments()) > 10
    return chain


def arrived(stored: Stored) -> dict[str, list[int]]:
    return {key: [step for step, *_ in points] for (_, key), points in stored.points.items()}


EXPECTED = {
    "x": [step for step in range(2000) if step % 3],
    "y": [step for step in range(2000) if step % 3 == 0],
}


def test_all_segments_arrive_in_order(long_run: RecordChain, stored: Stored) -> None:
    assert sync_pending()[0].is_complete
    assert arrived(stored) == EXPECTED
    assert stored.params[RUN] == {"lr": 0.1, "at-0": 0, "at-500": 500, "at-1000": 1000} | {
        "at-1500": 1500
    }
    assert len(stored.sequences) == 1
    assert not long_run.folder.exists()


def test_segments_go_while_the_rest_is_sent(
    long_run: RecordChain, client: Client, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_POINTS_PER_BATCH", "100")
    most = len(long_run.segments())
    # Whoever sends is replaced after each step, as after a crash.
    for _ in range(100_000):
        shipment = Shipment.acquire(client, long_run)
        assert shipment is not None
        going_on = shipment.advance()
        left = len(long_run.segments())
        assert left <= most
        most = left
        shipment.close()
        if not going_on:
            break
    assert most == 1
    assert arrived(stored) == EXPECTED


def test_a_running_run_keeps_only_what_is_not_sent(
    online: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_SEGMENT_BYTES", "5000")
    with studbook.init("wine", run_id="one") as run:
        for step in range(2000):
            run.log({"x": step}, step=step)
        run.flush()
        ((chain,),) = (folder.chains() for folder in run_folders(online))
        assert len(chain.segments()) == 1
        assert chain.is_written()
        run.log({"x": 2000}, step=2000)
    assert arrived(stored) == {"x": list(range(2001))}


def test_a_lost_answer_in_any_segment_counts_once(
    long_run: RecordChain, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_POINTS_PER_BATCH", "50")
    stored.unavailable["AppendMetrics answer"] = 3
    assert sync_pending()[0].is_complete
    assert arrived(stored) == EXPECTED


def test_what_the_disk_does_not_have_yet_is_synchronised_once(
    long_run: RecordChain, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for thread in threading.enumerate():
        if thread.name == "studbook-keeper":
            thread.join()
    synchronised: list[int] = []
    monkeypatch.setattr("os.fdatasync", synchronised.append)
    (folder,) = run_folders(offline)
    keeper = RecordKeeper(folder)
    keeper.keep()
    assert len(synchronised) == len(long_run.segments())
    keeper.keep()
    assert len(synchronised) == len(long_run.segments())
