"""How much may be stored, and what happens when it is more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from service_chassis.errors import Code, StudbookError
from studbook.tracking.v1 import metric_service_pb2, run_pb2, run_service_pb2
from tests.store.tracking import collecting
from tests.store.tracking.at_work import GRACE_S, WINE, Tracking, batch, upload_messages
from tests.store.tracking.collecting import collect, refusal_of, stored, usage
from tracking_service.artifact_limits import ArtifactLimits
from tracking_service.metric_limits import MetricLimits
from tracking_service.run_limits import RunLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from service_chassis.database import Database

LIMITS = ArtifactLimits(artifact_bytes=100, workspace_bytes=250, run_files=3)
METRIC_LIMITS = MetricLimits(points_per_batch=100_000, run_metrics=3)
RUN_LIMITS = RunLimits(param_bytes=20, inputs=2, answer_bytes=3000)
POINT = [(1, 1.0)]


@pytest.fixture
def tracking(database_factory: Callable[[str], Database], tmp_path: Path) -> Tracking:
    tracking = Tracking(
        database_factory("tracking_service"),
        tmp_path / "artifacts",
        LIMITS,
        metric_limits=METRIC_LIMITS,
        run_limits=RUN_LIMITS,
    )
    tracking.experiment()
    return tracking


def refused(work: Callable[[], Any]) -> StudbookError:
    with pytest.raises(StudbookError) as refusal:
        work()
    assert (refusal.value.code, refusal.value.reason) == (
        Code.RESOURCE_EXHAUSTED,
        "QUOTA_EXCEEDED",
    )
    return refusal.value


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.upload(run, b"a" * 100)

    refusal = refused(lambda: tracking.call("Upload", upload_messages(run, b"b" * 101)[:1]))

    assert refusal.metadata == {"limit": "artifact_bytes", "allowed": "100", "wanted": "101"}
    assert "Split it" in refusal.message
    assert collecting.unfinished(tracking) == 0
    assert len(stored(tracking)) == 1


def test_a_size_that_no_disk_has_is_refused(tracking: Tracking) -> None:
    run = tracking.run().name

    refusal = refused(lambda: tracking.upload(run, b"a", size_bytes=2**63 - 1))

    assert refusal.metadata["wanted"] == str(2**63 - 1)
    assert stored(tracking) == set()


def test_a_workspace_is_full_when_it_is_full(tracking: Tracking) -> None:
    run = tracking.run().name
    for name in (b"a", b"b"):
        tracking.put(run, {name.decode(): name * 100})
    # What is there already takes no room again.
    tracking.put(run, {"copy": b"a" * 100})

    refusal = refused(lambda: tracking.upload(run, b"c" * 51))

    assert refusal.metadata == {"limit": "workspace_bytes", "allowed": "250", "wanted": "251"}
    assert usage(tracking) == {"main": 200}
    tracking.upload(run, b"c" * 50)
    other = tracking.run(parent=tracking.experiment("workspaces/b/experiments/e").name).name
    tracking.upload(other, b"c" * 100)
    assert usage(tracking) == {"main": 250, "b": 100}


def test_collected_bytes_make_room(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"x": b"a" * 100, "y": b"b" * 100})
    tracking.upload(run, b"c" * 50)
    tracking.record(run, {"x": b"c" * 50}, allow_overwrite=True)
    assert refusal_of(lambda: tracking.upload(run, b"d" * 100)) == "QUOTA_EXCEEDED"

    collecting.pass_time(tracking, 2 * GRACE_S)
    collect(tracking, GRACE_S, GRACE_S)

    tracking.put(run, {"z": b"d" * 100})
    assert usage(tracking) == {"main": 250}


def test_uploads_at_once_do_not_get_in_side_by_side(tracking: Tracking) -> None:
    run = tracking.run().name

    with ThreadPoolExecutor(6) as threads:
        refusals = list(
            threads.map(
                lambda number: refusal_of(lambda: tracking.upload(run, bytes([number]) * 100)),
                range(6),
            )
        )

    assert sorted(refusals) == ["", "", *["QUOTA_EXCEEDED"] * 4]
    assert usage(tracking) == {"main": 200}
    # Those that were found to be too many only at the end belong to nobody, and go.
    collecting.pass_time(tracking, 2 * GRACE_S)
    collect(tracking, GRACE_S, GRACE_S)
    assert stored(tracking) == set()


def test_a_run_has_so_many_files(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.put(run, {"a": b"1", "b": b"1"})

    refusal = refused(lambda: tracking.record(run, {"c": b"1", "d": b"1"}))

    assert refusal.metadata == {"limit": "run_files", "allowed": "3", "wanted": "4"}
    assert "archive" in refusal.message
    tracking.record(run, {"a": b"1", "c": b"1"})
    tracking.upload(run, b"2")
    tracking.record(run, {"a": b"2"}, allow_overwrite=True)
    assert refusal_of(lambda: tracking.record(run, {"d": b"1"})) == "QUOTA_EXCEEDED"


def test_parameters_of_a_run_take_so_many_bytes(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.log(run, params={"lr": 0.001, "née": "é" * 3})

    refusal = refused(lambda: tracking.log(run, params={"a": 1, "depth": True}))

    assert refusal.metadata == {
        "limit": "run_param_bytes",
        "allowed": "20",
        "wanted": "28",
        "stored": "17",
    }
    assert 'params["depth"]' in refusal.message
    # What is there already takes no more, and so does what still fits.
    tracking.log(run, params={"lr": 0.001, "x": 42})
    assert [param.key for param in tracking.get(run).params] == ["lr", "née", "x"]
    long = run_pb2.Param(key="k", value=run_pb2.ParamValue(string_value="x" * 20))
    assert refused(lambda: tracking.run(params=[long])).metadata["wanted"] == "21"


def test_a_run_uses_so_many_datasets(tracking: Tracking) -> None:
    run = tracking.run().name
    dataset = tracking.dataset().name
    training, test, validation = (
        run_pb2.DatasetInput(dataset=dataset, role=role)
        for role in ("training", "test", "validation")
    )
    tracking.log(run, dataset_inputs=[training, test])

    refusal = refused(lambda: tracking.log(run, dataset_inputs=[validation]))

    assert refusal.metadata["limit"] == "run_inputs"
    tracking.log(run, dataset_inputs=[test])


def test_an_answer_that_clients_would_not_take_says_how_to_ask_for_less(
    tracking: Tracking,
) -> None:
    name = tracking.run("large", description="d" * 4000, display_name="large").name
    tracking.run("small")
    both = [name, f"{WINE}/runs/small"]

    for rpc, request in (
        ("GetRun", run_service_pb2.GetRunRequest(name=name)),
        ("ListRuns", run_service_pb2.ListRunsRequest(parent=WINE, order_by="display_name desc")),
        ("CompareRuns", run_service_pb2.CompareRunsRequest(runs=both)),
    ):
        with pytest.raises(StudbookError) as refusal:
            tracking.call(rpc, request)
        assert refusal.value.reason == "ANSWER_TOO_LARGE"
        assert "read_mask" in refusal.value.message
        request.read_mask.paths.append("display_name")
        answer = tracking.call(rpc, request)
        run = answer.run if rpc == "GetRun" else answer.runs[0]
        assert (run.name, run.display_name, run.description) == (name, "large", "")


def test_a_run_has_so_many_metrics(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.append(run, sequence=1, a=POINT, b=POINT)

    refusal = refused(lambda: tracking.append(run, sequence=2, a=POINT, c=POINT, d=POINT))

    assert refusal.metadata == {
        "limit": "run_metrics",
        "allowed": "3",
        "wanted": "4",
        "stored": "2",
    }
    assert 'series.key names 2 new ones, such as "c"' in refusal.message
    # It left no trace: another batch has its number, and the other run has room of its own.
    assert tracking.append(run, sequence=2, a=POINT, c=POINT) == 2
    tracking.append(tracking.run().name, d=POINT)
    assert [summary.key for summary in tracking.get(run).metrics] == ["a", "b", "c"]


def test_metrics_of_a_full_run_go_on(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.append(run, sequence=1, a=POINT, b=POINT, c=POINT)
    statements: list[str] = []
    sa.event.listen(
        tracking.database.engine,
        "before_cursor_execute",
        lambda *arguments: statements.append(arguments[2]),
    )

    for sequence in range(2, 5):
        tracking.append(run, sequence=sequence, a=POINT, b=POINT, c=POINT)

    assert len(tracking.points(run, "c")) == 4
    assert statements
    # Series that there are need not be counted.
    assert not [statement for statement in statements if "count(" in statement]


def test_metrics_begun_at_once_do_not_get_in_side_by_side(tracking: Tracking) -> None:
    run = tracking.run().name

    def begin(number: int) -> str:
        series = {"shared": POINT, f"own{number}": POINT}
        return refusal_of(lambda: tracking.append(run, f"w{number}", 1, **series))

    with ThreadPoolExecutor(6) as threads:
        refusals = list(threads.map(begin, range(6)))

    assert sorted(refusals) == ["", "", *["QUOTA_EXCEEDED"] * 4]
    assert len(tracking.get(run).metrics) == 3
    assert len(tracking.points(run, "shared")) == 2


def test_a_stream_takes_what_comes_before_one_metric_too_many(tracking: Tracking) -> None:
    run = tracking.run().name
    keys = ["a", "b", "a", "c", "b", "d", "a"]
    requests = [
        metric_service_pb2.StreamMetricsRequest(batch=batch(run, "w", number, **{key: POINT}))
        for number, key in enumerate(keys, start=1)
    ]

    refused(lambda: tracking.call("StreamMetrics", requests))

    assert {key: len(tracking.points(run, key)) for key in "abcd"} == {
        "a": 2,
        "b": 2,
        "c": 1,
        "d": 0,
    }


def test_a_batch_of_more_metrics_than_a_statement_can_name_is_refused(tracking: Tracking) -> None:
    run = tracking.run().name
    tracking.append(run, sequence=1, a=POINT)

    wanted: dict[str, Any] = {f"m{number:05}": POINT for number in range(70_000)}
    refusal = refused(lambda: tracking.append(run, sequence=2, **wanted))

    assert "70000 new ones" in str(refusal)
    assert tracking.append(run, sequence=2, a=POINT) == 2
