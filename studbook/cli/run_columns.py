"""The columns of `studbook run ls`.

Columns are written like the fields of a filter: `params.lr`, `metrics."val/loss".min`. Quotes may
be left out where the key has no comma. `*` stands for any characters in a key, and gives a column
for each key that matches in the runs that are listed.
"""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from studbook.cli import output
from studbook.cli.run_text import (
    bytes_text,
    commit_text,
    dataset_text,
    duration_text,
    is_of_system,
    param_text,
    run_cell,
    state_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from studbook.tracking.v1.metric_pb2 import MetricSummary
    from studbook.tracking.v1.run_pb2 import DatasetInput, Run

DEFAULT_COLUMNS = "run,name,state,started,duration,creator"
_STATISTICS = (
    "last", "min", "max", "mean", "first", "count", "last_step", "min_step", "max_step",
)  # fmt: skip
_CODE = (
    "repository", "commit", "branch", "dirty", "diff_digest", "diff_artifact", "entry_point",
    "untracked_count",
)  # fmt: skip
_ENVIRONMENT = (
    "python_version", "python_implementation", "platform", "machine", "cpu_count", "cpu_model",
    "memory_bytes", "hostname", "command_line", "accelerators", "container_image_digest", "conda",
)  # fmt: skip
# What may be of any length. A terminal shows the beginning: one long text would push all columns
# behind it out of sight.
_TEXTS = frozenset({"name", "description", "state_reason", "params", "tags"})
_LONGEST_TEXT = 60
# What a filter calls them.
_OTHER_NAMES = {
    "display_name": "name",
    "start_time": "started",
    "end_time": "ended",
    "create_time": "created",
    "update_time": "updated",
    "heartbeat_time": "heartbeat",
}
_COMMA_OUTSIDE_QUOTES = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
_SIGNS = re.compile(r"[\[?]")
_QUOTED = re.compile(r'"([^"]*)"(?:\.(\w+))?')


class Column(NamedTuple):
    """A column that was asked for.

    Attributes:
        heading: As it was typed.
        group: `params`, `metrics` and so on; empty for a column of the run itself.
        key: Key within the group, or the column's name.
        statistic: Which figure of a metric; empty where it was not set apart by quotes.
        exact: Whether the key was quoted, so that `*` stands for itself.
    """

    heading: str
    group: str
    key: str
    statistic: str = ""
    exact: bool = False


def read_columns(text: str) -> list[Column]:
    """The columns that `--columns` names, or the default ones.

    Raises:
        typer.BadParameter: There is no such column; says which there are.
    """
    return [_read(typed.strip()) for typed in _COMMA_OUTSIDE_QUOTES.split(text or DEFAULT_COLUMNS)]


def _read(typed: str) -> Column:
    name = _OTHER_NAMES.get(typed, typed)
    if name in _OF_RUN:
        return Column(typed, "", name)
    column = _keyed(typed)
    if not _exists(column):
        raise typer.BadParameter(f'There is no column "{typed}". There are:\n{_known_columns()}')
    return column


def _keyed(typed: str) -> Column:
    group, _, key = typed.partition(".")
    quoted = _QUOTED.fullmatch(key)
    if quoted is None:
        return Column(typed, group, key)
    return Column(typed, group, quoted[1], quoted[2] or "", exact=True)


def _exists(column: Column) -> bool:
    if column.group not in _OF_GROUP or not column.key or '"' in column.key:
        return False
    if column.statistic:
        return column.group == "metrics" and column.statistic in _STATISTICS
    # What may stand behind the dot is known for some groups.
    known = {"code": _CODE, "environment": _ENVIRONMENT}.get(column.group)
    return known is None or any(_matches(column, name) for name in known)


def _known_columns() -> str:
    lines = [
        ", ".join(_OF_RUN),
        "params.KEY, tags.KEY, datasets.ROLE",
        f"metrics.KEY, and behind it .{', .'.join(_STATISTICS)}",
        f"code.{', code.'.join(_CODE)}",
        f"environment.{', environment.'.join(_ENVIRONMENT)}",
    ]
    return "\n".join(lines)


def table_of(
    columns: Sequence[Column], runs: Sequence[Run]
) -> tuple[list[str], Iterator[list[str]]]:
    """Headings, and a row of text for each run; `*` is replaced by what the runs have."""
    columns = [found for column in columns for found in _expanded(column, runs)]
    rows = ([_cell(run, column) for column in columns] for run in runs)
    return [column.heading for column in columns], rows


def note_when_cut(printed: int, limit: int) -> None:
    """Say on stderr that there may be more rows than were printed."""
    if printed == limit and output.for_people():
        output.note(f"The first {limit}; print more with --limit.")


def _expanded(column: Column, runs: Sequence[Run]) -> list[Column]:
    if column.exact or "*" not in column.key:
        return [column]
    key, dot, statistic = column.key.rpartition(".")
    if column.group != "metrics" or statistic not in _STATISTICS:
        key, dot, statistic = column.key, "", ""
    pattern = column._replace(key=key)
    return [
        Column(f"{column.group}.{name}{dot}{statistic}", column.group, name, statistic, exact=True)
        for name in sorted({name for run in runs for name in _keys(run, column.group)})
        # Those of the machine are many, and shown when they are asked for.
        if _matches(pattern, name) and (is_of_system(key) or not is_of_system(name))
    ]


def _matches(column: Column, name: str) -> bool:
    # No other sign than the star means anything.
    pattern = _SIGNS.sub(r"[\g<0>]", column.key)
    return column.key == name if column.exact else fnmatchcase(name, pattern)


def _keys(run: Run, group: str) -> Iterable[str]:
    match group:
        case "params":
            return [param.key for param in run.params]
        case "metrics":
            return [metric.key for metric in run.metrics]
        case "tags":
            return list(run.tags)
        case "datasets":
            return [used.role for used in run.dataset_inputs]
        case "code":
            return _CODE
        case _:
            return _ENVIRONMENT


def _cell(run: Run, column: Column) -> str:
    of_run = not column.group
    cell = _OF_RUN[column.key](run) if of_run else _OF_GROUP[column.group](run, column)
    if output.for_people() and (column.key if of_run else column.group) in _TEXTS:
        cell = output.shortened(cell, _LONGEST_TEXT)
    return cell or output.MISSING


def _param_cell(run: Run, column: Column) -> str:
    return next((param_text(param.value) for param in run.params if param.key == column.key), "")


def _metric_cell(run: Run, column: Column) -> str:
    summaries = {metric.key: metric for metric in run.metrics}
    if column.key in summaries:
        return _figure(summaries[column.key], column.statistic or "last")
    stem, _, statistic = column.key.rpartition(".")
    if column.exact or stem not in summaries or statistic not in _STATISTICS:
        return ""
    return _figure(summaries[stem], statistic)


def _figure(summary: MetricSummary, statistic: str) -> str:
    figure = getattr(summary, statistic)
    return str(figure) if isinstance(figure, int) else output.format_number(figure)


def _datasets(run: Run, column: Column | None = None) -> str:
    def text(used: DatasetInput) -> str:
        return dataset_text(used.dataset) if column else f"{used.role}={dataset_text(used.dataset)}"

    wanted = (used for used in run.dataset_inputs if column is None or used.role == column.key)
    return ", ".join(map(text, wanted))


def _fact(run: Run, column: Column) -> str:
    fact = getattr(getattr(run, column.group), column.key)
    if column.key == "dirty":
        # Without a commit nobody has looked whether the files differ from it.
        return ("no", "yes")[fact] if run.code.commit else ""
    written = _WRITTEN.get(column.key, str)
    return written(fact) if fact else ""


_WRITTEN: dict[str, Callable[[Any], str]] = {
    "memory_bytes": bytes_text,
    "conda": lambda conda: str(conda.name),
    "command_line": shlex.join,
    "accelerators": ", ".join,
}

_OF_RUN: dict[str, Callable[[Run], str]] = {
    "run": lambda run: run_cell(run.name),
    "name": lambda run: run.display_name,
    "state": lambda run: state_text(run.state),
    "state_reason": lambda run: run.state_reason,
    "exit_code": lambda run: str(run.exit_code) if run.HasField("exit_code") else "",
    "signal": lambda run: run.signal,
    "started": lambda run: output.format_second(run.start_time),
    "ended": lambda run: output.format_second(run.end_time),
    "duration": duration_text,
    "heartbeat": lambda run: output.format_second(run.heartbeat_time),
    "created": lambda run: output.format_second(run.create_time),
    "updated": lambda run: output.format_second(run.update_time),
    "deleted": lambda run: output.format_second(run.delete_time),
    "creator": lambda run: run.creator.display_name or run.creator.id,
    "description": lambda run: run.description,
    "commit": lambda run: commit_text(run.code),
    "datasets": _datasets,
}

_OF_GROUP: dict[str, Callable[[Run, Column], str]] = {
    "params": _param_cell,
    "tags": lambda run, column: run.tags.get(column.key, ""),
    "metrics": _metric_cell,
    "datasets": _datasets,
    "code": _fact,
    "environment": _fact,
}
