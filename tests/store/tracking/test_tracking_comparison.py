"""CompareRuns, as its contract promises."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from service_chassis.errors import StudbookError
from studbook.tracking.v1 import run_service_pb2
from tests.store.tracking.at_work import WINE, WORKSPACE, caller, param

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.store.tracking.at_work import Tracking

# Nested messages are written as dicts, which the stubs' annotations do not know of.
pb: Any = run_service_pb2
COMMIT, NEXT = "a" * 40, "b" * 40
REPOSITORY = "git@github.com:ada/wine.git"


def compare(tracking: Tracking, runs: Sequence[str], baseline: str = "") -> Any:
    return tracking.call("CompareRuns", pb.CompareRunsRequest(runs=runs, baseline=baseline))


def refusal(tracking: Tracking, runs: Sequence[str], baseline: str = "") -> StudbookError:
    with pytest.raises(StudbookError) as refused:
        compare(tracking, runs, baseline)
    return refused.value


@pytest.fixture
def statements(tracking: Tracking) -> Iterator[list[str]]:
    """The statements that the database is given."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    sa.event.listen(tracking.database.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(tracking.database.engine, "before_cursor_execute", note)


def test_runs_with_very_many_metrics_are_compared_few_at_a_time(tracking: Tracking) -> None:
    names = [tracking.run(name).name for name in "abc"]
    for name in names:
        metrics = {f"metric-{number:05}": [(1, 1.0)] for number in range(7000)}
        tracking.append(name, "w", 1, **metrics)
    refused = refusal(tracking, names)
    assert (refused.reason, refused.metadata["field"]) == ("FIELD_INVALID", "runs")
    assert "20000 metrics" in refused.message
    compared = compare(tracking, names[:2])
    assert len(compared.metrics) == 7000
    assert compared.ByteSize() < 4 * 1024 * 1024


def test_compare_shows_each_difference(tracking: Tracking) -> None:
    one, two = tracking.run("one").name, tracking.run("two").name
    tracking.log(one, params={"lr": 0.1, "seed": 1}, environment={"packages": {"a": "1", "b": "1"}})
    tracking.log(two, params={"lr": 0.2, "seed": 1}, environment={"packages": {"a": "1", "b": "2"}})
    tracking.append(one, loss=[(1, 0.5)], acc=[(1, 0.9)])
    tracking.append(two, loss=[(1, 0.25)])

    compared = compare(tracking, [two, one])

    assert [run.name for run in compared.runs] == [two, one]
    assert [(row.key, row.differs) for row in compared.params] == [("lr", True), ("seed", False)]
    assert list(compared.params[0].values) == [param("", 0.2).value, param("", 0.1).value]
    assert [row.key for row in compared.metrics] == ["acc", "loss"]
    assert [summary.count for summary in compared.metrics[0].summaries] == [0, 1]
    assert all(math.isnan(delta) for delta in compared.metrics[0].deltas)
    assert list(compared.metrics[1].deltas) == [0.0, 0.25]
    assert [(row.package, list(row.versions)) for row in compared.packages] == [("b", ["2", "1"])]


def test_the_baseline_is_the_first_run_unless_another_is_named(tracking: Tracking) -> None:
    names = [tracking.run(run_id).name for run_id in ("one", "two", "three")]
    for name, loss in zip(names, (1.0, 0.5, math.nan), strict=True):
        tracking.append(name, loss=[(1, loss)])

    first, second = compare(tracking, names), compare(tracking, names, names[1])

    assert (first.baseline_index, second.baseline_index) == (0, 1)
    assert list(first.metrics[0].deltas)[:2] == [0.0, -0.5]
    assert list(second.metrics[0].deltas)[:2] == [0.5, 0.0]
    assert math.isnan(second.metrics[0].deltas[2])
    assert second.metrics[0].differs


def test_what_is_the_same_in_all_runs_does_not_differ(tracking: Tracking) -> None:
    names = [tracking.run(run_id).name for run_id in ("one", "two")]
    for name in names:
        tracking.log(
            name,
            params={"lr": math.nan},
            environment={"python_version": "3.11.7", "packages": {"a": "1"}},
            code={"repository": REPOSITORY, "commit": COMMIT},
        )
        tracking.append(name, loss=[(1, math.nan)])

    compared = compare(tracking, names)

    rows = [*compared.params, *compared.metrics, *compared.facts]
    assert {"lr", "loss"} == {row.key for row in rows if hasattr(row, "key")}
    assert not any(row.differs for row in rows)
    assert not compared.packages
    assert [difference.same for difference in compared.code_differences] == [True, True]


def test_datasets_are_compared_by_role_and_bytes(tracking: Tracking) -> None:
    one, two = tracking.run("one").name, tracking.run("two").name
    old, new = tracking.dataset(data=b"old", version_id="v1"), tracking.dataset(data=b"new")
    for name, training in ((one, old), (two, new)):
        inputs = [
            {"dataset": training.name, "role": "training"},
            {"dataset": old.name, "role": "test"},
        ]
        tracking.log(name, dataset_inputs=inputs)

    test, training = compare(tracking, [one, two]).datasets

    assert (test.role, test.differs) == ("test", False)
    assert (training.role, training.differs) == ("training", True)
    assert training.dataset == f"{WORKSPACE}/datasets/wine"
    assert list(training.versions) == ["v1", new.name.rsplit("/", 1)[1]]
    assert list(training.digests) == [old.digest, new.digest]


def test_code_is_compared_with_the_baseline(tracking: Tracking) -> None:
    one, two, three = (tracking.run(run_id).name for run_id in ("one", "two", "three"))
    patch = {"dirty": True, "diff_digest": f"sha256:{'0' * 64}", "diff_artifact": "studbook/p"}
    tracking.log(one, code={"repository": REPOSITORY, "commit": COMMIT})
    tracking.log(two, code={"repository": REPOSITORY, "commit": NEXT})
    tracking.log(three, code={"repository": REPOSITORY, "commit": COMMIT, **patch})

    first, second, third = compare(tracking, [one, two, three]).code_differences

    assert first.same
    assert not second.same
    assert second.commit_range == f"{COMMIT}..{NEXT}"
    assert second.compare_url == f"https://github.com/ada/wine/compare/{COMMIT}..{NEXT}"
    assert (third.same, third.commit_range, third.diff_artifact) == (False, "", "studbook/p")


def test_facts_are_told_and_long_lists_are_not_repeated(tracking: Tracking) -> None:
    one, two = tracking.run("one").name, tracking.run("two").name
    tracking.log(
        one,
        environment={"python_version": "3.11.7", "packages": {"a": "1"}},
        code={"commit": COMMIT, "untracked_files": ["notes"], "untracked_count": 1},
    )

    compared = compare(tracking, [one, two])

    facts = {row.field: (list(row.values), row.differs) for row in compared.facts}
    assert facts["environment.python_version"] == (["3.11.7", ""], True)
    assert facts["code.untracked_count"] == (["1", ""], True)
    assert compared.runs[0].environment.python_version == "3.11.7"
    assert not compared.runs[0].environment.packages
    assert not compared.runs[0].code.untracked_files


def test_too_few_too_many_and_repeated_runs_are_refused(tracking: Tracking) -> None:
    name = tracking.run().name

    for runs, field in (
        ([name], "runs"),
        ([name, name], "runs[1]"),
        ([f"{WINE}/runs/r{i}" for i in range(101)], "runs"),
        ([name, "wine"], "runs[1]"),
    ):
        assert [fault.field for fault in refusal(tracking, runs).fields] == [field]
    assert refusal(tracking, [name, f"{WINE}/runs/none"]).reason == "NOT_FOUND"
    assert refusal(tracking, [name, f"{WORKSPACE}/experiments/no/runs/r"]).reason == "NOT_FOUND"


def test_a_baseline_that_is_none_of_the_runs_is_refused(tracking: Tracking) -> None:
    names = [tracking.run(run_id).name for run_id in ("one", "two", "three")]

    refused = refusal(tracking, names[:2], baseline=names[2])

    assert refused.reason == "FIELD_INVALID"
    assert refused.metadata == {"field": "baseline", "value": names[2]}
    assert "name one of runs" in refused.message


def test_each_of_the_runs_must_be_one_that_the_caller_may_read(tracking: Tracking) -> None:
    names = [tracking.run("one").name, tracking.run("two").name]
    request = pb.CompareRunsRequest(runs=names)

    with pytest.raises(StudbookError, match="two"):
        tracking.call("CompareRuns", request, caller(runs_read=names[0]))


def test_deleted_runs_and_runs_of_other_experiments_are_compared(tracking: Tracking) -> None:
    tracking.experiment(f"{WORKSPACE}/experiments/cheese")
    # The same id in both experiments.
    names = [tracking.run("r", f"{WORKSPACE}/experiments/{of}").name for of in ("cheese", "wine")]
    tracking.delete(names[0])

    assert [run.name for run in compare(tracking, names).runs] == names


def test_a_hundred_runs_are_read_in_as_many_queries_as_two(
    tracking: Tracking, statements: list[str]
) -> None:
    names = [tracking.run(f"r{index}").name for index in range(100)]
    for name in names:
        tracking.log(name, params={"lr": 0.1}, environment={"packages": {"a": "1"}})
        tracking.append(name, loss=[(1, 0.5)])

    counts = []
    for runs in (names[:2], names):
        statements.clear()
        compare(tracking, runs)
        counts.append(len(statements))

    assert counts[0] == counts[1] < 12
