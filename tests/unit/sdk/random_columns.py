"""Random columns of Arrow, for tests of what they count for."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

# Such as nanoseconds in 64 bits have room for.
_EARLIEST, _LATEST = dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)  # noqa: DTZ001
_MOMENTS = st.datetimes(_EARLIEST, _LATEST)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=4),
    pa.binary(): st.binary(max_size=4),
    pa.date32(): st.dates(),
    pa.time64("us"): st.times(),
    pa.timestamp("us"): _MOMENTS,
    pa.timestamp("us", "Asia/Tokyo"): _MOMENTS,
    pa.duration("us"): st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)),
    pa.decimal128(9, 2): st.integers(-(10**8), 10**8).map(lambda n: decimal.Decimal(n).scaleb(-2)),
}


@st.composite
def kinds(draw: st.DrawFn, depth: int = 2) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    """A type, and values of it."""
    shape = draw(st.sampled_from(["plain", "plain", "list", "struct"])) if depth else "plain"
    if shape == "plain":
        kind = draw(st.sampled_from(list(VALUES)))
        return kind, VALUES[kind]
    kind, values = draw(kinds(depth - 1))
    if shape == "list":
        return pa.list_(kind), st.lists(st.none() | values, max_size=3)
    other, others = draw(kinds(depth - 1))
    fields = {"x": st.none() | values, "y": st.none() | others}
    return pa.struct([("x", kind), ("y", other)]), st.fixed_dictionaries(fields)


@st.composite
def arrays(draw: st.DrawFn) -> pa.Array:
    kind, values = draw(kinds())
    rows = draw(st.lists(st.none() | values, max_size=8))
    return pa.array(rows, kind)
