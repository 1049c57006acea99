"""The answer of `studbook run compare`, as lines for pipes and as tables for people."""

from __future__ import annotations

import math
from typing import Any

import pytest

from studbook.cli import run_comparison
from studbook.tracking.v1 import metric_pb2, run_pb2
from studbook.tracking.v1 import run_service_pb2 as pb
from tests.unit.cli.made_runs import make_run

A, B = "a" * 40, "b" * 40
URL = f"https://github.com/plant/wine/compare/{A}..{B}"


def value(number: float) -> run_pb2.ParamValue:
    return run_pb2.ParamValue(double_value=number)


def metric(key: str, lasts: list[float | None], baseline: int = 0) -> pb.ComparedMetric:
    held = [math.nan if last is None else last for last in lasts]
    return pb.ComparedMetric(
        key=key,
        summaries=[
            metric_pb2.MetricSummary(key=key, last=last or 0, count=int(last is not None))
            for last in lasts
        ],
        deltas=[last - held[baseline] for last in held],
        differs=len(set(lasts)) > 1,
    )


def comparison(**values: Any) -> pb.CompareRunsResponse:
    runs = [make_run(run_id) for run_id in "abc"]
    runs[0].code.commit, runs[1].code.commit, runs[2].code.commit = A, B, A
    runs[2].state = run_pb2.RUN_STATE_FAILED
    return pb.CompareRunsResponse(
        runs=runs,
        params=[
            pb.ComparedParam(
                key="C", values=[value(1), value(2), run_pb2.ParamValue()], differs=True
            ),
            pb.ComparedParam(key="seed", values=[value(7)] * 3),
        ],
        metrics=[
            metric("accuracy", [0.9, 0.95, None]),
            metric("loss", [0.5, 0.5, 0.5]),
            metric("system/cpu", [1.0, 2.0, 3.0]),
        ],
        datasets=[
            pb.ComparedDataset(
                role="test",
                dataset="workspaces/main/datasets/wine",
                versions=["v0"] * 3,
                digests=["sha256:00"] * 3,
            ),
            pb.ComparedDataset(
                role="training",
                dataset="workspaces/main/datasets/wine",
                versions=["v1", "v2", ""],
                digests=["sha256:01", "sha256:02", ""],
                differs=True,
            ),
        ],
        packages=[pb.ComparedPackage(package="numpy", versions=["2.0", "2.0", ""])],
        facts=[
            pb.ComparedFact(field="code.commit", values=[A, B, A], differs=True),
            pb.ComparedFact(field="environment.hostname", values=["x"] * 3),
            pb.ComparedFact(
                field="environment.python_version", values=["3.11", "3.12", ""], differs=True
            ),
        ],
        code_differences=[
            pb.CodeDifference(same=True),
            pb.CodeDifference(commit_range=f"{A}..{B}", compare_url=URL),
            pb.CodeDifference(diff_artifact="studbook/code.patch"),
        ],
        **values,
    )


def lines(
    capsys: pytest.CaptureFixture[str], *, everything: bool = False, **values: Any
) -> list[str]:
    run_comparison.print_comparison(comparison(**values), everything=everything)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_FORCE_TTY", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")


def test_only_what_differs_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys) == [
        "\trun\twine/a\twine/b\twine/c",
        "run\tname\ta display\tb display\tc display",
        "run\tstate\tfinished\tfinished\tfailed",
        "param\tC\t1.0\t2.0\t-",
        "metric\taccuracy\t0.9\t0.95\t-",
        "delta\taccuracy\t+0\t+0.05\t-",
        "dataset\ttraining wine\tv1\tv2\t-",
        "digest\ttraining wine\tsha256:01\tsha256:02\t-",
        "package\tnumpy\t2.0\t2.0\t-",
        f"code\tagainst the baseline\tsame\t{A}..{B}\tother changes",
        "code\tpatch\t-\t-\tstudbook/code.patch",
        f"code\tcommit\t{A}\t{B}\t{A}",
        "environment\tpython_version\t3.11\t3.12\t-",
    ]


def test_everything_is_printed_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, everything=True)

    for line in (
        "param\tseed\t7.0\t7.0\t7.0",
        "run\tduration\t2 min 05 s\t2 min 05 s\t2 min 05 s",
        "metric\tloss\t0.5\t0.5\t0.5",
        "metric\tsystem/cpu\t1\t2\t3",
        "dataset\ttest wine\tv0\tv0\tv0",
        "environment\thostname\tx\tx\tx",
    ):
        assert line in printed


@pytest.mark.usefixtures("terminal")
def test_people_see_differences_beside_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    printed = [line.split("  ") for line in lines(capsys, baseline_index=0)]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in printed]

    assert ["Metrics (last value, and the difference to a)"] in cells
    assert ["accuracy", "0.9", "0.95 (+0.05)", "-"] in cells
    assert ["against the baseline", "same", f"{'a' * 12}..{'b' * 12}", "other changes"] in cells
    assert ["commit", "a" * 12, "b" * 12, "a" * 12] in cells
    assert ["b", URL] in cells


@pytest.mark.usefixtures("terminal")
def test_the_baseline_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Metrics (last value, and the difference to c)" in lines(capsys, baseline_index=2)


@pytest.mark.usefixtures("terminal")
def test_people_are_told_of_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    run_comparison.print_comparison(comparison(), everything=False)

    assert capsys.readouterr().err == (
        "\nThe same in all runs: 1 parameter, 1 metric, 1 dataset. Print everything with --all.\n"
        "Metrics of the machine, 1 of them, are printed with --all, too.\n"
    )

    run_comparison.print_comparison(comparison(), everything=True)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("terminal")
def test_runs_of_several_experiments_are_called_by_both_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    compared = comparison()
    compared.runs[1].name = "workspaces/main/experiments/cheese/runs/b"
    run_comparison.print_comparison(compared, everything=False)

    assert capsys.readouterr().out.splitlines()[2].split() == ["wine/a", "cheese/b", "wine/c"]


@pytest.mark.usefixtures("terminal")
def test_where_the_terminal_is_narrow_there_are_several_tables_with_the_baseline(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    runs = [make_run(f"run-number-{number}") for number in range(5)]
    params = [pb.ComparedParam(key="C", values=map(value, range(5)), differs=True)]
    compared = pb.CompareRunsResponse(runs=runs, params=params, baseline_index=1)
    run_comparison.print_comparison(compared, everything=False)
    printed = capsys.readouterr().out.splitlines()

    tables = [line.split() for line in printed if line.startswith("C ")]
    assert tables == [["C", "1.0", "0.0", "2.0"], ["C", "1.0", "3.0", "4.0"]]
    assert all(len(line) <= 50 for line in printed)


@pytest.mark.usefixtures("terminal")
def test_long_texts_are_cut_so_that_runs_stand_side_by_side(
    capsys: pytest.CaptureFixture[str],
) -> None:
    compared = comparison()
    compared.facts.add(
        field="environment.command_line", values=["x" * 500, "y\n" * 300, ""], differs=True
    )
    run_comparison.print_comparison(compared, everything=False)
    printed = capsys.readouterr().out

    assert "x" * 35 + "…" in printed
    assert "x" * 36 not in printed


def test_the_same_code_is_printed_only_with_everything(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [make_run(run_id) for run_id in "ab"]
    same = [pb.CodeDifference(same=True, diff_artifact="studbook/code.patch")] * 2
    compared = pb.CompareRunsResponse(runs=runs, code_differences=same)

    run_comparison.print_comparison(compared, everything=False)
    assert "code\t" not in capsys.readouterr().out
    run_comparison.print_comparison(compared, everything=True)
    assert "code\tagainst the baseline\tsame\tsame\n" in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_runs_that_do_not_differ(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run_pb2.Run(name=make_run(run_id).name) for run_id in "ab"]
    run_comparison.print_comparison(pb.CompareRunsResponse(runs=runs), everything=False)

    assert capsys.readouterr().err == "Nothing differs.\n"


@pytest.mark.parametrize(
    ("widths", "baseline", "room", "tables"),
    [
        ([10, 10, 10], 0, 100, [[0, 1, 2]]),
        ([10, 10, 10], 0, 20, [[0, 1], [0, 2]]),
        ([10, 10, 10], 2, 20, [[2, 0], [2, 1]]),
        ([10, 10, 10], 1, 29, [[1, 0], [1, 2]]),
        ([10, 10, 10], 1, 30, [[0, 1, 2]]),
        ([50, 50, 50], 0, 20, [[0, 1], [0, 2]]),
        ([10, 10], 1, 5, [[1, 0]]),
    ],
)
def test_each_run_stands_in_one_table_and_the_baseline_in_all(
    widths: list[int], baseline: int, room: int, tables: list[list[int]]
) -> None:
    assert list(run_comparison._fitting(widths, baseline, room)) == tables
