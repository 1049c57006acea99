"""Holds: what a model version rests on stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studbook.tracking.v1 import run_service_pb2
from tests.store.tracking.at_work import WINE, WORKSPACE, caller, reason

if TYPE_CHECKING:
    from tests.store.tracking.at_work import Tracking

# Nested messages are written as dicts, which the stubs' annotations do not know of.
pb: Any = run_service_pb2


def test_a_held_run_cannot_be_deleted(tracking: Tracking) -> None:
    name = tracking.run().name
    data = tracking.dataset()
    tracking.log(name, dataset_inputs=[{"dataset": data.name, "role": "training"}])
    tracking.put(name, {"model.bin": b"m", "a.txt": b"a"})

    files = tracking.hold(name, pb.HOLD_LEVEL_FILES)
    tracking.delete(name)
    tracking.call("UndeleteRun", pb.UndeleteRunRequest(name=name))
    held = tracking.hold(name, pb.HOLD_LEVEL_RUN)
    # A weaker hold later on does not weaken it.
    tracking.hold(name, pb.HOLD_LEVEL_FILES)

    assert [artifact.path for artifact in files.artifacts] == ["a.txt", "model.bin"]
    assert list(held.datasets) == [data]
    assert held.run == tracking.get(name)
    assert held.snapshot_time.seconds > 0
    assert reason(lambda: tracking.delete(name)) == "RESOURCE_HELD"


def test_a_hold_that_is_only_validated_holds_nothing(tracking: Tracking) -> None:
    name = tracking.run().name
    request = pb.HoldRunRequest(
        run=name,
        holder=f"{WORKSPACE}/models/m/versions/1.0.0",
        level=pb.HOLD_LEVEL_RUN,
        validate_only=True,
    )

    assert tracking.call("HoldRun", request, caller(via="registry")).run.name == name
    tracking.delete(name)


def test_only_the_registry_holds(tracking: Tracking) -> None:
    holder = f"{WORKSPACE}/models/m/versions/1.0.0"
    request = pb.HoldRunRequest(run=tracking.run().name, holder=holder, level=pb.HOLD_LEVEL_RUN)
    registry = caller(via="registry")

    assert reason(lambda: tracking.call("HoldRun", request)) == "PERMISSION_MISSING"
    request.level = pb.HOLD_LEVEL_UNSPECIFIED
    assert reason(lambda: tracking.call("HoldRun", request, registry)) == "FIELD_INVALID"
    request.run = f"{WINE}/runs/none"
    request.level = pb.HOLD_LEVEL_RUN
    assert reason(lambda: tracking.call("HoldRun", request, registry)) == "NOT_FOUND"
