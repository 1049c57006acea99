"""The columns of `studbook run ls`."""

from __future__ import annotations

import pytest
import typer

from studbook.cli import run_columns, run_mask
from studbook.tracking.v1 import metric_pb2, run_pb2
from tests.unit.cli.made_runs import make_full_run, make_run
from tracking_service.run_view import read_view


def row(columns: str, run: run_pb2.Run | None = None) -> list[str]:
    _, rows = run_columns.table_of(run_columns.read_columns(columns), [run or make_run()])
    return next(iter(rows))


def headings(columns: str, *runs: run_pb2.Run) -> list[str]:
    return run_columns.table_of(run_columns.read_columns(columns), runs)[0]


COLUMNS = (
    *run_columns.read_columns("run,name,state,state_reason,exit_code,signal,started,ended"),
    *run_columns.read_columns("duration,heartbeat,created,updated,deleted,creator,description"),
    *run_columns.read_columns(
        "commit,datasets,params.C,params.*,tags.team,tags.*,metrics.val/loss"
    ),
    *run_columns.read_columns("metrics.*.min,metrics.val/loss.count,datasets.training,datasets.*"),
    *run_columns.read_columns(r'metrics."val/loss".min,params."a\b",code.branch,code.*'),
    *run_columns.read_columns("environment.hostname,environment.*"),
)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.heading)
def test_what_a_column_shows_is_asked_for(column: run_columns.Column) -> None:
    whole, masked = make_full_run(), make_full_run()
    whole.params.add(key="a\\b").value.int_value = 7
    view = read_view(run_mask.read_mask([column]))
    masked.CopyFrom(whole)
    for field in view.unwanted:
        masked.ClearField(field)  # type: ignore[arg-type] # the stubs want literals
    for field, keys in view.keys.items():
        kept = {entry if field == "tags" else entry.key for entry in getattr(whole, field)}
        assert kept & keys
        if field != "tags":
            masked.ClearField(field)  # type: ignore[arg-type]
            entries = [entry for entry in getattr(whole, field) if entry.key in keys]
            getattr(masked, field).extend(entries)

    shown, shown_of_masked = (
        [list(row) for row in run_columns.table_of([column], [run])[1]] for run in (whole, masked)
    )
    assert shown == shown_of_masked
    assert view.unwanted


def test_columns_are_taken_from_params_tags_and_metric_summaries() -> None:
    assert row(
        "run,state,started,duration,creator,params.C,tags.team,metrics.val/loss,"
        "metrics.val/loss.min,metrics.val/loss.count,params.absent"
    ) == [
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


def test_columns_are_taken_from_data_code_and_environment() -> None:
    columns = (
        "datasets,datasets.training,datasets.test,commit,code.branch,code.dirty,code.commit,"
        "environment.hostname,environment.memory_bytes,environment.command_line,"
        "environment.accelerators,environment.conda"
    )
    assert row(columns, make_full_run()) == [
        "training=wine@0a1b",
        "wine@0a1b",
        "-",
        "c0ffeec0ffee (dirty)",
        "main",
        "yes",
        "c0ffee" * 6 + "c0ff",
        "gpu-3",
        str(16 << 30),
        "python train.py '--name=a b'",
        "NVIDIA A100, NVIDIA A100",
        "-",
    ]


def test_what_was_not_recorded_is_missing() -> None:
    columns = (
        "name,state_reason,exit_code,signal,started,ended,duration,heartbeat,deleted,"
        "description,commit,datasets,code.dirty,environment.cpu_count,params.C"
    )
    assert row(columns, run_pb2.Run(state=run_pb2.RUN_STATE_RUNNING)) == ["-"] * 15


def test_an_exit_code_of_zero_is_no_missing_one() -> None:
    assert row("exit_code") == ["0"]


def test_a_run_that_goes_on_lasts_until_it_was_last_heard_of() -> None:
    run = make_run()
    run.ClearField("end_time")

    assert row("duration,heartbeat", run) == ["2 min 03 s", "2026-03-03T14:07:04Z"]


def test_the_names_of_filters_are_columns_too() -> None:
    names = "display_name,start_time,end_time,heartbeat_time,create_time,update_time"

    assert headings(names) == names.split(",")
    assert row("display_name,start_time,end_time") == row("name,started,ended")


def test_figures_of_a_metric_with_their_steps() -> None:
    assert row('metrics.val/loss.min_step,metrics.val/loss.last_step,metrics."val/loss".min') == [
        "20",
        "30",
        "0.125",
    ]


def test_a_quoted_key_is_taken_as_it_stands() -> None:
    run = make_run()
    for key, last in (("a.min", 1.0), ("a", 2.0), ("b,c", 3.0), ("*", 4.0)):
        run.metrics.append(metric_pb2.MetricSummary(key=key, last=last, min=last / 2, count=1))

    assert row('metrics.a.min,metrics."a.min",metrics."a".min,metrics."b,c",metrics."*"', run) == [
        "1",
        "1",
        "1",
        "3",
        "4",
    ]


def test_a_star_gives_a_column_for_each_key_there_is() -> None:
    one, other = make_run(), make_run()
    other.params.append(run_pb2.Param(key="A", value=run_pb2.ParamValue(int_value=1)))
    one.metrics.append(metric_pb2.MetricSummary(key="val/acc", count=1))
    one.metrics.append(metric_pb2.MetricSummary(key="system/cpu", count=1))

    assert headings("run,params.*", one, other) == ["run", "params.A", "params.C"]
    assert headings("metrics.*", one) == ["metrics.val/acc", "metrics.val/loss"]
    assert headings("metrics.val/l*.min_step", one) == ["metrics.val/loss.min_step"]
    assert headings("metrics.system/*", one) == ["metrics.system/cpu"]
    assert headings("tags.none*", one) == []
    assert headings("datasets.*", make_full_run()) == ["datasets.training"]
    assert "environment.hostname" in headings("environment.*", one)
    assert headings("code.b*", one) == ["code.branch"]


@pytest.mark.parametrize(
    "typed",
    [
        "nonsense",
        "params",
        "params.",
        "lineage.x",
        "run,,state",
        "run,",
        "code.colour",
        "environment.packages",
        "environment.z*",
        'metrics."loss',
        'metrics."loss".median',
        'params."lr".min',
        'metrics."".min',
    ],
)
def test_a_column_that_does_not_exist_is_a_usage_error(typed: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"params\.KEY") as refusal:
        run_columns.read_columns(typed)

    assert "code.branch" in str(refusal.value)
    assert "min_step" in str(refusal.value)


@pytest.mark.parametrize(
    ("printed", "limit", "said"), [(2, 2, "The first 2; print more with --limit.\n"), (1, 2, "")]
)
def test_people_are_told_when_there_may_be_more(
    printed: int,
    limit: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")

    run_columns.note_when_cut(printed, limit)

    assert capsys.readouterr().err == said


def test_long_texts_are_cut_for_people_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_pb2.Run(name="workspaces/main/experiments/wine/runs/r", display_name="x" * 200)
    run.params.add(key="a").value.string_value = "y" * 200
    columns = "run,name,params.a"

    assert row(columns, run) == ["wine/r", "x" * 200, "y" * 200]
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    assert row(columns, run) == ["wine/r", "x" * 59 + "…", "y" * 59 + "…"]


def test_no_other_sign_than_the_star_stands_for_others() -> None:
    run = run_pb2.Run()
    for key in ("layers[0]", "layers[1]", "layers0", "x?y", "xzy"):
        run.params.add(key=key).value.int_value = 1

    assert headings("params.layers[*", run) == ["params.layers[0]", "params.layers[1]"]
    assert headings("params.*[0]", run) == ["params.layers[0]"]
    assert headings("params.x?*", run) == ["params.x?y"]
