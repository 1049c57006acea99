"""What the server does not take is noted, and takes nothing else with it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import studbook
from studbook.record_folder import RunFolder
from studbook.shipment import Shipment
from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from studbook.client import Client
    from tests.unit.sdk.runs.loopback_state import Stored

RUN = "workspaces/main/experiments/wine/runs/one"


def test_one_refused_parameter_is_the_only_one(offline: Path, stored: Stored) -> None:
    config = {f"p{number}": number for number in range(700)}
    with studbook.init("wine", run_id="one", config={**config, "refused": 1}):
        pass
    (synced,) = sync_pending()
    assert stored.params[RUN] == config
    assert len(synced.refusals) == 1
    assert synced.is_complete


def test_a_run_takes_as_many_parameters_as_there_is_room_for(offline: Path, stored: Stored) -> None:
    stored.most_params = 150
    with studbook.init("wine", run_id="one", config={f"p{n}": n for n in range(1000)}):
        pass
    (synced,) = sync_pending()

    assert synced.is_complete
    assert "Too many parameters" in synced.refusals[0]
    assert len(stored.params[RUN]) in {149, 150}
    assert stored.calls.count("LogBatch") < 100  # of those for which there is no room, few alone


def test_one_refused_metric_is_the_only_one(offline: Path, stored: Stored) -> None:
    stored.refused_keys = {"bad"}
    with studbook.init("wine", run_id="one") as run:
        for step in range(3000):
            run.log({"a": step, "bad": step, "c": step}, step)
    (synced,) = sync_pending()
    for key in ("a", "c"):
        assert [point[0] for point in stored.points[RUN, key]] == list(range(3000))
    assert (RUN, "bad") not in stored.points
    assert all(" points of bad: " in refusal for refusal in synced.refusals)
    assert sum(int(refusal.split()[0]) for refusal in synced.refusals) == 3000
    (kept,) = offline.glob("*/*.refused")
    assert len(list(map(json.loads, kept.read_text().splitlines()))) == len(synced.refusals)


def test_metrics_of_a_run_that_has_too_many_go_on(offline: Path, stored: Stored) -> None:
    stored.most_metrics = 101
    with studbook.init("wine", run_id="one") as run:
        for step in range(2000):
            run.log({"loss": step, f"loss of {step}": step}, step)
    (synced,) = sync_pending()

    assert synced.is_complete
    assert [point[0] for point in stored.points[RUN, "loss"]] == list(range(2000))
    assert len(stored.points) == 101
    assert sum(int(refusal.split()[0]) for refusal in synced.refusals) == 1900
    assert synced.refusals[0].endswith("Too many metrics.")
    # What there is no room for is noted in few pieces, and asked for as seldom.
    assert len(synced.refusals) < 30
    assert stored.calls.count("AppendMetrics") < 60


def test_a_limit_that_is_reached_is_one_warning(
    online: Path, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    stored.most_metrics = 11
    with studbook.init("wine", run_id="one") as run:
        for step in range(200):
            run.log({"loss": step, f"loss of {step}": step}, step)
    assert len(run.refusals) > 1
    (warning,) = caplog.messages
    assert "Too many metrics. It is kept in" in warning
    assert warning.endswith("and so is what else it does not take.")


def test_a_refusal_is_an_answer(offline: Path, stored: Stored, client: Client) -> None:
    stored.refused_keys = {"bad"}
    with studbook.init("wine", run_id="one") as run:
        run.log({"bad": 1.0})
    (folder,) = offline.iterdir()
    (chain,) = RunFolder(folder).chains()
    answered: list[str] = []

    shipment = Shipment.acquire(client, chain, lambda: answered.append(stored.calls[-1]))

    assert shipment is not None
    while shipment.advance():
        pass
    shipment.close()
    # Whoever waits for the end of the run is told that the server is there.
    assert "AppendMetrics" in answered
    assert len(shipment.take_refusals()) == 1


def test_a_batch_that_is_too_large_for_the_server_arrives_in_parts(
    offline: Path, stored: Stored
) -> None:
    stored.most_batch_bytes = 50_000
    with studbook.init("wine", run_id="one") as run:
        for step in range(2000):
            run.log({"a": step}, step)
        for number in range(40):
            run.log({f"{number}-{place}-{'k' * 240}": place for place in range(100)}, number)
        run.log({"a": 2000}, 2000)
    (synced,) = sync_pending()
    assert synced.refusals == []
    assert [point[0] for point in stored.points[RUN, "a"]] == list(range(2001))
    assert len(stored.points) == 4001
    assert all(len(points) == 1 for (_, key), points in stored.points.items() if key != "a")


def test_parts_that_were_cut_off_count_once(offline: Path, stored: Stored) -> None:
    stored.most_batch_bytes = 50_000
    stored.unavailable = {"AppendMetrics answer": 3}
    with studbook.init("wine", run_id="one") as run:
        for step in range(5000):
            run.log({"a": step, "b": step}, step)
    while not sync_pending()[0].is_complete:
        pass
    for key in "ab":
        assert [point[0] for point in stored.points[RUN, key]] == list(range(5000))


def test_records_that_cannot_be_read_do_not_hold_up_other_runs(
    offline: Path,
    stored: Stored,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # As a version of the client wrote it that did not look at names yet.
    with monkeypatch.context() as earlier:
        earlier.setattr("studbook.run_session.text_of", lambda text, _longest: text)
        studbook.init("wine", run_id="bad", name="\ud800").finish()
    assert any("bad" in str(path) for path in offline.iterdir())
    caplog.set_level(logging.WARNING)
    with studbook.init("wine", run_id="one"):
        pass
    synced = {entry.run: entry for entry in sync_pending()}
    assert isinstance(synced[RUN.replace("one", "bad")].problem, UnicodeEncodeError)
    assert synced[RUN].is_complete
    assert stored.runs[RUN].state == run_pb2.RUN_STATE_FINISHED


def test_a_record_that_no_reader_takes_is_not_written(
    offline: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("studbook.record_log.LARGEST_PAYLOAD", 5_000)
    with studbook.init("wine", run_id="one") as run:
        run.config["long"] = "x" * 10_000
        run.log({"a": 1})
    assert sum("cannot be written" in message for message in caplog.messages) == 1
    assert sync_pending()[0].is_complete
    assert [point[2] for point in stored.points[RUN, "a"]] == [1.0]
