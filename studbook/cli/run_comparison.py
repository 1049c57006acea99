"""The answer of `studbook run compare`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.run_tables import commit_text, duration_text, param_text, run_cell, state_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.tracking.v1.run_pb2 import Run
    from studbook.tracking.v1.run_service_pb2 import ComparedMetric, CompareRunsResponse

_Row = tuple[str, ...]


def print_comparison(comparison: CompareRunsResponse, *, everything: bool) -> None:
    """Print one column for each run.

    Args:
        comparison: The server's answer.
        everything: Also print parameters and facts that are the same in all runs.
    """
    headings = ["", *(run_cell(run.name) for run in comparison.runs)]
    parts = (
        ("run", "Runs", _fact_rows(comparison, everything=everything)),
        ("param", "Parameters", _param_rows(comparison, everything=everything)),
        (
            "metric",
            "Metrics (last value, and the difference to the first run)",
            _metric_rows(comparison),
        ),
        ("package", "Packages", _package_rows(comparison)),
    )
    if not output.for_people():
        output.print_table((), [("", "run", *headings[1:])])
    for kind, title, rows in parts:
        if not output.for_people():
            # What kind of row it is stands in the row itself, so that a pipe can pick.
            output.print_table((), ((kind, *row) for row in rows))
        elif rows:
            output.print_heading(title)
            output.print_table(headings, rows)
    if output.for_people():
        _print_sameness(comparison, everything=everything)


def _fact_rows(comparison: CompareRunsResponse, *, everything: bool) -> list[_Row]:
    rows = [
        ("name", *(run.display_name or output.MISSING for run in comparison.runs)),
        ("state", *(state_text(run.state) for run in comparison.runs)),
        ("duration", *(duration_text(run) for run in comparison.runs)),
        ("commit", *(commit_text(run) or output.MISSING for run in comparison.runs)),
        ("python", *(run.environment.python_version or output.MISSING for run in comparison.runs)),
        *_dataset_rows(list(comparison.runs)),
    ]
    return [row for row in rows if everything or row[0] == "name" or len(set(row[1:])) > 1]


def _dataset_rows(runs: list[Run]) -> Iterator[_Row]:
    roles = sorted({dataset.role for run in runs for dataset in run.dataset_inputs})
    for role in roles:
        yield (f"{role} data", *(_digests(run, role) for run in runs))


def _digests(run: Run, role: str) -> str:
    digests = [d.digest for d in run.dataset_inputs if d.role == role]
    return ", ".join(output.short_digest(digest) for digest in digests) or output.MISSING


def _param_rows(comparison: CompareRunsResponse, *, everything: bool) -> list[_Row]:
    return [
        (param.key, *(param_text(value) for value in param.values))
        for param in comparison.params
        if everything or param.differs
    ]


def _metric_rows(comparison: CompareRunsResponse) -> list[_Row]:
    return [(metric.key, *_metric_cells(metric)) for metric in comparison.metrics]


def _metric_cells(metric: ComparedMetric) -> Iterator[str]:
    for index, summary in enumerate(metric.summaries):
        if summary.count == 0:
            yield output.MISSING
            continue
        value = output.format_number(summary.last)
        delta = metric.deltas[index] if index < len(metric.deltas) else math.nan
        yield value if index == 0 or math.isnan(delta) else f"{value} ({delta:+.4g})"


def _package_rows(comparison: CompareRunsResponse) -> list[_Row]:
    return [
        (package.package, *(version or output.MISSING for version in package.versions))
        for package in comparison.packages
    ]


def _print_sameness(comparison: CompareRunsResponse, *, everything: bool) -> None:
    same = sum(not param.differs for param in comparison.params)
    if same and not everything:
        were, them = ("parameter is", "it") if same == 1 else ("parameters are", "them")
        output.note(f"\n{same} {were} the same in all runs; --all prints {them} too.")
    if not comparison.packages:
        output.note("All runs had the same packages.")
