"""A run from init to finish, against a peer on loopback."""

from __future__ import annotations

import json
import logging
import math
import threading
from typing import TYPE_CHECKING

import pytest

import studbook
from studbook import run as run_module
from studbook.exceptions import FailedPrecondition, InvalidArgument, Unavailable
from studbook.logged_values import NotLoggable
from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2
from tests.unit.sdk.runs.programs import run_to_its_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored


def values(stored: Stored, run: str, key: str) -> list[tuple[int, float]]:
    return [(step, value) for step, _, value in stored.points.get((run, key), [])]


def test_everything_that_was_logged_arrives(online: Path, stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    with studbook.init("wine", config={"lr": 0.1, "net": {"depth": 3}}, tags={"a": 1}) as run:
        for step in range(5):
            studbook.log({"loss": 1 / (step + 1), "val": {"acc": step / 10}})
        run.config["seed"] = 7
        run.set_tags({"b": "two"})
        run.use_dataset(b"a,b\n1,2\n", name="wine", role="training", source="memory")
        run.log_artifact(tmp_path / "model.bin", "files/model.bin")
    assert stored.params[run.name] == {"lr": 0.1, "net.depth": 3, "seed": 7}
    assert values(stored, run.name, "loss") == [(s, 1 / (s + 1)) for s in range(5)]
    assert values(stored, run.name, "val/acc") == [(s, s / 10) for s in range(5)]
    kept = stored.runs[run.name]
    assert kept.state == run_pb2.RUN_STATE_FINISHED
    assert dict(kept.tags) == {"a": "1", "b": "two"}
    assert kept.environment.packages["protobuf"]
    assert kept.environment.python_version
    assert [role for _, _, role in stored.inputs] == ["training"]
    artifact = stored.artifacts[run.name, "files/model.bin"]
    assert (stored.blobs / artifact.digest[7:]).read_bytes() == b"weights"
    assert set(stored.authorizations) == {"Bearer a-token"}
    assert list(online.iterdir()) == []


def test_nan_and_infinities_are_points(online: Path, stored: Stored) -> None:
    with studbook.init("wine") as run:
        for step, value in enumerate([math.nan, math.inf, -math.inf, -0.0]):
            run.log({"x": value}, step=step)
    found = [value for _, value in values(stored, run.name, "x")]
    assert math.isnan(found[0])
    assert found[1:3] == [math.inf, -math.inf]
    assert math.copysign(1, found[3]) == -1


def test_steps_come_in_any_order(online: Path, stored: Stored) -> None:
    with studbook.init("wine") as run:
        run.log({"x": 1}, step=10)
        run.log({"x": 2}, step=-3)
        run.log({"x": 3}, step=10)
        run.log({"x": 4})
    assert values(stored, run.name, "x") == [(10, 1), (-3, 2), (10, 3), (11, 4)]


def test_what_is_no_number_is_left_out_with_one_warning(
    online: Path, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    endless: dict[str, object] = {}
    endless["again"] = endless
    with studbook.init("wine") as run:
        for _ in range(3):
            run.log({"good": 1, "text": "high", "none": None, "list": [1, 2]})
        run.log(endless)
        run.log({"x": 1}, step="soon")  # type: ignore[arg-type]
        run.log({"x": 1}, step=2**63)
        run.log({"x" * 257: 1, "nul\x00": 1, "": 1})
        run.log(None)  # type: ignore[arg-type]
    assert len(values(stored, run.name, "good")) == 3
    assert {key for _, key in stored.points} == {"good"}
    assert sum("'text'" in message for message in caplog.messages) == 1


def test_scalars_of_libraries_are_numbers(online: Path, stored: Stored) -> None:
    numpy = pytest.importorskip("numpy")
    with studbook.init("wine") as run:
        run.log({"a": numpy.float32(0.5), "b": numpy.array([2]), "c": True}, step=numpy.int64(3))
    assert values(stored, run.name, "a") == [(3, 0.5)]
    assert values(stored, run.name, "b") == [(3, 2.0)]
    assert values(stored, run.name, "c") == [(3, 1.0)]


def test_threads_log_into_one_run(online: Path, stored: Stored) -> None:
    with studbook.init("wine") as run:

        def work(number: int) -> None:
            for step in range(500):
                run.log({f"of-{number}": step}, step=step)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in range(4):
        found = values(stored, run.name, f"of-{number}")
        assert found == [(step, float(step)) for step in range(500)]


def test_a_lost_answer_does_not_count_points_twice(online: Path, stored: Stored) -> None:
    stored.unavailable["AppendMetrics answer"] = 2
    with studbook.init("wine") as run:
        for step in range(100):
            run.log({"x": step})
    assert values(stored, run.name, "x") == [(step, float(step)) for step in range(100)]


def test_an_outage_costs_nothing_but_time(
    records: Path, stored: Stored, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "FINISH_PATIENCE_S", 0.5)
    with studbook.init("wine", address="127.0.0.1:1") as run:
        run.log({"x": 1})
    assert not stored.runs
    synced = sync_pending(address=f"127.0.0.1:{port}")
    assert [(entry.run, entry.problem) for entry in synced] == [(run.name, None)]
    assert values(stored, run.name, "x") == [(0, 1.0)]
    assert stored.runs[run.name].state == run_pb2.RUN_STATE_FINISHED
    assert list(records.iterdir()) == []


def test_flush_says_what_stands_in_the_way(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = studbook.init("wine", address="127.0.0.1:1")
    with pytest.raises(Unavailable):
        run.flush(timeout=0.3)
    monkeypatch.setattr(run_module, "FINISH_PATIENCE_S", 0.1)
    run.finish()


def test_offline_runs_wait_for_sync(offline: Path, stored: Stored) -> None:
    with studbook.init("wine", run_id="one") as run:
        run.log({"x": 1})
        with pytest.raises(FailedPrecondition):
            run.flush()
    with studbook.init("wine", run_id="one") as run:  # resumed, still offline
        run.log({"x": 2}, step=1)
    assert not stored.calls
    assert len(sync_pending()) == 1
    assert values(stored, run.name, "x") == [(0, 1.0), (1, 2.0)]
    assert stored.runs[run.name].state == run_pb2.RUN_STATE_FINISHED
    assert list(offline.iterdir()) == []
    assert sync_pending() == []


def test_records_are_sent_from_wherever_they_were_moved_to(
    offline: Path, stored: Stored, tmp_path: Path
) -> None:
    # As from a machine of a cluster that has no network.
    (tmp_path / "model.bin").write_bytes(b"weights")
    with studbook.init("wine", run_id="one") as run:
        run.log({"x": 1})
        run.log_artifact(tmp_path / "model.bin")
    elsewhere = offline.rename(tmp_path / "elsewhere")
    (synced,) = sync_pending(root=elsewhere)
    assert (synced.refusals, synced.is_complete) == ([], True)
    digest = stored.artifacts[run.name, "model.bin"].digest
    assert (stored.blobs / digest[7:]).read_bytes() == b"weights"
    assert list(elsewhere.iterdir()) == []


def test_sync_leaves_running_processes_alone(offline: Path, stored: Stored) -> None:
    run = studbook.init("wine")
    run.log({"x": 1})
    synced = sync_pending()
    assert [entry.busy_writers for entry in synced] == [1]
    assert not stored.runs
    run.finish()
    assert sync_pending()[0].is_complete


def test_an_error_makes_the_run_failed_without_its_secrets(online: Path, stored: Stored) -> None:
    message = "cannot open https://ada:hunter2@example.com/data"
    with pytest.raises(OSError, match="cannot open"), studbook.init("wine") as run:
        raise OSError(message)
    kept = stored.runs[run.name]
    assert kept.state == run_pb2.RUN_STATE_FAILED
    assert kept.state_reason == "OSError: cannot open https://example.com/data"


def test_ctrl_c_makes_the_run_killed(online: Path, stored: Stored) -> None:
    with pytest.raises(KeyboardInterrupt), studbook.init("wine") as run:
        raise KeyboardInterrupt
    assert stored.runs[run.name].state == run_pb2.RUN_STATE_KILLED
    assert stored.runs[run.name].state_reason == "KeyboardInterrupt"


def test_a_refused_record_does_not_hold_up_the_others(
    online: Path, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    with studbook.init("wine", config={"refused": 1}) as run:
        run.config["good"] = 2
    assert stored.params[run.name] == {"good": 2}
    assert stored.runs[run.name].state == run_pb2.RUN_STATE_FINISHED
    assert len(run.refusals) == 1
    assert any("did not take the params" in message for message in caplog.messages)


def test_a_parameter_never_changes(
    online: Path, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    with studbook.init("wine", config={"lr": 0.1}) as run:
        run.config["lr"] = 0.2
        run.config["lr"] = 0.1
    assert stored.params[run.name] == {"lr": 0.1}
    assert sum("the parameter lr" in message for message in caplog.messages) == 1


def test_a_file_counts_as_it_is_when_it_is_logged(
    offline: Path, stored: Stored, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.bin"
    with studbook.init("wine") as run:
        checkpoint.write_bytes(b"after epoch 1")
        run.log_artifact(checkpoint, "epoch-1.bin")
        run.log_artifact(checkpoint, "same-bytes.bin")
        checkpoint.write_bytes(b"after epoch 2")
        run.log_artifact(checkpoint, "epoch-2.bin")
        checkpoint.unlink()
    sync_pending()
    for path, content in (
        ("epoch-1.bin", b"after epoch 1"),
        ("same-bytes.bin", b"after epoch 1"),
        ("epoch-2.bin", b"after epoch 2"),
    ):
        digest = stored.artifacts[run.name, path].digest
        assert (stored.blobs / digest[7:]).read_bytes() == content


def test_a_model_is_stored_and_registered(online: Path, stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"weights")
    with studbook.init("wine") as run:
        run.log_model(tmp_path / "weights.bin", register_as="wine-cultivar", version="1.0.0")
    version = stored.versions["workspaces/main/models/wine-cultivar/versions/1.0.0"]
    assert [file.path for file in version.files] == ["weights.bin"]
    assert run.refusals == []


def test_parents_of_a_model_are_named_when_it_is_registered(
    online: Path, stored: Stored, tmp_path: Path
) -> None:
    (tmp_path / "weights.bin").write_bytes(b"weights")
    base = f"https://hub.example/base@sha256:{'a' * 64}"
    with studbook.init("wine") as run:
        model = tmp_path / "weights.bin"
        with pytest.raises(InvalidArgument):
            run.log_model(model, register_as="wine", version="1.1.0", parents=["wine@production"])
        run.log_model(model, register_as="wine", version="1.1.0", parents=["wine@1.0.0", base])
    named = stored.parents["workspaces/main/models/wine/versions/1.1.0"]
    assert [(one.version, one.uri, one.digest) for one in named] == [
        ("workspaces/main/models/wine/versions/1.0.0", "", ""),
        ("", "https://hub.example/base", f"sha256:{'a' * 64}"),
    ]
    assert run.refusals == []


def test_a_refused_registration_does_not_fail_the_run(
    online: Path, stored: Stored, tmp_path: Path
) -> None:
    (tmp_path / "weights.bin").write_bytes(b"weights")
    stored.refuse_versions = True
    with studbook.init("wine") as run:
        run.log_model(tmp_path / "weights.bin", register_as="wine-cultivar", version="1.0.0")
    assert stored.runs[run.name].state == run_pb2.RUN_STATE_FINISHED
    assert "1.0.1" in run.refusals[0]


def test_an_estimator_is_saved(online: Path, stored: Stored) -> None:
    joblib = pytest.importorskip("joblib")
    linear = pytest.importorskip("sklearn.linear_model")
    model = linear.LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
    with studbook.init("wine") as run:
        assert run.log_model(model) == ["model/model.joblib"]
        with pytest.raises(TypeError, match="not an estimator"):
            run.log_model(object())
    digest = stored.artifacts[run.name, "model/model.joblib"].digest
    assert joblib.load(stored.blobs / digest[7:]).predict([[2.0]])[0] == pytest.approx(5)


def test_the_confusion_matrix_is_data_and_drawing(online: Path, stored: Stored) -> None:
    with studbook.init("wine") as run:
        paths = run.log_confusion_matrix(["a", "b", "a"], ["a", "a", "a"], labels=["b", "a"])
        with pytest.raises(ValueError, match="labels does not have"):
            run.log_confusion_matrix(["a"], ["b"], labels=["a"])
    assert paths[0] == "confusion_matrix.json"
    digest = stored.artifacts[run.name, "confusion_matrix.json"].digest
    content = json.loads((stored.blobs / digest[7:]).read_bytes())
    assert content["labels"] == ["b", "a"]
    assert content["counts"] == [[0, 1], [0, 2]]
    drawing = stored.artifacts[run.name, paths[1]]
    assert drawing.media_type == "image/png"
    assert (stored.blobs / drawing.digest[7:]).read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_takes_nothing_more(
    online: Path, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    run = studbook.init("wine")
    run.finish()
    run.log({"x": 1})
    run.finish("failed")
    run.flush()
    assert stored.runs[run.name].state == run_pb2.RUN_STATE_FINISHED
    assert not stored.points
    assert any("is finished" in message for message in caplog.messages)


def test_logging_without_a_run_is_one_warning(records: Path) -> None:
    ended = run_to_its_end("import studbook\nfor _ in range(3): studbook.log({'x': 1})")
    assert ended.returncode == 0
    assert ended.stderr.count("no run is active") == 1


def test_an_unwritable_folder_is_one_warning(
    online: Path,
    stored: Stored,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    online.write_text("not a folder")
    caplog.set_level(logging.WARNING)
    with studbook.init("wine") as run:
        run.log({"x": 1})
    assert values(stored, run.name, "x") == [(0, 1.0)]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"experiment": "Wine"},
        {"experiment": "wine", "run_id": "../x"},
        {"experiment": "wine", "address": "http://example.com"},
        {"experiment": "wine", "mode": "sometimes"},
        {"experiment": "wine", "workspace": "a/b"},
    ],
)
def test_what_is_malformed_is_told_at_once(records: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        studbook.init(**wrong)  # type: ignore[arg-type]
    assert not records.exists()


def test_config_must_be_named_values(offline: Path) -> None:
    with pytest.raises(NotLoggable):
        studbook.init("wine", config=["lr", 0.1])
