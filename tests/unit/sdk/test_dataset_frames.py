"""pandas frames: what their own types of columns and their index count for."""

from __future__ import annotations

import datetime as dt
import decimal
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.unit.sdk.table_digest import digest


def test_time_zones_have_one_name_in_every_library() -> None:
    moment = dt.datetime(2026, 3, 3, 14, 5)  # noqa: DTZ001 - the zones come below
    zones: dict[str, list[Any]] = {
        "UTC": [dt.UTC, zoneinfo.ZoneInfo("UTC"), "dateutil/UTC"],
        "Europe/Berlin": [zoneinfo.ZoneInfo("Europe/Berlin"), "dateutil/Europe/Berlin"],
        "-03:30": [dt.timezone(-dt.timedelta(hours=3, minutes=30))],
    }
    for name, same in zones.items():
        for zone in same:
            times = pd.Series([moment]).dt.tz_localize(zone)
            arrow = pa.array([times[0]], pa.timestamp("us", name))
            assert digest({"t": times}) == digest({"t": arrow}), (name, zone)
    offset = pa.array([moment], pa.timestamp("us", "+00:00"))
    assert digest({"t": offset}) == digest({"t": pa.array([moment], pa.timestamp("us", "UTC"))})


def test_an_offset_of_seconds_has_no_name() -> None:
    zone = dt.timezone(dt.timedelta(hours=1, seconds=30))
    times = pd.Series([dt.datetime(2026, 3, 3)]).dt.tz_localize(zone)  # noqa: DTZ001 - comes here

    with pytest.raises(TypeError, match="no whole minutes"):
        digest({"t": times})


def test_a_time_zone_without_a_name_is_refused() -> None:
    class Odd(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta | None:
            return dt.timedelta(hours=1) if when else None

        def tzname(self, when: dt.datetime | None) -> str:
            return f"odd at {when}"

        def dst(self, when: dt.datetime | None) -> dt.timedelta | None:
            return None

    times = pd.Series([dt.datetime(2026, 3, 3, tzinfo=Odd())])
    with pytest.raises(TypeError, match='"t" is of type'):
        digest({"t": times})


def test_categories_are_the_values_they_stand_for() -> None:
    values: list[Any] = [
        pd.Series(pd.to_datetime(["2026-03-03", "2026-03-04", "2026-03-03"]).tz_localize("UTC")),
        pd.Series([1.5, 2.5, 1.5]),
        pd.Series(pd.array([3, 1, 3], dtype="Int16")),
        pd.Series(["b", "", "b"]),
        pd.Series([True, False, True]),
        pd.Series([dt.date(2026, 3, 3), dt.date(1960, 1, 1), dt.date(2026, 3, 3)]),
        pd.Series([decimal.Decimal(1), decimal.Decimal("2.5"), decimal.Decimal(1)]),
    ]
    for series in values:
        assert digest({"c": series.astype("category")}) == digest({"c": series}), series.dtype
    some = pd.Categorical(["x", None, "y"], categories=["z", "y", "x"])
    assert digest({"c": some}) == digest({"c": ["x", None, "y"]})
    assert digest({"c": pd.Categorical([None, None])}) == digest({"c": [None, None]})
    with pytest.raises(TypeError, match='"c" is of type interval'):
        digest({"c": pd.cut(pd.Series([1, 2, 3]), 2)})


def test_an_index_that_only_counts_is_none() -> None:
    plain = digest(pd.DataFrame({"a": [1, 2]}))

    for dtype in ("int64", "uint8", "Int64", "int64[pyarrow]"):
        index = pd.Index([0, 1], dtype=dtype)
        assert digest(pd.DataFrame({"a": [1, 2]}, index=index)) == plain, dtype
    assert digest(pd.DataFrame({"a": [0, 1, 2]})[1:]) != digest(pd.DataFrame({"a": [1, 2]}))
    assert digest(pd.DataFrame({"a": [1, 2]}, index=pd.Index([1, 0]))) != plain


def test_an_index_with_a_name_says_something_whatever_it_counts() -> None:
    def frame(index: Any) -> str:
        return digest(pd.DataFrame({"a": [1, 2]}, index=index))

    named = digest(pd.DataFrame({"id": [0, 1], "a": [1, 2]}))
    assert frame(pd.Index([0, 1], name="id")) == frame(pd.RangeIndex(2, name="id")) == named
    assert frame(pd.Index([0, 1], name="other")) != named


def test_sparse_columns_are_what_they_stand_for() -> None:
    for values in ([0, 0, 7], [1.5, float("nan"), float("nan")], [True, False, False]):
        sparse = pd.arrays.SparseArray(values)
        assert digest(pd.DataFrame({"a": sparse})) == digest(pd.DataFrame({"a": values}))


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": [1]}),
        pd.MultiIndex.from_tuples([(1, 2)]),
        pd.Timestamp("2026-03-03"),
        pa.table({"a": [1]}),
        pa.scalar(1),
        pl.DataFrame({"a": [1]}),
        pl.LazyFrame({"a": [1]}),
    ],
)
def test_what_is_no_column_is_refused_as_one(value: Any) -> None:
    with pytest.raises(TypeError, match=f'"c" is a {type(value).__name__}; a column is'):
        digest({"c": value})


def test_nan_and_no_value_are_two_things_to_nullable_columns() -> None:
    def floats(first: float, *, missing: bool) -> str:
        mask = np.array([missing, False])
        return digest({"x": pd.arrays.FloatingArray(np.array([first, 1.0]), mask)})

    nan = float("nan")
    assert floats(nan, missing=False) == digest({"x": np.array([nan, 1.0])})
    assert floats(5.0, missing=True) == digest({"x": pa.array([None, 1.0])})
    assert floats(nan, missing=False) != floats(nan, missing=True) == floats(5.0, missing=True)


def test_a_class_that_builds_on_a_frame_is_one() -> None:
    class Survey(pd.DataFrame):  # type: ignore[misc] # pandas is untyped here
        pass

    class Metres(np.ndarray[Any, Any]):
        pass

    frame = {"a": [1.0, float("nan")]}
    assert digest(Survey(frame, index=[3, 4])) == digest(pd.DataFrame(frame, index=[3, 4]))
    # What builds on an array may be more than its numbers.
    with pytest.raises(TypeError, match="Metres has no canonical form"):
        digest(np.zeros(2).view(Metres))
