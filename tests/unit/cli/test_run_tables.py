"""Runs and comparisons as text."""

import math

import pytest
import typer

from studbook.cli import run_comparison, run_tables
from studbook.tracking.v1 import metric_pb2, run_pb2, run_service_pb2

RUN = "workspaces/main/experiments/wine/runs"


def make_run(run_id: str = "otter") -> run_pb2.Run:
    run = run_pb2.Run(
        name=f"{RUN}/{run_id}",
        display_name=f"{run_id} display",
        state=run_pb2.RUN_STATE_FINISHED,
        params=[run_pb2.Param(key="C", value=run_pb2.ParamValue(double_value=0.5))],
        tags={"team": "cellar"},
        metrics=[metric_pb2.MetricSummary(key="val/loss", last=0.25, min=0.125, count=4)],
    )
    run.start_time.FromJsonString("2026-03-03T14:05:00.75Z")
    run.end_time.FromJsonString("2026-03-03T14:07:05.75Z")
    run.creator.id = "user:dev:ada"
    run.creator.display_name = "Ada"
    return run


def test_columns_are_taken_from_params_tags_and_metric_summaries() -> None:
    wanted = run_tables.read_columns(
        "run,state,started,duration,creator,params.C,tags.team,metrics.val/loss,"
        "metrics.val/loss.min,metrics.val/loss.count,params.absent"
    )
    (row,) = run_tables.run_rows([make_run()], wanted)
    assert row == [
        "wine/otter",
        "finished",
        "2026-03-03T14:05:00Z",
        "2 min 05 s",
        "Ada",
        "0.5",
        "cellar",
        "0.25",
        "0.125",
        "4",
        "-",
    ]


@pytest.mark.parametrize("typed", ["nonsense", "params", "params.", "lineage.x", "run,,state"])
def test_a_column_that_does_not_exist_is_a_usage_error(typed: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"params\.KEY"):
        run_tables.read_columns(typed)


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (run_pb2.ParamValue(string_value="adam"), "adam"),
        (run_pb2.ParamValue(int_value=3), "3"),
        (run_pb2.ParamValue(double_value=3.0), "3.0"),
        (run_pb2.ParamValue(bool_value=False), "False"),
        (run_pb2.ParamValue(), "-"),
    ],
)
def test_parameters_are_printed_in_the_type_they_were_logged_in(
    value: run_pb2.ParamValue, printed: str
) -> None:
    assert run_tables.param_text(value) == printed


def test_a_state_that_is_newer_than_the_client_is_printed_as_its_number() -> None:
    run = run_pb2.Run()
    run.MergeFromString(run_pb2.Run(state=run_pb2.RUN_STATE_KILLED).SerializeToString())
    assert run_tables.state_text(run.state) == "killed"
    run.MergeFromString(b"\x28\x63")
    assert run_tables.state_text(run.state) == "state 99"


def test_a_run_is_printed_with_everything_that_was_recorded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run()
    run.dataset_inputs.add(
        dataset="workspaces/main/datasets/wine/versions/0a1b",
        role="training",
        digest="sha256:" + "0a" * 32,
    )
    run.code.MergeFrom(run_pb2.Code(commit="c0ffee" * 7, dirty=True, entry_point="train.py"))
    run_tables.print_run(run)
    printed = capsys.readouterr().out
    for line in (
        "Run\twine/otter",
        "Created by\tAda",
        "Code\tc0ffeec0ffee (dirty) train.py",
        "C\t0.5",
        "val/loss\t0.25\t0.125\t0\t0\t4",
        "training\twine@0a1b\tsha256:" + "0a" * 32,
    ):
        assert line in printed.splitlines()


def comparison() -> run_service_pb2.CompareRunsResponse:
    def value(number: float) -> run_pb2.ParamValue:
        return run_pb2.ParamValue(double_value=number)

    summaries = [
        metric_pb2.MetricSummary(key="accuracy", last=0.9, count=5),
        metric_pb2.MetricSummary(key="accuracy", last=0.95, count=5),
        metric_pb2.MetricSummary(key="accuracy"),
    ]
    return run_service_pb2.CompareRunsResponse(
        runs=[make_run("a"), make_run("b"), make_run("c")],
        params=[
            run_service_pb2.ComparedParam(
                key="C", values=[value(1), value(2), run_pb2.ParamValue()], differs=True
            ),
            run_service_pb2.ComparedParam(key="seed", values=[value(7)] * 3),
        ],
        metrics=[
            run_service_pb2.ComparedMetric(
                key="accuracy", summaries=summaries, deltas=[0.0, 0.05, math.nan]
            )
        ],
        packages=[run_service_pb2.ComparedPackage(package="numpy", versions=["2.0", "2.0", ""])],
    )


def test_a_comparison_shows_what_differs_and_metrics_against_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_comparison.print_comparison(comparison(), everything=False)
    lines = capsys.readouterr().out.splitlines()
    assert "\trun\twine/a\twine/b\twine/c" in lines
    assert "param\tC\t1.0\t2.0\t-" in lines
    assert "metric\taccuracy\t0.9\t0.95 (+0.05)\t-" in lines
    assert "package\tnumpy\t2.0\t2.0\t-" in lines
    assert not any("seed" in line or "\tstate\t" in line for line in lines)


def test_a_comparison_of_everything_also_shows_what_is_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_comparison.print_comparison(comparison(), everything=True)
    lines = capsys.readouterr().out.splitlines()
    assert "param\tseed\t7.0\t7.0\t7.0" in lines
    assert "run\tstate\tfinished\tfinished\tfinished" in lines


def test_people_see_headings_and_are_told_of_what_was_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    run_comparison.print_comparison(comparison(), everything=False)
    printed = capsys.readouterr()
    assert "Parameters\n" in printed.out
    assert "1 parameter is the same in all runs; --all prints it too." in printed.err
