"""Whether two tables look like samples of one population, judged by their profiles alone.

Used by the registry, by which versions are compared, and by programs that look at what a model in
production is asked. docs/what-changed.md describes the measures.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from studbook.drift_limits import FALSE_ALARMS, quantile_limit
from studbook.drift_numbers import compare_numbers
from studbook.drift_values import compare_missing, compare_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from studbook.drift_measures import Measure
    from studbook.tracking.v1.dataset_pb2 import Column

# Missing values, numbers, shares of values, different values: each gets its part of the chance
# that a column has of a false alarm.
_TESTS = 4

# By how much the distribution function moves with three quarters of a standard deviation.
_LARGE_DISTANCE = 0.3

_FAMILIES = {
    "number": r"u?int(8|16|32|64)|halffloat|float|double|decimal\d*|class_label",
    "text": r"(large_)?(string|utf8)|string_view",
    "bytes": r"(large_)?binary|binary_view|fixed_size_binary",
    "moment": r"date(32|64)|timestamp",
}


_UNPROFILED = frozenset(
    {"list", "large_list", "fixed_size_list", "struct", "map", "fixed_shape_tensor"}
)


class Outcome(StrEnum):
    """What became of a column."""

    STEADY = "steady"
    DRIFTED = "drifted"
    ADDED = "added"
    REMOVED = "removed"
    UNKNOWN = "unknown"
    # Of lists, structs and tensors nothing is recorded but how many are missing.
    UNPROFILED = "not profiled"


@dataclass(frozen=True)
class TableProfile:
    """What is known of a table.

    Attributes:
        row_count: Number of its rows.
        columns: Its columns with their profiles.
    """

    row_count: int
    columns: Sequence[Column]


@dataclass(frozen=True)
class ColumnDrift:
    """A column in two tables.

    Attributes:
        name: Its name.
        outcome: What became of it.
        old: The column in the first table; None when it is new.
        new: The column in the second table; None when it is gone.
        measures: How far apart the two are, by each measure that could be taken.
        reason: Why that is not known, or which types differ; else empty.
    """

    name: str
    outcome: Outcome
    old: Column | None
    new: Column | None
    measures: tuple[Measure, ...] = ()
    reason: str = ""


def compare_tables(old: TableProfile, new: TableProfile) -> tuple[ColumnDrift, ...]:
    """Compare all columns of two tables, those of the first in their order, then those added.

    Over all columns together, two samples of one population are called drifted less often than
    `FALSE_ALARMS`.
    """
    before, after = _by_name(old.columns), _by_name(new.columns)
    both = [name for name in before if name in after]
    chance = FALSE_ALARMS / max(len(both), 1) / _TESTS
    found = []
    for name, column in before.items():
        if name in after:
            pair = _Pair(old.row_count, column, new.row_count, after[name])
            found.append(_compare(pair, name, chance))
        else:
            found.append(ColumnDrift(name, Outcome.REMOVED, column, None))
    added = (name for name in after if name not in before)
    return (*found, *(ColumnDrift(name, Outcome.ADDED, None, after[name]) for name in added))


def rows_needed(columns: int) -> int:
    """From how many rows a shift of three quarters of a standard deviation is seen.

    Args:
        columns: How many columns are compared, with a table of very many rows.
    """
    chance = FALSE_ALARMS / max(columns, 1) / _TESTS / 2
    return math.ceil((quantile_limit(1.0, chance) / _LARGE_DISTANCE) ** 2)


def drifted(columns: Iterable[ColumnDrift]) -> list[ColumnDrift]:
    """Those that are not what they were; columns that came or went are among them."""
    return [column for column in columns if column.outcome not in _QUIET]


_QUIET = (Outcome.STEADY, Outcome.UNKNOWN, Outcome.UNPROFILED)


@dataclass(frozen=True)
class _Pair:
    """A column of two tables, and how many rows each table has."""

    old_rows: int
    old: Column
    new_rows: int
    new: Column


def _by_name(columns: Iterable[Column]) -> Mapping[str, Column]:
    """Columns by name; of those with the same name the second is called `name (2)`."""
    seen: Counter[str] = Counter()
    named = {}
    for column in columns:
        seen[column.name] += 1
        times = seen[column.name]
        named[column.name if times == 1 else f"{column.name} ({times})"] = column
    return named


def _compare(pair: _Pair, name: str, chance: float) -> ColumnDrift:
    steady = ColumnDrift(name, Outcome.STEADY, pair.old, pair.new)
    before, after = family(pair.old.type), family(pair.new.type)
    if before != after and "null" not in {before, after}:
        reason = f"its type was {pair.old.type} and is {pair.new.type}"
        return replace(steady, outcome=Outcome.DRIFTED, reason=reason)
    counts = (pair.old.null_count, pair.old_rows, pair.new.null_count, pair.new_rows)
    measures = list(compare_missing(*counts, chance))
    present = (pair.old_rows - pair.old.null_count, pair.new_rows - pair.new.null_count)
    reason = ""
    if min(present) > 0:
        more, reason = _compare_profiles(pair, present, before, chance)
        measures += more
    if any(measure.drifted for measure in measures):
        return replace(steady, outcome=Outcome.DRIFTED, measures=tuple(measures))
    outcome = Outcome.UNKNOWN if reason else Outcome.STEADY
    if reason and before in _UNPROFILED:
        outcome, reason = Outcome.UNPROFILED, f"values of the type {pair.old.type} are not profiled"
    return replace(steady, outcome=outcome, measures=tuple(measures), reason=reason)


def _compare_profiles(
    pair: _Pair, present: tuple[int, int], kind: str, chance: float
) -> tuple[list[Measure], str]:
    """The measures of what is in the profiles, and why some could not be taken."""
    for which, column in (("first", pair.old), ("second", pair.new)):
        if not column.HasField("profile"):
            return [], f"no profile of it was recorded in the {which} table"
    one, other = pair.old.profile, pair.new.profile
    measures: list[Measure] = []
    reason = ""
    if one.HasField("numbers") or other.HasField("numbers"):
        try:
            measures += compare_numbers(one.quantile_sketch, other.quantile_sketch, chance)
        except ValueError as error:
            reason = str(error)
    measures += compare_values(one, present[0], other, present[1], chance, kind)
    return measures, reason


def family(type_name: str) -> str:
    """The kind of values of an Arrow type, whatever their width: `int64` and `double` are numbers.

    Args:
        type_name: The type in the words of Arrow.
    """
    head = re.split(r"[\[<(]", type_name.lower())[0].strip()
    for kind, names in _FAMILIES.items():
        if re.fullmatch(names, head):
            return kind
    return head
