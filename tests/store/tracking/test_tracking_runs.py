"""RunService but for lists, as its contract promises."""

from __future__ import annotations

import math
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from service_chassis.errors import StudbookError
from studbook.tracking.v1 import experiment_service_pb2, run_pb2, run_service_pb2
from tests.store.tracking.at_work import WINE, WORKSPACE, reason
from tracking_service import tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.store.tracking.at_work import Tracking

# Nested messages are written as dicts, which the stubs' annotations do not know of.
pb: Any = run_service_pb2


def test_a_new_run_is_running(tracking: Tracking) -> None:
    made = tracking.run(
        "r1", display_name="First", tags={"a": "b"}, start_time={"seconds": 1_700_000_000}
    )

    assert made == tracking.get(f"{WINE}/runs/r1")
    assert made.state == run_pb2.RUN_STATE_RUNNING
    assert made.creator.id == "user:dev:ada"
    assert made.start_time.seconds == 1_700_000_000
    assert not made.HasField("end_time")
    assert made.heartbeat_time == made.create_time


def test_the_server_makes_an_id_when_there_is_none(tracking: Tracking) -> None:
    assert tracking.run().name != tracking.run().name


def test_a_run_is_made_with_its_parameters(tracking: Tracking) -> None:
    def param(key: str, value: float) -> run_pb2.Param:
        return run_pb2.Param(key=key, value=run_pb2.ParamValue(double_value=value))

    made = tracking.run("r1", params=[param("lr", 0.1), param("depth", 4.0), param("lr", 0.1)])

    assert [one.key for one in made.params] == ["depth", "lr"]
    assert tracking.get(made.name) == made
    tracking.log(made.name, params={"seed": 7})
    assert [one.key for one in tracking.get(made.name).params] == ["depth", "lr", "seed"]
    twice = [param("lr", 0.1), param("lr", 0.2)]
    assert reason(lambda: tracking.run("r2", params=twice)) == "FIELD_INVALID"
    assert reason(lambda: tracking.run("r2", params=[run_pb2.Param(key="lr")])) == "FIELD_REQUIRED"
    assert reason(lambda: tracking.get(f"{WINE}/runs/r2")) == "NOT_FOUND"


def test_create_refuses_taken_ids_and_unknown_experiments(tracking: Tracking) -> None:
    tracking.run("r1")

    assert reason(lambda: tracking.run("r1")) == "ALREADY_EXISTS"
    assert reason(lambda: tracking.run("r1", f"{WORKSPACE}/experiments/no")) == "NOT_FOUND"
    assert reason(lambda: tracking.run("R 1")) == "FIELD_INVALID"
    assert reason(lambda: tracking.run("r2", WORKSPACE)) == "RESOURCE_NAME_INVALID"


def test_a_create_that_is_repeated_makes_one_run(tracking: Tracking) -> None:
    request = pb.CreateRunRequest(parent=WINE, request_id=str(uuid.uuid4()))

    first = tracking.call("CreateRun", request)

    assert tracking.call("CreateRun", request) == first
    assert len(tracking.list_runs()) == 1


def test_a_run_ends_and_is_resumed(tracking: Tracking) -> None:
    name = tracking.run().name

    ended = tracking.update(
        name,
        state=run_pb2.RUN_STATE_FAILED,
        state_reason="ValueError: x",
        end_time={"seconds": 1_700_000_000},
    )
    resumed = tracking.update(name, state=run_pb2.RUN_STATE_RUNNING)

    assert (ended.state, ended.state_reason) == (run_pb2.RUN_STATE_FAILED, "ValueError: x")
    assert resumed.state == run_pb2.RUN_STATE_RUNNING
    assert not resumed.HasField("end_time")
    assert not resumed.state_reason
    assert len({ended.etag, resumed.etag}) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"state": 99},
        {"display_name": "a" * 257},
        {"end_time": {"seconds": 1}},
        {"start_time": {"seconds": 2**60}},
        {"start_time": {"nanos": -1}},
        {"tags": {"k": "a\0"}},
    ],
)
def test_update_refuses_bad_values(tracking: Tracking, values: dict[str, Any]) -> None:
    before = tracking.run()

    assert reason(lambda: tracking.update(before.name, **values)) == "FIELD_INVALID"
    assert tracking.get(before.name) == before


def test_a_mask_can_clear_fields(tracking: Tracking) -> None:
    name = tracking.run(description="d", tags={"a": "b"}, start_time={"seconds": 1}).name
    request = pb.UpdateRunRequest(
        run={"name": name}, update_mask={"paths": ["description", "tags", "start_time"]}
    )

    cleared = tracking.call("UpdateRun", request).run

    assert not cleared.description
    assert not cleared.tags
    assert not cleared.HasField("start_time")
    # The zero value of the state is none that a run can have.
    everything = pb.UpdateRunRequest(run={"name": name}, update_mask={"paths": ["*"]})
    assert reason(lambda: tracking.call("UpdateRun", everything)) == "FIELD_INVALID"


def test_a_deleted_run_is_found_but_takes_nothing(tracking: Tracking) -> None:
    made = tracking.run("r1")
    deleted = tracking.delete(made.name, made.etag)

    assert deleted.HasField("delete_time")
    assert tracking.get(made.name) == deleted
    assert tracking.list_runs() == []
    assert tracking.list_runs(show_deleted=True) == ["r1"]
    assert reason(lambda: tracking.update(made.name, description="x")) == "RUN_NOT_ACTIVE"
    assert reason(lambda: tracking.log(made.name, params={"a": 1})) == "RUN_NOT_ACTIVE"
    assert reason(lambda: tracking.append(made.name, loss=[(1, 1.0)])) == "RUN_NOT_ACTIVE"
    assert reason(lambda: tracking.upload(made.name, b"x")) == "RUN_NOT_ACTIVE"
    assert reason(lambda: tracking.hold(made.name, pb.HOLD_LEVEL_FILES)) == "RUN_NOT_ACTIVE"
    assert tracking.delete(made.name) == deleted


def test_a_deletion_is_taken_back(tracking: Tracking) -> None:
    name = tracking.run("r1").name
    tracking.delete(name)
    request = pb.UndeleteRunRequest(name=name)

    back = tracking.call("UndeleteRun", request).run

    assert not back.HasField("delete_time")
    assert tracking.list_runs() == ["r1"]
    assert tracking.call("UndeleteRun", request).run == back


def test_everything_logged_comes_back(tracking: Tracking) -> None:
    run = tracking.run(tags={"old": "1"})
    data = tracking.dataset()
    values = {"z": "text", "a": 2**63 - 1, "m": -0.5, "nan": math.nan, "inf": math.inf, "b": True}
    environment: dict[str, Any] = {
        "python_version": "3.11.7",
        "cpu_count": 2,
        "packages": {"numpy": "2.0"},
        "command_line": ["train.py", "--fast"],
        "cpu_model": "AMD EPYC 7763",
        "conda": {
            "name": "training",
            "packages": {"numpy": "2.0=py311_0"},
            "channels": ["https://conda.example.com/main"],
        },
    }
    code: dict[str, Any] = {
        "commit": "0" * 40,
        "dirty": True,
        "repository": "git@example.com:x/y.git",
        "diff_digest": f"sha256:{'0' * 64}",
        "diff_artifact": "studbook/code.patch",
        "untracked_files": ["a.py", "b.py"],
        "untracked_count": 2,
    }

    tracking.log(
        run.name,
        params=values,
        tags={"new": "2"},
        dataset_inputs=[{"dataset": data.name, "role": "training"}],
        environment=environment,
        code=code,
    )

    read = tracking.get(run.name)
    logged = {p.key: getattr(p.value, p.value.WhichOneof("kind")) for p in read.params}
    assert math.isnan(logged.pop("nan"))
    assert list(logged.items()) == [(key, values[key]) for key in sorted(values) if key != "nan"]
    assert [type(value) for value in logged.values()] == [int, bool, float, float, str]
    assert dict(read.tags) == {"old": "1", "new": "2"}
    assert [(i.dataset, i.role, i.digest) for i in read.dataset_inputs] == [
        (data.name, "training", data.digest)
    ]
    assert read.environment == run_pb2.Environment(**environment)
    assert read.code == run_pb2.Code(**code)
    assert read.etag != run.etag


def test_what_was_stored_before_fields_were_added_comes_back(tracking: Tracking) -> None:
    name = tracking.run("r1").name
    tracking.log(
        name, environment={"hostname": "h", "packages": {"numpy": "2"}}, code={"branch": "b"}
    )

    def as_it_was(connection: sa.Connection) -> None:
        row = connection.execute(sa.select(tables.runs.c.environment, tables.runs.c.code)).one()
        environment, code = dict(row.environment), dict(row.code)
        for added in ("conda", "cpu_model"):
            del environment[added]
        for added in ("untracked_files", "untracked_count", "diff_artifact"):
            del code[added]
        connection.execute(tables.runs.update().values(environment=environment, code=code))

    tracking.database.write_now(as_it_was)

    read = tracking.get(name)
    assert read.environment == run_pb2.Environment(hostname="h", packages={"numpy": "2"})
    assert read.code == run_pb2.Code(branch="b")


def test_logging_the_same_again_changes_nothing(tracking: Tracking) -> None:
    run = tracking.run()
    records: dict[str, Any] = {
        "params": {"a": 1, "n": math.nan},
        "tags": {"k": "v"},
        "code": {"branch": "main"},
    }
    tracking.log(run.name, **records)
    before = tracking.get(run.name)

    tracking.log(run.name, **{**records, "params": dict(records["params"])})

    after = tracking.get(run.name)
    assert after.etag == before.etag
    assert after.update_time == before.update_time


@pytest.mark.parametrize("other", [2, 1.0, True, "1"])
def test_a_parameter_never_changes(tracking: Tracking, other: Any) -> None:
    name = tracking.run().name
    tracking.log(name, params={"a": 1})

    assert reason(lambda: tracking.log(name, params={"b": 1, "a": other})) == "FIELD_INVALID"
    # All or nothing.
    assert [p.key for p in tracking.get(name).params] == ["a"]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({"dataset_inputs": [{"dataset": "x", "role": "r"}]}, "RESOURCE_NAME_INVALID"),
        (
            {"dataset_inputs": [{"dataset": f"{WORKSPACE}/datasets/d/versions/v", "role": "r"}]},
            "NOT_FOUND",
        ),
        (
            {"dataset_inputs": [{"dataset": "workspaces/b/datasets/d/versions/v", "role": "r"}]},
            "FIELD_INVALID",
        ),
        ({"tags": {f"k{i}": "v" for i in range(64)}}, "FIELD_INVALID"),
        ({"params": {"": 1}}, "FIELD_REQUIRED"),
        ({"params": {"k" * 257: 1}}, "FIELD_INVALID"),
        ({"params": {"k": "v" * 8193}}, "FIELD_INVALID"),
        ({"params": {str(i): i for i in range(1001)}}, "FIELD_INVALID"),
        ({"code": {"commit": "main"}}, "FIELD_INVALID"),
        ({"code": {"repository": "https://me:secret@example.com/x"}}, "FIELD_INVALID"),
        ({"environment": {"cpu_count": -1}}, "FIELD_INVALID"),
        ({"environment": {"cpu_model": "x" * 257}}, "FIELD_INVALID"),
        ({"environment": {"conda": {"name": "x" * 257}}}, "FIELD_INVALID"),
        ({"environment": {"conda": {"channels": ["c"] * 101}}}, "FIELD_INVALID"),
        ({"environment": {"conda": {"channels": ["https://a:b@c/d"]}}}, "FIELD_INVALID"),
        ({"environment": {"conda": {"packages": {"p": "v" * 4097}}}}, "FIELD_INVALID"),
        ({"code": {"untracked_files": ["f"] * 1001, "untracked_count": 1001}}, "FIELD_INVALID"),
        ({"code": {"untracked_files": ["f"], "untracked_count": 0}}, "FIELD_INVALID"),
        ({"code": {"untracked_count": -1}}, "FIELD_INVALID"),
        ({"code": {"diff_digest": "md5:0"}}, "FIELD_INVALID"),
        ({"code": {"diff_artifact": "../code.patch"}}, "ARTIFACT_PATH_INVALID"),
    ],
)
def test_what_cannot_be_logged(tracking: Tracking, records: dict[str, Any], expected: str) -> None:
    before = tracking.run(tags={"one": "1"})

    assert reason(lambda: tracking.log(before.name, **records)) == expected
    after = tracking.get(before.name)
    assert (after.tags, after.params) == (before.tags, before.params)


def test_credentials_in_a_remote_are_not_repeated_in_the_error(tracking: Tracking) -> None:
    name = tracking.run().name
    with pytest.raises(StudbookError) as refusal:
        tracking.log(name, code={"repository": "https://me:secret@example.com/x"})

    assert "secret" not in str(refusal.value.message) + str(refusal.value.metadata)


def test_a_parameter_without_value_is_refused(tracking: Tracking) -> None:
    request = pb.LogBatchRequest(run=tracking.run().name, params=[run_pb2.Param(key="a")])

    assert reason(lambda: tracking.call("LogBatch", request)) == "FIELD_REQUIRED"


def test_an_ended_run_takes_no_parameters_until_it_is_resumed(tracking: Tracking) -> None:
    name = tracking.run().name
    tracking.update(name, state=run_pb2.RUN_STATE_FINISHED)

    assert reason(lambda: tracking.log(name, params={"a": 1})) == "RUN_NOT_ACTIVE"
    tracking.update(name, state=run_pb2.RUN_STATE_RUNNING)
    tracking.log(name, params={"a": 1})


def test_parallel_calls_set_a_parameter_once(tracking: Tracking) -> None:
    name = tracking.run().name
    outcomes: list[int | str] = []

    def log(value: int) -> None:
        try:
            tracking.log(name, params={"a": value})
            outcomes.append(value)
        except StudbookError as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=log, args=(value,)) for value in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert winners == [p.value.int_value for p in tracking.get(name).params]
    assert outcomes.count("FIELD_INVALID") == 5


def test_a_run_and_the_deletion_of_its_experiment_exclude_each_other(tracking: Tracking) -> None:
    parents = [tracking.experiment(f"{WORKSPACE}/experiments/e{i}").name for i in range(8)]
    outcomes: dict[str, set[str]] = {parent: set() for parent in parents}

    def attempt(parent: str, name: str, work: Callable[[], Any]) -> None:
        try:
            work()
            outcomes[parent].add(name)
        except StudbookError as error:
            assert error.reason in {"NOT_FOUND", "NOT_EMPTY"}  # noqa: PT017 - in a thread

    def both(parent: str) -> list[threading.Thread]:
        request = experiment_service_pb2.DeleteExperimentRequest(name=parent)
        works = {
            "run": lambda: tracking.run("r", parent),
            "delete": lambda: tracking.call("DeleteExperiment", request),
        }
        return [threading.Thread(target=attempt, args=(parent, *work)) for work in works.items()]

    threads = [thread for parent in parents for thread in both(parent)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(len(done) == 1 for done in outcomes.values()), outcomes
