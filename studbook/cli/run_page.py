"""The answer of `studbook run show`: one run from head to foot."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.references import short_run
from studbook.cli.run_text import (
    dataset_text,
    digest_text,
    duration_text,
    ending_text,
    has_ended,
    own_and_of_machine,
    param_text,
    state_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from studbook.tracking.v1.artifact_pb2 import Artifact
    from studbook.tracking.v1.metric_pb2 import MetricSummary
    from studbook.tracking.v1.run_pb2 import Code, Environment, Run

_Field = tuple[str, str]

# Of more artifacts than these it is only said that they are more.
MOST_COUNTED = 1000
_UNTRACKED_SHOWN = 5


def print_run(run: Run, artifacts: Sequence[Artifact]) -> None:
    """Print all that is known of a run.

    Args:
        run: The run, with all that was recorded.
        artifacts: Its files; `MOST_COUNTED` and one more are enough.
    """
    output.print_fields(
        [
            *(field for field in _run_fields(run) if field[1] != output.MISSING),
            *_code_fields(run.code),
            *_environment_fields(run.environment),
            ("Artifacts", _artifacts_text(artifacts)),
        ]
    )
    _print_part("Datasets", ("ROLE", "DATASET", "DIGEST"), _dataset_rows(run))
    params = [(param.key, param_text(param.value)) for param in run.params]
    _print_part("Parameters", ("KEY", "VALUE"), params)
    own, of_machine = own_and_of_machine(run.metrics)
    _print_metrics("Metrics", own)
    _print_metrics("Metrics of the machine", of_machine)


def _print_part(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    found = list(rows)
    if found:
        output.print_heading(title)
        output.print_table(headings, found)


def _run_fields(run: Run) -> list[_Field]:
    state = state_text(run.state) + (f": {run.state_reason}" if run.state_reason else "")
    return [
        ("Run", short_run(run.name)),
        ("Name", run.display_name),
        ("State", state),
        ("Ended by", ending_text(run)),
        ("Created by", run.creator.display_name or run.creator.id),
        ("Created", "" if run.HasField("start_time") else output.format_time(run.create_time)),
        ("Started", output.format_time(run.start_time)),
        ("Ended", output.format_time(run.end_time)),
        ("Duration", duration_text(run)),
        ("Last heard of", "" if has_ended(run) else output.format_time(run.heartbeat_time)),
        ("Deleted", output.format_time(run.delete_time)),
        ("Description", run.description),
        *(("Tags", f"{key}={value}") for key, value in sorted(run.tags.items())),
    ]


def _code_fields(code: Code) -> list[_Field]:
    untracked = ", ".join(code.untracked_files[:_UNTRACKED_SHOWN])
    if code.untracked_count > _UNTRACKED_SHOWN:
        untracked = f"{code.untracked_count} files: {untracked}, …"
    return [
        ("Program", code.entry_point),
        ("Repository", code.repository),
        ("Branch", code.branch),
        ("Commit", code.commit + (" (dirty)" if code.commit and code.dirty else "")),
        ("Patch", _patch_text(code)),
        ("Untracked", untracked),
    ]


def _patch_text(code: Code) -> str:
    if not code.diff_digest:
        return ""
    digest = digest_text(code.diff_digest)
    return f"{code.diff_artifact} ({digest})" if code.diff_artifact else f"{digest}, not stored"


def _environment_fields(environment: Environment) -> Iterator[_Field]:
    python = f"{environment.python_implementation} {environment.python_version}".strip()
    if environment.packages:
        python += f", {len(environment.packages)} packages"
    yield ("Command", shlex.join(environment.command_line))
    yield ("Python", python)
    if environment.HasField("conda"):
        conda = environment.conda
        yield ("Conda", f"{conda.name}, {len(conda.packages)} packages")
    yield ("Host", environment.hostname)
    yield ("Platform", f"{environment.platform} {environment.machine}".strip())
    processors = f"{environment.cpu_count} processors" if environment.cpu_count else ""
    yield ("Processor", ", ".join(filter(None, (environment.cpu_model, processors))))
    memory = environment.memory_bytes
    yield ("Memory", output.format_bytes(memory) if memory else "")
    for accelerator in environment.accelerators:
        yield ("Accelerator", accelerator)
    yield ("Container image", environment.container_image_digest)


def _artifacts_text(artifacts: Sequence[Artifact]) -> str:
    if not artifacts:
        return "none"
    if len(artifacts) > MOST_COUNTED:
        return f"more than {MOST_COUNTED} files"
    size = output.format_bytes(sum(artifact.size_bytes for artifact in artifacts))
    return f"{len(artifacts)} {'file' if len(artifacts) == 1 else 'files'}, {size}"


def _dataset_rows(run: Run) -> list[tuple[str, str, str]]:
    return [
        (used.role, dataset_text(used.dataset), digest_text(used.digest))
        for used in run.dataset_inputs
    ]


def _print_metrics(title: str, metrics: Iterable[MetricSummary]) -> None:
    if output.for_people():
        headings = ("KEY", "LAST", "MIN (STEP)", "MAX (STEP)", "MEAN", "POINTS", "LAST STEP")
        _print_part(title, headings, map(_metric_row, metrics))
    else:
        _print_part(title, (), map(_metric_columns, metrics))


def _metric_row(metric: MetricSummary) -> tuple[str, ...]:
    return (
        metric.key,
        output.format_number(metric.last),
        f"{output.format_number(metric.min)} ({metric.min_step})",
        f"{output.format_number(metric.max)} ({metric.max_step})",
        output.format_number(metric.mean),
        str(metric.count),
        str(metric.last_step),
    )


def _metric_columns(metric: MetricSummary) -> tuple[str, ...]:
    values = (metric.last, metric.min, metric.max, metric.mean)
    places = (metric.count, metric.last_step, metric.min_step, metric.max_step)
    return (metric.key, *map(output.format_number, values), *map(str, places))
