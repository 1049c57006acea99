"""What `studbook run tail` prints: a line for each step, and one for each change of the state."""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from studbook.cli import output
from studbook.cli.run_following import Missed, ServerAway, ServerBack, StateSeen, Step
from studbook.cli.run_text import ending_text, has_ended, is_of_system, state_text
from studbook.tracking.v1.run_pb2 import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from google.protobuf.timestamp_pb2 import Timestamp

    from studbook.cli.run_following import Event, Follower
    from studbook.tracking.v1.run_pb2 import Run

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VALUE_WIDTH = 11
_STEP_WIDTH = 6


def print_event(event: Event, *, as_json: bool) -> None:
    """Print what happened to a run; what does not belong to the answer goes to stderr."""
    match event:
        case Step():
            _print(_step_json if as_json else _step_line, event)
        case StateSeen(run):
            _print(_state_json if as_json else _state_line, run)
        case Missed(key):
            output.note(
                f"Points of {key} arrived that are older than those shown; they are left out."
            )
        case ServerAway(error):
            output.note(f"{error.message}\nIt is asked again until it answers.")
        case ServerBack():
            output.note("The server answers again.")


def _print(text: Callable[[Any], str], thing: object) -> None:
    sys.stdout.write(text(thing) + "\n")


def close(follower: Follower, keys: Collection[str]) -> int:
    """Say which of the keys that were asked for the run has no metric of, now that it has ended.

    Returns:
        The exit code: 0 when the run ended as it should, else 1.
    """
    run = follower.run
    there = [metric.key for metric in run.metrics] if run else []
    missing = [key for key in keys if "*" not in key and key not in there]
    if missing:
        own = [key for key in there if not is_of_system(key)]
        known = f"it has {', '.join(own)}" if own else "it has logged none"
        output.note(f"The run has no metric {', '.join(missing)}; {known}.")
    return int(run is None or run.state != RunState.RUN_STATE_FINISHED)


def _step_line(step: Step) -> str:
    values = {key: output.format_number(value) for key, value in step.values.items()}
    pairs = [f"{output.one_line(key)}={value}" for key, value in values.items()]
    if not output.for_people():
        return "\t".join((_moment(step.time_us), str(step.step), *pairs))
    # Aligned as long as the same keys come.
    padded = [
        pair.ljust(len(pair) - len(value) + _VALUE_WIDTH)
        for pair, value in zip(pairs, values.values(), strict=True)
    ]
    return f"{_clock(step.time_us)}  {step.step:>{_STEP_WIDTH}}  {' '.join(padded)}".rstrip()


def _state_line(run: Run) -> str:
    time_us = _state_time(run).ToMicroseconds()
    if not output.for_people():
        columns = (_moment(time_us), "state", _state(run), run.state_reason, ending_text(run))
        return "\t".join(map(output.one_line, columns)).rstrip("\t")
    reason = f": {output.one_line(run.state_reason)}" if run.state_reason else ""
    ending = f" ({ending_text(run)})" if ending_text(run) else ""
    return f"{_clock(time_us)}  {_state(run)}{reason}{ending}"


def _state(run: Run) -> str:
    return "deleted" if run.HasField("delete_time") else state_text(run.state)


def _state_time(run: Run) -> Timestamp:
    """When the state began, as far as it is known."""
    if run.HasField("delete_time"):
        return run.delete_time
    if has_ended(run):
        return run.end_time if run.HasField("end_time") else run.update_time
    if run.state == RunState.RUN_STATE_STALE:
        return run.heartbeat_time
    return run.start_time if run.HasField("start_time") else run.create_time


def _step_json(step: Step) -> str:
    values = {key: _json_number(value) for key, value in step.values.items()}
    return _json({"time": _moment(step.time_us), "step": str(step.step), "metrics": values})


def _state_json(run: Run) -> str:
    told = output.json_value(run)
    names = ("state", "stateReason", "exitCode", "signal", "deleteTime")
    time = _moment(_state_time(run).ToMicroseconds())
    return _json({"time": time, **{name: told[name] for name in names if name in told}})


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json_number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _moment(time_us: int) -> str:
    """UTC in ISO 8601 to the microsecond; the number where it is no time that Python knows."""
    try:
        moment = _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return str(time_us)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _clock(time_us: int) -> str:
    moment = _moment(time_us)
    return moment[11:19] + "Z" if "T" in moment else moment
