"""Pieces of runs as text, for whatever is printed about runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from studbook.cli import output
from studbook.cli.references import last_segment, run_label, short_run
from studbook.tracking.v1.run_pb2 import RunState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.registry.v1.lineage_pb2 import LineageMetric
    from studbook.tracking.v1.metric_pb2 import MetricSummary
    from studbook.tracking.v1.run_pb2 import Code, ParamValue, Run

Metric = TypeVar("Metric", "MetricSummary", "LineageMetric")

# Metrics that the SDK records by itself begin so.
_SYSTEM = "system/"


def run_cell(name: str) -> str:
    """A run in a table: whole when piped, its id shortened for people."""
    return run_label(name) if output.for_people() else short_run(name)


def param_text(value: ParamValue) -> str:
    """A parameter's value as Python would write it, text without quotes; `-` when unset."""
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return repr(value.double_value)
        case "bool_value":
            return str(value.bool_value)
        case _:
            return output.MISSING


def state_text(state: RunState.ValueType) -> str:
    """A run's state in lower case, also one that this client does not know yet."""
    if state in RunState.values():
        return RunState.Name(state).removeprefix("RUN_STATE_").lower()
    return f"state {state}"


def has_ended(run: Run) -> bool:
    """Whether the training program is known to have ended; a stale run may be going on."""
    return run.state in {
        RunState.RUN_STATE_FINISHED,
        RunState.RUN_STATE_FAILED,
        RunState.RUN_STATE_KILLED,
        RunState.RUN_STATE_PREEMPTED,
    }


def ending_text(run: Run) -> str:
    """The signal that ended the program, or its exit code; empty for 0, which says nothing."""
    if run.signal:
        return run.signal
    return f"exit code {run.exit_code}" if run.exit_code else ""


def duration_text(run: Run) -> str:
    """How long the run took, or how long it has been going on when it was last heard of."""
    until = run.end_time if run.HasField("end_time") else run.heartbeat_time
    if not run.HasField("start_time") or not until.ToNanoseconds():
        return output.MISSING
    # An end before the start comes of clocks that were set.
    seconds = max(until.ToNanoseconds() - run.start_time.ToNanoseconds(), 0) / 1e9
    return output.format_duration(seconds)


def commit_text(code: Code) -> str:
    """Commit and whether the files were those of the commit; empty when not recorded."""
    if not code.commit:
        return ""
    return code.commit[:12] + (" (dirty)" if code.dirty else "")


def dataset_text(name: str) -> str:
    """`NAME@VERSION` for the resource name of a dataset version, `NAME` for that of a dataset."""
    parts = name.split("/")
    if len(parts) not in {4, 6}:
        return name
    return f"{parts[3]}@{last_segment(name)}" if len(parts) == 6 else parts[3]


def digest_text(digest: str) -> str:
    """A digest in a table: whole when piped, its first digits for people."""
    return output.short_digest(digest) if output.for_people() else digest


def bytes_text(size: int) -> str:
    """A size in a table: bytes when piped, in a unit for people."""
    return output.format_bytes(size) if output.for_people() else str(size)


def is_of_system(key: str) -> bool:
    """Whether a metric is one of those that are recorded of the machine."""
    return key.startswith(_SYSTEM)


def own_and_of_machine(metrics: Iterable[Metric]) -> tuple[list[Metric], list[Metric]]:
    """The metrics of the program, and those that are recorded of the machine."""
    apart: tuple[list[Metric], list[Metric]] = ([], [])
    for metric in metrics:
        apart[is_of_system(metric.key)].append(metric)
    return apart
