"""Runs side by side: what is the same and what is not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from service_chassis.caller import Principal
from tracking_service.records import (
    Code,
    CondaEnvironment,
    DatasetInput,
    Environment,
    MetricSummary,
    Param,
    Run,
    RunState,
)
from tracking_service.run_comparison import compare, without_rows

WINE = "workspaces/main/datasets/wine"


def run(**values: Any) -> Run:
    everything: dict[str, Any] = {
        "key": 1,
        "experiment_key": 1,
        "uid": "0" * 32,
        "name": "workspaces/main/experiments/wine/runs/r",
        "workspace": "main",
        "display_name": "",
        "description": "",
        "state": RunState.RUNNING,
        "state_reason": "",
        "creator": Principal(id="user:dev:ada", kind="user", display_name="Ada"),
        "start_us": None,
        "end_us": None,
        "create_us": 1,
        "update_us": 1,
        "delete_us": None,
        "heartbeat_us": 1,
        "revision": 1,
        "environment": None,
        "code": None,
    }
    return Run(**everything | values)


def with_params(**params: Any) -> Run:
    return run(params=tuple(Param(key, value) for key, value in sorted(params.items())))


def summary(key: str, last: float) -> MetricSummary:
    return MetricSummary(
        key=key,
        first=0.0,
        last=last,
        min=0.0,
        max=0.0,
        mean=0.0,
        count=1,
        finite_count=1,
        last_step=0,
        min_step=0,
        max_step=0,
        last_time_us=1,
    )


def with_metrics(**lasts: float) -> Run:
    return run(metrics=tuple(summary(key, last) for key, last in sorted(lasts.items())))


def with_data(*used: tuple[str, str, str, str]) -> Run:
    """A run that used datasets, each a role, a name, a version and a digest."""
    return run(
        dataset_inputs=tuple(
            DatasetInput(f"workspaces/main/datasets/{name}/versions/{version}", role, digest)
            for role, name, version, digest in used
        )
    )


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (1, 1, False),
        (1, 1.0, True),
        (1, True, True),
        ("1", 1, True),
        (math.nan, math.nan, False),
        (0.1, 0.1, False),
    ],
)
def test_parameters_differ_by_type_and_value(one: Any, other: Any, differs: bool) -> None:
    (row,) = compare([with_params(a=one), with_params(a=other)]).params

    assert row.differs is differs


def test_a_parameter_that_a_run_lacks_differs() -> None:
    a, b = compare([with_params(b=1), with_params(a=1, b=1), with_params(b=1)]).params

    assert (a.key, a.values, a.differs) == ("a", (None, 1, None), True)
    assert (b.key, b.values, b.differs) == ("b", (1, 1, 1), False)


def test_metrics_are_measured_against_the_baseline() -> None:
    runs = [with_metrics(loss=1.0), with_metrics(loss=0.25), with_metrics(loss=0.5)]

    assert compare(runs).metrics[0].deltas == (0.0, -0.75, -0.5)
    (row,) = compare(runs, baseline=1).metrics
    assert (row.deltas, row.differs) == ((0.75, 0.0, 0.25), True)


def test_there_is_no_delta_where_either_is_missing() -> None:
    acc, loss = compare([with_metrics(loss=1.0), with_metrics(acc=2.0)]).metrics

    assert all(math.isnan(delta) for delta in acc.deltas)
    assert loss.deltas[0] == 0.0
    assert math.isnan(loss.deltas[1])
    assert loss.summaries[1] is None
    assert acc.differs
    assert loss.differs


@pytest.mark.parametrize(
    ("lasts", "differs"),
    [
        ((1.0, 1.0, 1.0), False),
        ((math.nan, math.nan, math.nan), False),
        ((math.inf, math.inf, math.inf), False),
        ((math.nan, 1.0, math.nan), True),
        ((1.0, 1.0, math.nan), True),
        ((math.inf, -math.inf, math.inf), True),
    ],
)
def test_metrics_differ_by_their_last_value(lasts: tuple[float, ...], differs: bool) -> None:
    (row,) = compare([with_metrics(loss=last) for last in lasts]).metrics

    assert row.differs is differs


def test_datasets_are_set_side_by_side_by_role() -> None:
    one = with_data(("training", "wine", "v1", "aa"), ("test", "wine", "v3", "cc"))
    other = with_data(("training", "wine", "v2", "bb"), ("test", "wine", "v3", "cc"))

    test, training = compare([one, other]).datasets

    assert (test.role, test.dataset, test.differs) == ("test", WINE, False)
    assert (training.role, training.differs) == ("training", True)
    assert training.versions == (("v1",), ("v2",))
    assert training.digests == (("aa",), ("bb",))


def test_the_same_bytes_under_another_version_are_the_same_data() -> None:
    (row,) = compare(
        [
            with_data(("training", "wine", "v1", "aa")),
            with_data(("training", "wine", "renamed", "aa")),
        ]
    ).datasets

    assert not row.differs


def test_a_dataset_that_a_run_did_not_use_differs() -> None:
    both = with_data(("training", "wine", "v1", "aa"), ("training", "wine", "v2", "bb"))
    (row,) = compare([both, with_data(("training", "wine", "v1", "aa")), run()]).datasets

    assert row.versions == (("v1", "v2"), ("v1",), ())
    assert row.differs


def test_only_packages_that_differ_are_listed() -> None:
    one = run(environment=Environment(packages={"a": "1", "b": "1", "c": "1"}))
    other = run(environment=Environment(packages={"a": "1", "b": "2"}))

    rows = compare([one, other]).packages

    assert [(row.package, row.versions) for row in rows] == [("b", ("1", "2")), ("c", ("1", ""))]


def test_facts_of_environment_and_code() -> None:
    one = run(
        environment=Environment(
            python_version="3.11.7",
            cpu_count=8,
            command_line=("python", "train.py", "--name=a b"),
            accelerators=("A100", "A100"),
        ),
        code=Code(commit="a" * 40, branch="main"),
    )
    other = run(
        environment=Environment(python_version="3.12.1", cpu_count=8),
        code=Code(commit="a" * 40, branch="main", dirty=True),
    )

    rows = compare([one, other]).facts

    assert [(row.field, row.values, row.differs) for row in rows] == [
        ("code.branch", ("main", "main"), False),
        ("code.commit", ("a" * 40, "a" * 40), False),
        ("code.dirty", ("false", "true"), True),
        ("environment.accelerators", ("A100, A100", ""), True),
        ("environment.command_line", ("python train.py '--name=a b'", ""), True),
        ("environment.cpu_count", ("8", "8"), False),
        ("environment.python_version", ("3.11.7", "3.12.1"), True),
    ]


def test_runs_of_which_nothing_is_known_have_no_facts() -> None:
    assert compare([run(), run(code=Code(entry_point=""))]).facts == ()


def test_packages_of_conda_are_facts_where_all_have_conda() -> None:
    def conda(**packages: str) -> Run:
        return run(environment=Environment(conda=CondaEnvironment("base", packages)))

    one, other = conda(cudatoolkit="11.8=0", mkl="1=0"), conda(cudatoolkit="12.1=0", mkl="1=0")

    rows = {row.field: row for row in compare([one, other]).facts}
    assert set(rows) == {"environment.conda.name", "environment.conda.packages.cudatoolkit"}
    assert rows["environment.conda.packages.cudatoolkit"].values == ("11.8=0", "12.1=0")
    assert [row.field for row in compare([one, other, run()]).facts] == ["environment.conda.name"]


def test_code_is_compared_with_the_baseline() -> None:
    runs = [run(code=Code(commit=digit * 40, repository="r")) for digit in "aba"]

    ranges = [difference.commit_range for difference in compare(runs, baseline=1).code]

    assert ranges == [f"{'b' * 40}..{'a' * 40}", "", f"{'b' * 40}..{'a' * 40}"]


def test_what_the_rows_tell_is_left_out_of_the_runs() -> None:
    full = run(
        params=(Param("a", 1),),
        metrics=(summary("loss", 1.0),),
        dataset_inputs=(DatasetInput(f"{WINE}/versions/v1", "training", "aa"),),
        environment=Environment(
            python_version="3.11.7", packages={"a": "1"}, conda=CondaEnvironment("base", {"b": "1"})
        ),
        code=Code(commit="a" * 40, untracked_files=("x",), untracked_count=1),
        tags={"team": "plant"},
    )

    assert without_rows(full) == run(
        environment=Environment(python_version="3.11.7", conda=CondaEnvironment("base")),
        code=Code(commit="a" * 40, untracked_count=1),
        tags={"team": "plant"},
    )
