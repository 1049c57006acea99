"""The lines that `studbook run tail` prints."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from studbook.cli import run_tail
from studbook.cli.run_following import Follower, Missed, ServerAway, ServerBack, StateSeen, Step
from studbook.exceptions import Unavailable
from studbook.tracking.v1 import metric_pb2, run_pb2

TIME_US = 1_772_546_700_500_000


def make_run(**values: Any) -> run_pb2.Run:
    run = run_pb2.Run(name="workspaces/main/experiments/wine/runs/otter", **values)
    run.start_time.FromJsonString("2026-03-03T14:05:00Z")
    if run.state != run_pb2.RUN_STATE_RUNNING:
        run.end_time.FromJsonString("2026-03-03T14:07:00.25Z")
    return run


def printed(capsys: pytest.CaptureFixture[str], *events: Any, as_json: bool = False) -> str:
    for event in events:
        run_tail.print_event(event, as_json=as_json)
    return capsys.readouterr().out


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")


def test_a_step_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step(TIME_US, 12, {"acc": math.nan, "val/loss": 0.25})

    assert printed(capsys, step) == "2026-03-03T14:05:00.500000Z\t12\tacc=nan\tval/loss=0.25\n"


@pytest.mark.usefixtures("terminal")
def test_steps_for_people_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys,
        Step(TIME_US, 9, {"acc": 0.5, "loss": 1.25e-07}),
        Step(TIME_US, 10, {"acc": 0.512345, "loss": 1.0}),
    ).splitlines()

    assert lines == [
        "14:05:00Z       9  acc=0.5         loss=1.25e-07",
        "14:05:00Z      10  acc=0.512345    loss=1",
    ]


@pytest.mark.parametrize(
    ("run", "piped"),
    [
        (make_run(state=run_pb2.RUN_STATE_RUNNING), "2026-03-03T14:05:00.000000Z\tstate\trunning"),
        (
            make_run(state=run_pb2.RUN_STATE_FINISHED, exit_code=0),
            "2026-03-03T14:07:00.250000Z\tstate\tfinished",
        ),
        (
            make_run(state=run_pb2.RUN_STATE_KILLED, state_reason="a\tb", signal="SIGTERM"),
            "2026-03-03T14:07:00.250000Z\tstate\tkilled\ta b\tSIGTERM",
        ),
    ],
)
def test_a_state_when_piped(
    capsys: pytest.CaptureFixture[str], run: run_pb2.Run, piped: str
) -> None:
    assert printed(capsys, StateSeen(run)) == piped + "\n"


@pytest.mark.usefixtures("terminal")
def test_a_state_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    failed = make_run(
        state=run_pb2.RUN_STATE_FAILED, state_reason="ValueError: \x1b[31mx", exit_code=1
    )

    line = printed(capsys, StateSeen(failed))

    assert line == "14:07:00Z  failed: ValueError: \ufffd[31mx (exit code 1)\n"


def test_a_deleted_run_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(state=run_pb2.RUN_STATE_RUNNING)
    run.delete_time.FromJsonString("2026-03-03T14:06:00Z")

    assert "14:06:00.000000Z\tstate\tdeleted\n" in printed(capsys, StateSeen(run))


def test_programs_get_an_object_on_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys,
        Step(TIME_US, 12, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.25}),
        StateSeen(make_run(state=run_pb2.RUN_STATE_FINISHED, exit_code=0)),
        as_json=True,
    ).splitlines()

    step, state = map(json.loads, lines)
    assert step == {
        "time": "2026-03-03T14:05:00.500000Z",
        "step": "12",
        "metrics": {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.25},
    }
    assert (state["state"], state["exitCode"]) == ("RUN_STATE_FINISHED", 0)


def test_what_is_no_answer_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    for event in (ServerAway(Unavailable("127.0.0.1:9 cannot be reached")), ServerBack()):
        run_tail.print_event(event, as_json=False)
    run_tail.print_event(Missed("loss"), as_json=False)
    said = capsys.readouterr()

    assert said.out == ""
    assert "127.0.0.1:9 cannot be reached\n" in said.err
    assert "answers again" in said.err
    assert "Points of loss" in said.err


def test_a_time_beyond_the_calendar_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, Step(2**62, 1, {"a": 1.0})) == f"{2**62}\t1\ta=1\n"


def followed(run: run_pb2.Run) -> Follower:
    follower = Follower(None, run.name)  # type: ignore[arg-type] # has looked already
    follower.run = run
    return follower


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (run_pb2.RUN_STATE_FINISHED, 0),
        (run_pb2.RUN_STATE_FAILED, 1),
        (run_pb2.RUN_STATE_KILLED, 1),
        (run_pb2.RUN_STATE_PREEMPTED, 1),
        (run_pb2.RUN_STATE_RUNNING, 1),
    ],
)
def test_only_a_run_that_finished_is_a_success(
    state: run_pb2.RunState.ValueType, code: int
) -> None:
    assert run_tail.close(followed(make_run(state=state)), ()) == code


def test_keys_that_the_run_never_had_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = [metric_pb2.MetricSummary(key=key, count=1) for key in ("loss", "system/cpu")]
    run = make_run(state=run_pb2.RUN_STATE_FINISHED, metrics=metrics)

    run_tail.close(followed(run), ["loss", "acc", "none*"])

    assert capsys.readouterr().err == "The run has no metric acc; it has loss.\n"
