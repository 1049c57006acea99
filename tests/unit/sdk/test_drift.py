"""Tables that drifted are told from tables that did not, by their profiles alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studbook.dataset_profile import merge
from studbook.drift import Outcome, TableProfile, compare_tables, family, rows_needed
from studbook.drift_measures import Kind
from tests.unit.sdk.drifting_tables import compared, drifting, profile_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from studbook.drift import ColumnDrift

ROWS = 10_000
WORDS = np.array([f"word {number}" for number in range(500)])
NEW_YEAR = np.datetime64("2026-01-01", "s")

Column = Any


def made(seed: int, rows: int = ROWS) -> dict[str, Column]:
    """A table with columns of every kind."""
    random = np.random.default_rng(seed)
    return {
        "number": random.normal(10, 2, rows),
        "constant": np.full(rows, 3),
        "few": random.integers(0, 4, rows),
        "heavy": random.standard_cauchy(rows),
        "skewed": random.lognormal(0, 3, rows),
        "empty": [None] * rows,
        "gaps": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows)),
        "truth": random.random(rows) < 0.3,
        "colour": random.choice(WORDS[:5], rows, p=[0.5, 0.3, 0.1, 0.06, 0.04]),
        "words": random.choice(WORDS, rows),
        "text": random.integers(0, 10**12, rows).astype(str),
        "time": NEW_YEAR + random.integers(0, 10**7, rows).astype("m8[s]"),
        "vector": np.ones((rows, 2)),
    }


TRAINED = profile_of(made(1))


def replaced(values: Column, share: float, value: object) -> Column:
    """The values, of which a share at random is another one."""
    chosen = np.random.default_rng(9).random(len(values)) < share
    return np.where(chosen, value, values)  # type: ignore[call-overload] # of any kind


DRIFTS: dict[str, tuple[str, Callable[[Column], Column], Kind]] = {
    "half a deviation": ("number", lambda values: values + 1.0, Kind.QUANTILES),
    "wider": ("number", lambda values: 10 + (values - 10) * 1.6, Kind.PSI),
    "another unit": ("number", lambda values: values * 1000, Kind.QUANTILES),
    "a sentinel": ("number", lambda values: replaced(values, 0.04, -999.0), Kind.SHARE),
    "one value often": ("number", lambda values: replaced(values, 0.08, 10.0), Kind.SHARE),
    "no longer constant": ("constant", lambda values: replaced(values, 0.03, 4), Kind.SHARE),
    "another constant": ("constant", lambda values: values + 1, Kind.QUANTILES),
    "few numbers, other shares": ("few", lambda values: np.minimum(values, 2), Kind.SHARE),
    "a heavy tail moved": ("heavy", lambda values: values + 2, Kind.QUANTILES),
    "no longer empty": ("empty", lambda values: [1.0] * 500 + values[500:], Kind.MISSING),
    "more missing": ("gaps", lambda values: replaced(values, 0.08, np.nan), Kind.MISSING),
    "all missing": ("number", lambda values: np.full(len(values), np.nan), Kind.MISSING),
    "other odds": ("truth", lambda values: ~values, Kind.SHARE),
    "a new category": ("colour", lambda values: replaced(values, 0.02, "beige"), Kind.SHARE),
    "another mix": ("colour", lambda values: replaced(values, 0.15, "word 1"), Kind.SHARE),
    "other words": ("words", lambda values: np.char.add(values, "!"), Kind.NEW),
    "other colours": ("colour", lambda values: np.char.add(values, "!"), Kind.SHARE),
    "fewer categories": (
        "words",
        lambda values: np.random.default_rng(3).choice(WORDS[:100], len(values)),
        Kind.DISTINCT,
    ),
    "texts that repeat": ("text", lambda values: np.tile(values[:2000], 5), Kind.DISTINCT),
    "later": ("time", lambda values: values + np.timedelta64(40, "D"), Kind.QUANTILES),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_a_column_that_changed_is_found_and_no_other(name: str) -> None:
    column, change, kind = DRIFTS[name]
    second = made(2)
    second[column] = change(second[column])
    found = compare_tables(TRAINED, profile_of(second))
    assert [drift.name for drift in found if drift.outcome is Outcome.DRIFTED] == [column]
    (drift,) = (drift for drift in found if drift.name == column)
    assert kind in {measure.kind for measure in drift.measures if measure.drifted}
    for measure in drift.measures:
        assert measure.drifted == (measure.value > measure.limit)


@pytest.mark.parametrize("rows", [100, 150, 1000, 30_000])
def test_other_rows_of_the_same_population_are_steady(rows: int) -> None:
    for seed in range(5):
        assert not drifting(made(100 + seed, rows), made(200 + seed, rows))
        found = compare_tables(TRAINED, profile_of(made(300 + seed, rows)))
        assert {drift.outcome for drift in found} == {Outcome.STEADY, Outcome.UNPROFILED}


def test_ten_million_rows_do_not_make_trifles_matter() -> None:
    random = np.random.default_rng(4)
    many = profile_of({"number": random.normal(size=10_000_000)})
    for shift, outcome in ((0.1, Outcome.STEADY), (0.5, Outcome.DRIFTED)):
        shifted = profile_of({"number": random.normal(size=10_000_000) + shift})
        (drift,) = compare_tables(many, shifted)
        assert drift.outcome is outcome


def test_the_same_table_is_apart_from_itself_by_nothing() -> None:
    for drift in compare_tables(TRAINED, TRAINED):
        assert drift.outcome in {Outcome.STEADY, Outcome.UNPROFILED}
        assert all(measure.value == 0 for measure in drift.measures)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    seed, rows = draw(st.integers(0, 10**6)), draw(st.integers(1, 400))
    random = np.random.default_rng(seed)
    match draw(st.integers(0, 4)):
        case 0:
            return random.normal(draw(st.floats(-2, 2)), 1, rows)
        case 1:
            return random.integers(0, draw(st.integers(1, 30)), rows).astype(float)
        case 2:
            return np.where(random.random(rows) < 0.5, np.nan, random.random(rows))
        case 3:
            return random.choice([-np.inf, np.inf, 0.0, 1e308, 5e-324], rows)
    return random.choice(WORDS[: draw(st.integers(1, 40))], rows)


@given(one=columns(), other=columns())
@settings(max_examples=150)
def test_which_table_is_the_first_does_not_matter(one: Column, other: Column) -> None:
    # A sketch keeps other numbers of the same table each time, so each is profiled once.
    tables = profile_of({"c": one}), profile_of({"c": other})
    (forth,) = compare_tables(*tables)
    (back,) = compare_tables(*reversed(tables))
    assert forth.outcome is back.outcome
    ours = {measure.kind: measure for measure in forth.measures}
    theirs = {measure.kind: measure for measure in back.measures}
    assert ours.keys() == theirs.keys()
    for kind, measure in ours.items():
        assert measure.value >= 0
        assert measure.drifted == theirs[kind].drifted
        if kind is not Kind.SHARE:  # of values that changed as much, either may be named
            assert measure.value == pytest.approx(theirs[kind].value)
            assert measure.limit == pytest.approx(theirs[kind].limit)


def test_columns_that_came_went_or_changed_their_type() -> None:
    first = {"gone": [1, 2], "number": [1, 2], "whole": [1, 2], "flag": [True, False]}
    second = {"number": ["1", "2"], "whole": [1.0, 2.0], "flag": [1, 0], "new": [1, 2]}
    outcomes = {drift.name: drift for drift in compared(first, second)}
    assert list(outcomes) == ["gone", "number", "whole", "flag", "new"]
    assert outcomes["gone"].outcome is Outcome.REMOVED
    assert outcomes["new"].outcome is Outcome.ADDED
    assert outcomes["whole"].outcome is Outcome.STEADY
    for name, reason in {
        "number": "its type was int64 and is string",
        "flag": "its type was bool and is int64",
    }.items():
        assert outcomes[name].outcome is Outcome.DRIFTED
        assert outcomes[name].reason == reason


def test_without_a_profile_nothing_is_said_about_values() -> None:
    table = profile_of({"number": [1.0, 2.0, 3.0]})
    bare = replace(table, columns=[*table.columns])
    column = type(table.columns[0])()
    column.CopyFrom(table.columns[0])
    column.ClearField("profile")
    (drift,) = compare_tables(bare, TableProfile(table.row_count, [column]))
    assert drift.outcome is Outcome.UNKNOWN
    assert drift.reason == "no profile of it was recorded in the second table"


def test_a_profile_whose_sketch_was_left_out_is_not_taken_for_steady() -> None:
    table = profile_of({"number": np.arange(1000.0)})
    column = type(table.columns[0])()
    column.CopyFrom(table.columns[0])
    column.profile.ClearField("quantile_sketch")
    (drift,) = compare_tables(table, TableProfile(table.row_count, [column]))
    assert drift.outcome is Outcome.UNKNOWN
    assert "no quantile sketch" in drift.reason


def test_a_forged_sketch_is_no_reason_to_fail() -> None:
    table = profile_of({"number": np.arange(1000.0)})
    column = type(table.columns[0])()
    column.CopyFrom(table.columns[0])
    column.profile.quantile_sketch = b"\x05\x02\x0f" + bytes(40)
    (drift,) = compare_tables(table, TableProfile(table.row_count, [column]))
    assert drift.outcome is Outcome.UNKNOWN
    assert "no KLL sketch" in drift.reason


def test_an_empty_table_is_steady_beside_any() -> None:
    (drift,) = compared({"c": np.empty(0)}, {"c": np.arange(5.0)})
    assert (drift.outcome, drift.measures) == (Outcome.STEADY, ())


def test_whole_numbers_and_doubles_are_the_same_values() -> None:
    random = np.random.default_rng(5)
    assert not drifting(
        {"c": random.integers(0, 3, 5000)}, {"c": random.integers(0, 3, 5000).astype(float)}
    )


@pytest.mark.parametrize(
    ("type_name", "kind"),
    [
        ("int8", "number"),
        ("uint64", "number"),
        ("decimal128(10, 2)", "number"),
        ("large_string", "text"),
        ("timestamp[us, tz=UTC]", "moment"),
        ("date32", "moment"),
        ("list<double>", "list"),
        ("bool", "bool"),
    ],
)
def test_types_of_the_same_kind_compare(type_name: str, kind: str) -> None:
    assert family(type_name) == kind


def test_more_columns_need_more_rows() -> None:
    assert 40 < rows_needed(1) < rows_needed(20) < rows_needed(10_000) < 150


def names(found: tuple[ColumnDrift, ...]) -> list[str]:
    return [drift.name for drift in found]


def test_columns_with_the_same_name_stand_against_each_other_in_order() -> None:
    table = profile_of({"c": np.arange(1000.0)})
    other = profile_of({"c": np.arange(1000.0) + 700})
    both = TableProfile(1000, [*table.columns, *other.columns])
    found = compare_tables(both, both)
    assert names(found) == ["c", "c (2)"]
    assert all(drift.outcome is Outcome.STEADY for drift in found)


@pytest.mark.parametrize("kind", ["few", "words", "number", "text"])
def test_a_profile_merged_of_parts_is_steady_beside_the_whole(kind: str) -> None:
    table = made(7)[kind]
    whole = profile_of({"c": table}).columns[0]
    merged = profile_of({"c": table[:1000]}).columns[0]
    for first in range(1000, ROWS, 1000):
        part = profile_of({"c": table[first : first + 1000]}).columns[0]
        merged.profile.CopyFrom(merge(merged.profile, part.profile))
    (drift,) = compare_tables(TableProfile(ROWS, [whole]), TableProfile(ROWS, [merged]))
    assert drift.outcome is Outcome.STEADY
