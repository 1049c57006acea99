"""ExperimentService, as its contract promises."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from service_chassis.errors import StudbookError
from studbook.tracking.v1 import experiment_service_pb2
from tests.store.tracking.at_work import WINE, WORKSPACE, caller

if TYPE_CHECKING:
    from tests.store.tracking.at_work import Tracking

# Nested messages are written as dicts, which the stubs' annotations do not know of.
pb: Any = experiment_service_pb2


def refused(tracking: Tracking, rpc: str, request: Any, by: Any = None) -> StudbookError:
    with pytest.raises(StudbookError) as refusal:
        tracking.call(rpc, request, *([by] if by else []))
    return refusal.value


def get(tracking: Tracking, name: str = WINE) -> Any:
    return tracking.call("GetExperiment", pb.GetExperimentRequest(name=name)).experiment


def listed(tracking: Tracking, by: Any = None, **arguments: Any) -> list[str]:
    request = pb.ListExperimentsRequest(parent=WORKSPACE, **arguments)
    found = []
    while True:
        page = tracking.call("ListExperiments", request, by or caller())
        found += [experiment.name.rsplit("/", 1)[1] for experiment in page.experiments]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def test_what_is_created_can_be_read(tracking: Tracking) -> None:
    made = tracking.experiment(f"{WORKSPACE}/experiments/x", description="Why", tags={"a": "b"})

    assert made == get(tracking, made.name)
    assert (made.description, dict(made.tags)) == ("Why", {"a": "b"})
    assert made.uid
    assert made.create_time == made.update_time


def test_a_taken_id_is_refused(tracking: Tracking) -> None:
    request = pb.CreateExperimentRequest(parent=WORKSPACE, experiment_id="wine")

    assert refused(tracking, "CreateExperiment", request).reason == "ALREADY_EXISTS"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"parent": "workspace/main", "experiment_id": "x"}, "parent"),
        ({"parent": WORKSPACE, "experiment_id": "No Good"}, "experiment_id"),
        ({"parent": WORKSPACE}, "experiment_id"),
        (
            {"parent": WORKSPACE, "experiment_id": "x", "experiment": {"description": "a" * 4097}},
            "experiment.description",
        ),
        (
            {"parent": WORKSPACE, "experiment_id": "x", "experiment": {"tags": {"": "v"}}},
            "experiment.tags",
        ),
    ],
)
def test_bad_input_names_its_field(tracking: Tracking, values: dict[str, Any], field: str) -> None:
    refusal = refused(tracking, "CreateExperiment", pb.CreateExperimentRequest(**values))

    assert [violation.field for violation in refusal.fields] == [field]


def test_the_same_request_id_gets_the_same_answer(tracking: Tracking) -> None:
    request = pb.CreateExperimentRequest(
        parent=WORKSPACE, experiment_id="x", request_id=str(uuid.uuid4())
    )

    first = tracking.call("CreateExperiment", request)

    assert tracking.call("CreateExperiment", request) == first
    request.experiment.description = "another"
    assert refused(tracking, "CreateExperiment", request).reason == "REQUEST_ID_REUSED"


def test_validate_only_checks_everything_and_changes_nothing(tracking: Tracking) -> None:
    request = pb.CreateExperimentRequest(
        parent=WORKSPACE, experiment_id="x", request_id=str(uuid.uuid4()), validate_only=True
    )

    answer = tracking.call("CreateExperiment", request)

    assert answer.experiment.name == f"{WORKSPACE}/experiments/x"
    assert listed(tracking) == ["wine"]
    request.experiment_id = "wine"
    assert refused(tracking, "CreateExperiment", request).reason == "ALREADY_EXISTS"
    delete = pb.DeleteExperimentRequest(name=WINE, validate_only=True)
    tracking.call("DeleteExperiment", delete)
    assert listed(tracking) == ["wine"]


def test_update_changes_what_the_mask_names(tracking: Tracking) -> None:
    name = tracking.experiment(
        f"{WORKSPACE}/experiments/x", description="old", tags={"a": "1"}
    ).name
    request = pb.UpdateExperimentRequest(
        experiment={"name": name, "description": "new"}, update_mask={"paths": ["description"]}
    )

    changed = tracking.call("UpdateExperiment", request).experiment

    assert (changed.description, dict(changed.tags)) == ("new", {"a": "1"})
    request.update_mask.paths[:] = ["*"]
    assert not tracking.call("UpdateExperiment", request).experiment.tags
    request.update_mask.paths[:] = ["uid"]
    assert refused(tracking, "UpdateExperiment", request).reason == "UPDATE_MASK_INVALID"


def test_an_etag_guards_against_lost_updates(tracking: Tracking) -> None:
    before = get(tracking)
    request = pb.UpdateExperimentRequest(
        experiment={"name": WINE, "description": "1", "etag": before.etag}
    )

    after = tracking.call("UpdateExperiment", request).experiment

    assert after.etag != before.etag
    request.experiment.description = "2"
    assert refused(tracking, "UpdateExperiment", request).reason == "ETAG_MISMATCH"
    delete = pb.DeleteExperimentRequest(name=WINE, etag=before.etag)
    assert refused(tracking, "DeleteExperiment", delete).reason == "ETAG_MISMATCH"
    assert get(tracking) == after


def test_only_an_empty_experiment_can_be_deleted(tracking: Tracking) -> None:
    tracking.delete(tracking.run().name)
    empty = tracking.experiment(f"{WORKSPACE}/experiments/empty", tags={"a": "b"})

    tracking.call("DeleteExperiment", pb.DeleteExperimentRequest(name=empty.name))

    gone = refused(tracking, "GetExperiment", pb.GetExperimentRequest(name=empty.name))
    assert gone.reason == "NOT_FOUND"
    kept = refused(tracking, "DeleteExperiment", pb.DeleteExperimentRequest(name=WINE))
    assert kept.reason == "NOT_EMPTY"
    # The name is free again, for another experiment.
    assert tracking.experiment(empty.name).uid != empty.uid


def test_lists_are_filtered_ordered_and_paged(tracking: Tracking) -> None:
    for name in ("b", "a", "c"):
        tracking.experiment(f"{WORKSPACE}/experiments/{name}", tags={"team": name * 2})

    assert listed(tracking, order_by="name", page_size=1) == ["a", "b", "c", "wine"]
    assert listed(tracking) == ["c", "a", "b", "wine"]
    assert listed(tracking, filter='tags.team = "aa" OR tags.team = "cc"') == ["c", "a"]
    request = pb.ListExperimentsRequest(parent=WORKSPACE, order_by="description")
    assert refused(tracking, "ListExperiments", request).reason == "ORDER_BY_INVALID"


def test_lists_leave_out_what_the_caller_may_not_see(tracking: Tracking) -> None:
    tracking.experiment(f"{WORKSPACE}/experiments/beer")

    assert listed(tracking, caller("max", f"{WORKSPACE}/experiments/b*")) == ["beer"]
    assert listed(tracking, caller("max", f"{WORKSPACE}/experiments/x/**")) == []
    request = pb.ListExperimentsRequest(parent=WORKSPACE)
    stranger = caller("max", "workspaces/other/**")
    assert refused(tracking, "ListExperiments", request, stranger).reason == "PERMISSION_MISSING"
