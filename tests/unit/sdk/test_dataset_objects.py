"""Lists, and object columns: nothing of a value is lost on the way into its digest."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studbook.datasets import describe_dataset


def digest(values: Any) -> str:
    return describe_dataset({"c": values}, name="data", profile=False).digest


def kind(values: Any) -> tuple[str, int]:
    (column,) = describe_dataset({"c": values}, name="data", profile=False).columns
    return column.type, column.null_count


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None], ("int64", 1)),
        ([2**63, 0], ("uint64", 0)),
        ([1, 2.5], ("double", 0)),
        ([1, 2.5, None], ("double", 1)),
        ([1.5, float("nan"), None], ("double", 2)),
        ([True, None], ("bool", 1)),
        (["a", float("nan")], ("string", 1)),
        ([b"a", bytearray(b"b")], ("binary", 0)),
        ([dt.date(2026, 3, 3), None], ("date32", 1)),
        ([dt.time(1, 2)], ("time64[us]", 0)),
        ([dt.datetime(2026, 3, 3), None], ("timestamp[us]", 1)),  # noqa: DTZ001 - what users have
        ([dt.timedelta(hours=1), pd.NaT], ("duration[us]", 1)),
        ([Decimal("1.5"), Decimal("NaN")], ("decimal", 1)),
        ([np.float32(1.5), np.float32(2)], ("float", 0)),
        ([np.float32(1.5), 2.5], ("double", 0)),
        ([np.datetime64("2026-03-03")], ("date32", 0)),
        ([None, None], ("null", 2)),
        ([], ("null", 0)),
        (range(3), ("int64", 0)),
        (("a", "b"), ("string", 0)),
    ],
)
def test_types_of_lists(values: Any, expected: tuple[str, int]) -> None:
    assert kind(values) == expected


texts = st.text(alphabet="a\0\u00e9\N{SNOWMAN}", max_size=3)


@given(st.lists(texts, max_size=5), st.lists(texts, max_size=5))
def test_every_character_counts(one: list[str], other: list[str]) -> None:
    # NumPy's own texts lose the zeros at their end.
    assert (digest(one) == digest(other)) == (one == other)
    if one:
        assert digest(one) == digest(pa.array(one)) == digest(np.array(one, dtype=object))


data = st.binary(max_size=3).map(lambda value: value.replace(b"\x01", b"\0"))


@given(st.lists(data, min_size=1, max_size=5))
def test_every_byte_counts(values: list[bytes]) -> None:
    assert digest(values) == digest(pa.array(values, pa.binary()))
    assert digest([*values, b"\0"]) != digest([*values, b""])


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_whole_numbers_are_those_of_arrow(values: list[int]) -> None:
    assert digest(values) == digest(pa.array(values, pa.int64()))


@given(st.lists(st.floats(), max_size=9))
def test_a_list_of_doubles_is_an_array_of_them(values: list[float]) -> None:
    assert digest(values) == digest(np.array(values, dtype=float)) or not values


def test_numbers_are_never_rounded() -> None:
    assert digest([2**53, 0.5]) == digest([float(2**53), 0.5])
    for values in ([2**53 + 1, 0.5], [2**63, -1], [2**64]):
        with pytest.raises(TypeError, match='"c" is of type object'):
            digest(values)
    with pytest.raises(TypeError, match="longdouble"):
        digest(np.array([np.longdouble(1) / 3], dtype=object))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, "a"], "int, str"),
        ([True, 2], "bool, int"),
        ([2**53 + 1, 2.5, None], "float, int"),
        ([b"a", "a"], "bytes, str"),
        ([dt.date(2026, 3, 3), dt.datetime(2026, 3, 3)], "date, datetime"),  # noqa: DTZ001
        ([dt.datetime(2026, 3, 3, tzinfo=dt.UTC)], "time zone"),
        ([np.timedelta64(1, "D"), None], "timedelta64"),
        ([[1], [2, 3]], "list"),
        ([Decimal("Infinity")], "infinite"),
        ([Decimal("1E+99999999")], "1000 digits"),
        ([Decimal("1E-99999999")], "1000 digits"),
        ([dt.time(1, tzinfo=dt.UTC)], "time zone"),
    ],
)
def test_values_of_mixed_types_are_refused(values: list[Any], said: str) -> None:
    column = np.fromiter(values, dtype=object, count=len(values))
    for table in ({"c": values}, pd.DataFrame({"c": pd.Series(column, dtype=object)})):
        with pytest.raises(TypeError, match=f'"c" is of type object.*{said}'):
            describe_dataset(table, name="data")


def test_whole_numbers_of_numpy_do_not_wrap_around() -> None:
    with pytest.raises(TypeError, match="beyond 64 bits"):
        digest([2**63, np.int64(-1)])
    assert digest([np.uint64(5), -1]) == digest([5, -1])


def test_times_of_several_units_keep_what_they_say() -> None:
    early, fine = np.datetime64("1000-01-01"), np.datetime64("2026-03-03T00:00:00.000000001")

    with pytest.raises(TypeError, match=r'"c".*beyond 64 bits'):
        digest([early, fine])
    assert digest([np.datetime64("2026-03-03"), fine]) == digest(
        np.array(["2026-03-03", str(fine)], dtype="datetime64[ns]")
    )
    assert digest([np.timedelta64(1, "D"), np.timedelta64(1, "s")]) == digest(
        [dt.timedelta(days=1), dt.timedelta(seconds=1)]
    )


moments = st.datetimes() | st.none()
# Python's go beyond what Arrow has room for.
most = dt.timedelta(days=100_000_000)
spans = st.timedeltas(-most, most) | st.none()


@given(st.lists(moments, min_size=1), st.lists(spans, min_size=1))
def test_python_s_moments_and_spans_are_those_of_arrow(
    some: list[dt.datetime | None], others: list[dt.timedelta | None]
) -> None:
    if any(some):
        assert digest(some) == digest(pa.array(some, pa.timestamp("us")))
    if any(other is not None for other in others):
        assert digest(others) == digest(pa.array(others, pa.duration("us")))


def test_moments_of_pandas_keep_their_nanoseconds() -> None:
    times = [pd.Timestamp("1960-01-01T00:00:00.123456789"), pd.NaT]
    waits = [pd.Timedelta(-123_456_789_123, "ns"), None]

    assert digest(times) == digest(pd.Series(times))
    assert digest(waits) == digest(pd.to_timedelta(pd.Series(waits)))


def test_fixed_width_texts_of_numpy() -> None:
    strings = np.array(["a\0", "\N{SNOWMAN}"], dtype=np.dtypes.StringDType())

    assert digest(strings) == digest(["a\0", "\N{SNOWMAN}"])
    assert digest(np.array(["a", "bc"])) == digest(np.array(["a", "bc"], dtype=">U7"))
    assert digest(np.array(["a", "bc"])) == digest(["a", "bc"])
