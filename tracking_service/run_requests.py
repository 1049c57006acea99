"""Requests about runs as records, their shape checked.

Each function raises INVALID_ARGUMENT naming the field, its value and the remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service_chassis.errors import invalid_field, required_field
from service_chassis.field_masks import changed_paths
from service_chassis.resource_names import (
    DATASET_VERSION,
    EXPERIMENT,
    MODEL_VERSION,
    RUN,
    check_id,
)
from service_chassis.validation import (
    LONGEST_DESCRIPTION,
    LONGEST_DISPLAY_NAME,
    check_count,
    check_tags,
    check_text,
)
from tracking_service.records import (
    DatasetInput,
    Hold,
    HoldLevel,
    NewRun,
    Param,
    RunRecords,
    RunState,
)
from tracking_service.request_reading import LONGEST_KEY
from tracking_service.runs import RunChange
from tracking_service.surroundings_reading import read_code, read_environment
from tracking_service.times import read_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from studbook.tracking.v1 import run_pb2, run_service_pb2

_LONGEST_PARAM_TEXT = 8192
_MOST_PARAMS = 1000
_LONGEST_ROLE = 64
_MOST_COMPARED = 100
_LONGEST_SIGNAL = 32


def new_run(request: run_service_pb2.CreateRunRequest) -> NewRun:
    """What a new run is to be."""
    EXPERIMENT.parse(request.parent, "parent")
    if request.run_id:
        check_id(request.run_id, "run_id")
    values = _run_values(request.run)
    return NewRun(
        experiment=request.parent,
        run_id=request.run_id,
        display_name=values["display_name"](),
        description=values["description"](),
        tags=values["tags"](),
        start_us=values["start_time"](),
        params=_params(request.run.params, "run.params"),
    )


# Fields of the contract that UpdateRun changes, and the record fields that they are kept in.
_CHANGEABLE = {
    "display_name": "display_name",
    "description": "description",
    "tags": "tags",
    "state": "state",
    "state_reason": "state_reason",
    "start_time": "start_us",
    "end_time": "end_us",
    "exit_code": "exit_code",
    "signal": "signal",
}


def run_change(request: run_service_pb2.UpdateRunRequest) -> RunChange:
    """What is to change in a run."""
    run = request.run
    RUN.parse(run.name, "run.name")
    paths = changed_paths(request.update_mask, run, frozenset(_CHANGEABLE))
    values = _run_values(run)
    return RunChange(
        name=run.name,
        etag=run.etag,
        values={_CHANGEABLE[path]: values[path]() for path in paths},
    )


def _run_values(run: run_pb2.Run) -> Mapping[str, Callable[[], Any]]:
    """How to read each field that callers may set; read are only those that are asked for."""
    return {
        "display_name": lambda: check_text(
            run.display_name, "run.display_name", LONGEST_DISPLAY_NAME
        ),
        "description": lambda: check_text(run.description, "run.description", LONGEST_DESCRIPTION),
        "tags": lambda: check_tags(run.tags, "run.tags"),
        "state": lambda: _state(run.state),
        "state_reason": lambda: check_text(
            run.state_reason, "run.state_reason", LONGEST_DESCRIPTION
        ),
        "start_time": lambda: _moment(run, "start_time"),
        "end_time": lambda: _moment(run, "end_time"),
        "exit_code": lambda: run.exit_code if run.HasField("exit_code") else None,
        "signal": lambda: check_text(run.signal, "run.signal", _LONGEST_SIGNAL),
    }


def _state(number: int) -> RunState:
    given = {int(state): state for state in RunState if state is not RunState.STALE}
    if number in given:
        return given[number]
    remedy = "give one of " + ", ".join(f"RUN_STATE_{state.name}" for state in given.values())
    if number == RunState.STALE:
        # Somebody sends back what was read, without a mask.
        remedy += ", or leave state out of what is to change: the server alone makes a run STALE"
    raise invalid_field("run.state", number, remedy)


def _moment(run: run_pb2.Run, field: str) -> int | None:
    if not run.HasField(field):  # type: ignore[arg-type] # one of two literals
        return None
    return read_time(getattr(run, field), f"run.{field}")


def _params(params: Sequence[run_pb2.Param], field: str) -> tuple[Param, ...]:
    check_count(params, field, _MOST_PARAMS)
    return tuple(_param(param, f"{field}[{index}]") for index, param in enumerate(params))


def run_records(request: run_service_pb2.LogBatchRequest) -> RunRecords:
    """What is to be added to a run."""
    workspace = RUN.parse(request.run, "run")["workspace"]
    check_count(request.dataset_inputs, "dataset_inputs", _MOST_PARAMS)
    return RunRecords(
        params=_params(request.params, "params"),
        tags=check_tags(request.tags, "tags"),
        dataset_inputs=tuple(
            _dataset_input(used, workspace, f"dataset_inputs[{index}]")
            for index, used in enumerate(request.dataset_inputs)
        ),
        environment=(
            read_environment(request.environment) if request.HasField("environment") else None
        ),
        code=read_code(request.code) if request.HasField("code") else None,
    )


def _param(param: run_pb2.Param, field: str) -> Param:
    key = check_text(param.key, f"{field}.key", LONGEST_KEY, required=True)
    kind = param.value.WhichOneof("kind")
    if kind is None:
        raise required_field(f"{field}.value", "set one of its kinds")
    value = getattr(param.value, kind)
    if isinstance(value, str):
        check_text(value, f"{field}.value.string_value", _LONGEST_PARAM_TEXT)
    return Param(key=key, value=value)


def _dataset_input(used: run_pb2.DatasetInput, workspace: str, field: str) -> DatasetInput:
    ids = DATASET_VERSION.parse(used.dataset, f"{field}.dataset")
    if ids["workspace"] != workspace:
        raise invalid_field(
            f"{field}.dataset", used.dataset, f"it must be of the run's workspace, {workspace}"
        )
    role = check_text(used.role, f"{field}.role", _LONGEST_ROLE, required=True)
    return DatasetInput(dataset=used.dataset, role=role)


def compared_names(request: run_service_pb2.CompareRunsRequest) -> list[str]:
    """The runs that are to be compared, in order."""
    check_count(request.runs, "runs", _MOST_COMPARED, least=2)
    seen = set()
    for index, name in enumerate(request.runs):
        RUN.parse(name, f"runs[{index}]")
        if name in seen:
            raise invalid_field(f"runs[{index}]", name, "name each run once")
        seen.add(name)
    return list(request.runs)


def baseline_place(request: run_service_pb2.CompareRunsRequest) -> int:
    """Place of the baseline among the runs that are to be compared; the first unless it is said."""
    if not request.baseline:
        return 0
    if request.baseline not in request.runs:
        raise invalid_field(
            "baseline",
            request.baseline,
            "name one of runs, or leave it empty for the first of them",
        )
    return list(request.runs).index(request.baseline)


def wanted_hold(request: run_service_pb2.HoldRunRequest) -> Hold:
    """Who wants to hold a run, and how strongly."""
    RUN.parse(request.run, "run")
    MODEL_VERSION.parse(request.holder, "holder")
    try:
        level = HoldLevel(request.level)
    except ValueError as error:
        known = ", ".join(f"HOLD_LEVEL_{level.name}" for level in HoldLevel)
        raise invalid_field("level", request.level, f"give one of {known}") from error
    return Hold(holder=request.holder, level=level)
