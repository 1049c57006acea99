"""The answer of `studbook run compare`: one column for each run, one row for each thing."""

from __future__ import annotations

import math
from shutil import get_terminal_size
from typing import TYPE_CHECKING, NamedTuple

from studbook.cli import output
from studbook.cli.run_text import (
    dataset_text,
    digest_text,
    duration_text,
    ending_text,
    is_of_system,
    param_text,
    run_cell,
    state_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from studbook.tracking.v1.run_service_pb2 import (
        CodeDifference,
        ComparedDataset,
        ComparedFact,
        ComparedMetric,
        CompareRunsResponse,
    )

# Of longer texts people see the beginning, so that the runs stand side by side.
_LONGEST_CELL = 36
_GAP = 2
# As they are known to Git.
_SHORT_COMMIT = 12


class _Row(NamedTuple):
    """A row of the answer.

    Attributes:
        kind: What kind of thing it is about; stands in front when piped, so that a pipe can pick.
        name: What it is about.
        cells: One for each run.
        differs: Whether it is printed when only differences are.
    """

    kind: str
    name: str
    cells: tuple[str, ...]
    differs: bool


class _Part(NamedTuple):
    """Rows under one heading, and what they are called when they are counted."""

    title: str
    noun: str
    rows: Sequence[_Row]


def print_comparison(comparison: CompareRunsResponse, *, everything: bool) -> None:
    """Print what differs between runs.

    Args:
        comparison: The server's answer.
        everything: Also print what is the same in all runs, and metrics of the machine.
    """
    parts = list(_parts(comparison))
    shown = [
        part._replace(rows=[row for row in part.rows if everything or row.differs])
        for part in parts
    ]
    names = _names(comparison)
    if not output.for_people():
        rows = [row for part in shown for row in part.rows]
        output.print_table((), [("", "run", *names)])
        output.print_table((), ((row.kind, row.name, *row.cells) for row in rows))
        return
    for part in shown:
        if part.rows:
            output.print_heading(part.title)
            _print_part(names, comparison.baseline_index, part.rows)
    if not any(part.rows for part in shown):
        output.note("Nothing differs.")
    _print_pages(comparison, names)
    if not everything:
        _note_hidden(parts)


def _names(comparison: CompareRunsResponse) -> list[str]:
    """What the columns are called; people have little room, and know which experiment it is."""
    cells = [run_cell(run.name) for run in comparison.runs]
    if output.for_people() and len({cell.partition("/")[0] for cell in cells}) == 1:
        return [cell.partition("/")[2] for cell in cells]
    return cells


def _parts(comparison: CompareRunsResponse) -> Iterator[_Part]:
    baseline = _names(comparison)[comparison.baseline_index]
    yield _Part("Runs", "", _run_rows(comparison))
    params = [
        _Row("param", row.key, tuple(map(param_text, row.values)), row.differs)
        for row in comparison.params
    ]
    yield _Part("Parameters", "parameter", params)
    title = f"Metrics (last value, and the difference to {baseline})"
    yield _Part(title, "metric", [row for m in comparison.metrics for row in _metric_rows(m)])
    datasets = [row for d in comparison.datasets for row in _dataset_rows(d)]
    yield _Part("Datasets", "dataset", datasets)
    packages = [
        _Row("package", row.package, _known(row.versions), differs=True)
        for row in comparison.packages
    ]
    yield _Part("Packages", "package", packages)
    yield _Part("Code", "", [*_code_rows(comparison), *_fact_rows(comparison, "code")])
    yield _Part("Environment", "", _fact_rows(comparison, "environment"))


def _run_rows(comparison: CompareRunsResponse) -> list[_Row]:
    runs = comparison.runs
    facts = {
        "name": [run.display_name for run in runs],
        "state": [state_text(run.state) for run in runs],
        "ended by": [ending_text(run) for run in runs],
        "duration": [duration_text(run) for run in runs],
        "creator": [run.creator.display_name or run.creator.id for run in runs],
    }
    return [
        # A run is known by its name rather than by its id.
        _Row("run", name, _known(values), name == "name" or len(set(values)) > 1)
        for name, values in facts.items()
        if any(values)
    ]


def _metric_rows(metric: ComparedMetric) -> Iterator[_Row]:
    differs = metric.differs and not is_of_system(metric.key)
    lasts = [
        output.format_number(summary.last) if summary.count else output.MISSING
        for summary in metric.summaries
    ]
    deltas = ["" if math.isnan(delta) else f"{delta:+.4g}" for delta in metric.deltas]
    if output.for_people():
        cells = (
            f"{last} ({delta})" if delta and float(delta) else last
            for last, delta in zip(lasts, deltas, strict=True)
        )
        yield _Row("metric", metric.key, tuple(cells), differs)
    else:
        yield _Row("metric", metric.key, tuple(lasts), differs)
        yield _Row("delta", metric.key, _known(deltas), differs)


def _dataset_rows(dataset: ComparedDataset) -> Iterator[_Row]:
    name = f"{dataset.role} {dataset_text(dataset.dataset)}"
    yield _Row("dataset", name, _known(dataset.versions), dataset.differs)
    if not output.for_people():
        yield _Row("digest", name, _known(dataset.digests), dataset.differs)


def _code_rows(comparison: CompareRunsResponse) -> list[_Row]:
    differences = comparison.code_differences
    if not differences:
        return []
    baseline = comparison.runs[comparison.baseline_index].code.commit
    ranges = [
        _range_text(difference, same_commit=bool(baseline) and run.code.commit == baseline)
        for run, difference in zip(comparison.runs, differences, strict=True)
    ]
    patches = [difference.diff_artifact for difference in differences]
    differs = not all(difference.same for difference in differences)
    rows = [("against the baseline", ranges), ("patch", patches)]
    return [_Row("code", name, _known(cells), differs) for name, cells in rows if any(cells)]


def _range_text(difference: CodeDifference, *, same_commit: bool) -> str:
    if difference.same:
        return "same"
    if same_commit:
        return "other changes"
    if not output.for_people():
        return difference.commit_range
    ends = difference.commit_range.split("..")
    return "..".join(end[:_SHORT_COMMIT] for end in ends)


def _fact_rows(comparison: CompareRunsResponse, group: str) -> list[_Row]:
    return [
        _Row(group, name, _fact_cells(name, fact), fact.differs)
        for fact in comparison.facts
        for found, _, name in [fact.field.partition(".")]
        if found == group
    ]


def _fact_cells(name: str, fact: ComparedFact) -> tuple[str, ...]:
    if not output.for_people():
        return _known(fact.values)
    if name == "commit":
        return _known(value[:_SHORT_COMMIT] for value in fact.values)
    if name == "memory_bytes":
        return _known(output.format_bytes(int(value)) if value else "" for value in fact.values)
    return _known(digest_text(v) if v.startswith("sha256:") else v for v in fact.values)


def _known(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(value or output.MISSING for value in values)


def _print_part(headings: Sequence[str], baseline: int, rows: Sequence[_Row]) -> None:
    """Print a table, or several one below the other where the terminal is too narrow for it."""
    cells = [[output.shortened(cell, _LONGEST_CELL) for cell in row.cells] for row in rows]
    widths = [
        _GAP + max(output.width(heading), *(output.width(row[place]) for row in cells))
        for place, heading in enumerate(headings)
    ]
    room = get_terminal_size().columns - max(output.width(row.name) for row in rows) - _GAP
    for number, places in enumerate(_fitting(widths, baseline, room)):
        if number:
            output.print_lines([""])
        output.print_table(
            ["", *(headings[place] for place in places)],
            [
                (row.name, *(of_row[place] for place in places))
                for row, of_row in zip(rows, cells, strict=True)
            ],
        )


def _fitting(widths: Sequence[int], baseline: int, room: int) -> Iterator[list[int]]:
    """Places of the columns of each table; of several tables the baseline stands first in each.

    Args:
        widths: Of each column.
        baseline: Place of the baseline's column.
        room: What there is for columns on a line.
    """
    if sum(widths) <= room:
        yield list(range(len(widths)))
        return
    taken: list[int] = []
    for place in range(len(widths)):
        if place == baseline:
            continue
        if taken and widths[baseline] + sum(widths[p] for p in (*taken, place)) > room:
            yield [baseline, *taken]
            taken = []
        taken.append(place)
    yield [baseline, *taken]


def _print_pages(comparison: CompareRunsResponse, names: Sequence[str]) -> None:
    pages = [
        f"{name}  {difference.compare_url}"
        for name, difference in zip(names, comparison.code_differences, strict=False)
        if difference.compare_url
    ]
    if pages:
        output.print_heading("Changes of the code, to look at")
        # In no table, which would break an address where a terminal knows better.
        output.print_lines(pages)


def _note_hidden(parts: Iterable[_Part]) -> None:
    counts = []
    machine = 0
    for part in parts:
        hidden = [row for row in part.rows if not row.differs]
        of_machine = [row for row in hidden if row.kind == "metric" and is_of_system(row.name)]
        machine += len(of_machine)
        same = len(hidden) - len(of_machine)
        if part.noun and same:
            counts.append(f"{same} {part.noun}{'' if same == 1 else 's'}")
    if counts:
        output.note(f"\nThe same in all runs: {', '.join(counts)}. Print everything with --all.")
    if machine:
        output.note(f"Metrics of the machine, {machine} of them, are printed with --all, too.")
