"""Runs and their files as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from studbook.cli import output
from studbook.cli.references import last_segment, run_label, short_run
from studbook.tracking.v1.run_pb2 import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from studbook.tracking.v1.artifact_pb2 import Artifact
    from studbook.tracking.v1.metric_pb2 import MetricSummary
    from studbook.tracking.v1.run_pb2 import DatasetInput, ParamValue, Run

_DEFAULT_COLUMNS = "run,name,state,started,duration,creator"
_STATISTICS = frozenset({"last", "min", "max", "mean", "first", "count"})
_KEYED = ("params", "tags", "metrics")


def read_columns(text: str) -> list[str]:
    """The columns that `--columns` names, or the default ones."""
    columns = [column.strip() for column in (text or _DEFAULT_COLUMNS).split(",")]
    for column in columns:
        group, dot, key = column.partition(".")
        if column not in _PLAIN_COLUMNS and not (group in _KEYED and dot and key):
            known = ", ".join([*_PLAIN_COLUMNS, *(f"{group}.KEY" for group in _KEYED)])
            raise typer.BadParameter(f'There is no column "{column}"; there are {known}.')
    return columns


def run_rows(runs: Iterable[Run], columns: Sequence[str]) -> Iterator[list[str]]:
    """One row of text for each run."""
    for run in runs:
        yield [_cell(run, column) for column in columns]


def note_when_cut(printed: int, limit: int) -> None:
    """Say on stderr that there may be more rows than were printed."""
    if printed == limit and output.for_people():
        output.note(f"The first {limit}; print more with --limit.")


def print_run(run: Run) -> None:
    """One run from head to foot."""
    output.print_fields(_run_fields(run))
    if run.params:
        output.print_heading("Parameters")
        params = ((param.key, param_text(param.value)) for param in run.params)
        output.print_table(("KEY", "VALUE"), params)
    if run.metrics:
        output.print_heading("Metrics")
        headings = ("KEY", "LAST", "MIN", "MAX", "MEAN", "POINTS")
        output.print_table(headings, (_metric_row(metric) for metric in run.metrics))
    if run.dataset_inputs:
        output.print_heading("Datasets")
        datasets = (_dataset_row(dataset) for dataset in run.dataset_inputs)
        output.print_table(("ROLE", "DATASET", "DIGEST"), datasets)


def print_artifacts(artifacts: Iterable[Artifact]) -> None:
    """The files of a run."""
    rows = (
        (
            artifact.path,
            output.format_bytes(artifact.size_bytes)
            if output.for_people()
            else str(artifact.size_bytes),
            artifact.media_type or output.MISSING,
            output.short_digest(artifact.digest) if output.for_people() else artifact.digest,
        )
        for artifact in artifacts
    )
    output.print_table(("PATH", "SIZE", "TYPE", "DIGEST"), rows)


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


def duration_text(run: Run) -> str:
    """How long the run took; `-` while it runs."""
    if not run.HasField("end_time") or not run.HasField("start_time"):
        return output.MISSING
    seconds = run.end_time.ToNanoseconds() / 1e9 - run.start_time.ToNanoseconds() / 1e9
    return output.format_duration(seconds)


def commit_text(run: Run) -> str:
    """Commit and whether the files were those of the commit; empty when not recorded."""
    if not run.code.commit:
        return ""
    return run.code.commit[:12] + (" (dirty)" if run.code.dirty else "")


def _cell(run: Run, column: str) -> str:
    if column in _PLAIN_COLUMNS:
        return _PLAIN_COLUMNS[column](run)
    group, _, key = column.partition(".")
    if group == "tags":
        return run.tags.get(key, output.MISSING)
    if group == "params":
        values = [param_text(param.value) for param in run.params if param.key == key]
        return values[0] if values else output.MISSING
    return _metric_cell(run, key)


def _metric_cell(run: Run, key: str) -> str:
    summaries = {metric.key: metric for metric in run.metrics}
    if key in summaries:
        return output.format_number(summaries[key].last)
    stem, _, statistic = key.rpartition(".")
    if stem not in summaries or statistic not in _STATISTICS:
        return output.MISSING
    return output.format_number(float(getattr(summaries[stem], statistic)))


def _run_fields(run: Run) -> list[tuple[str, str]]:
    environment = run.environment
    python = f"{environment.python_implementation} {environment.python_version}".strip()
    if environment.packages:
        python += f", {len(environment.packages)} packages"
    code = " ".join(part for part in (run.code.repository, commit_text(run)) if part)
    state = state_text(run.state) + (f": {run.state_reason}" if run.state_reason else "")
    return [
        ("Run", short_run(run.name)),
        ("Name", run.display_name),
        ("State", state),
        ("Created by", run.creator.display_name or run.creator.id),
        ("Started", output.format_time(run.start_time)),
        ("Duration", duration_text(run)),
        ("Deleted", output.format_time(run.delete_time) if run.HasField("delete_time") else ""),
        ("Description", run.description),
        ("Tags", ", ".join(f"{key}={value}" for key, value in sorted(run.tags.items()))),
        ("Code", f"{code} {run.code.entry_point}".strip()),
        ("Python", python),
        ("Platform", f"{environment.platform} {environment.machine}".strip()),
    ]


def _metric_row(metric: MetricSummary) -> tuple[str, ...]:
    values = (metric.last, metric.min, metric.max, metric.mean)
    return (metric.key, *(output.format_number(value) for value in values), str(metric.count))


def _dataset_row(dataset: DatasetInput) -> tuple[str, str, str]:
    parts = dataset.dataset.split("/")
    name = f"{parts[3]}@{last_segment(dataset.dataset)}" if len(parts) == 6 else dataset.dataset
    digest = dataset.digest
    return dataset.role, name, output.short_digest(digest) if output.for_people() else digest


_PLAIN_COLUMNS: dict[str, Callable[[Run], str]] = {
    "run": lambda run: run_cell(run.name),
    "name": lambda run: run.display_name or output.MISSING,
    "state": lambda run: state_text(run.state),
    "started": lambda run: output.format_second(run.start_time),
    "duration": duration_text,
    "creator": lambda run: run.creator.display_name or run.creator.id,
    "commit": lambda run: commit_text(run) or output.MISSING,
}
