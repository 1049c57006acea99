"""Digests of fixed tables, written down: what stands in lineages must stay what it is.

A version of a library or of Studbook under which one of these changes gives old data a new digest.
It needs a new name of the form, `table/v2`, and not another value here.
"""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from studbook.datasets import describe_dataset

NUMBERS = {
    **{name: np.array([0, 1, 127], name) for name in ("int8", "int16", "int32", "int64")},
    **{name: np.array([0, 1, 255], name) for name in ("uint8", "uint16", "uint32", "uint64")},
    **{name: np.array([0.5, np.nan, -0.0], name) for name in ("float16", "float32", "float64")},
    "bool": np.array([True, False, True]),
}
NULLS = pa.table(
    {
        "int": pa.array([1, None, 3], pa.int32()),
        "double": pa.array([1.5, None, float("nan")], pa.float64()),
        "bool": pa.array([True, None, False]),
        "text": pa.array(["", None, "\N{SNOWMAN}\0"]),
        "data": pa.array([b"", None, b"\x00\xff"]),
        "none": pa.nulls(3),
        "money": pa.array([decimal.Decimal("-12.50"), None, decimal.Decimal(0)]),
    }
)
TIMES = pa.table(
    {
        "date": pa.array([dt.date(1969, 12, 31), None, dt.date(2026, 3, 3)]),
        "time": pa.array([dt.time(0), None, dt.time(23, 59, 59, 999_999)]),
        "moment": pa.array([-1, None, 1_772_546_700_250_000], pa.timestamp("us")),
        "zoned": pa.array([-1, None, 1_772_546_700], pa.timestamp("s", "Europe/Berlin")),
        "span": pa.array([-1, None, 1], pa.duration("ns")),
    }
)
NESTED = pa.table(
    {
        "list": pa.array([[1, None], None, []], pa.list_(pa.int16())),
        "struct": pa.array([{"x": "a", "y": [1.5]}, None, {"x": None, "y": []}]),
        "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "deep": pa.array([[[{"z": True}]], None, [[], None]]),
    }
)
GOLDEN: dict[str, tuple[str, Any]] = {
    "numbers": ("80ec8d04d10adf88b0301e6652ad8011ca907a86e650ac99d2ada27a738731e9", NUMBERS),
    "nulls": ("8b2e51e1dbd37a9a7aac10ad11a4c4b14401ba3a51d2233d0df2b9b16c90de5b", NULLS),
    "times": ("d10ec0bfe09ffb29c4f3533fb992e03b6cb63d625ce7bf3a2c48d399703dc218", TIMES),
    "nested": ("0309dfd1e3312c7f3622c293b6667222c43af91b32772a084b86e9f94c655bb2", NESTED),
    "tensors": (
        "2b4e7824c06c304f297cd49dfd69f5a8da357c53c6b6f4cc92e74fa8cd7c7b93",
        np.arange(24, dtype="i4").reshape(2, 3, 4),
    ),
    "empty": (
        "9d0cf4b770500fd41b2777f43641e107a69f03db895e65eb01ca5d65a5ed39fe",
        pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())}),
    ),
    "nothing": ("37b2aa93df7daad05480eb65d1fece63239dc247cf0db7e3c726682d5a2834a2", {}),
    "same names": (
        "161cb9c26f23d050beaacf5f30614292ca0cd36dc662140de6bcc091fdebf20d",
        pa.table([pa.array([1]), pa.array(["1"])], names=["a", "a"]),
    ),
    "frame": (
        "b265bf1b624abd78935608e8f0aff2c3719adac3fde7b7b72308f5907ff3b5d9",
        pd.DataFrame(
            {
                "kind": pd.Categorical(["x", None, "y"]),
                "maybe": pd.array([1, None, 3], dtype="Int8"),
                "at": pd.to_datetime(
                    ["2026-03-03T14:05:00", None, "1969-12-31T00:00:00"]
                ).tz_localize("UTC"),
            },
            index=pd.Index(["p", "q", "r"], name="id"),
        ),
    ),
    "polars": (
        "60e7e95b7f59842b59e338f7462a7bf8b25072577e205538b0316688e9ad36bc",
        pl.DataFrame(
            {"kind": ["x", None, "y"], "list": [[1], None, []], "at": [dt.date(2026, 3, 3)] * 3},
            schema={"kind": pl.Categorical, "list": pl.List(pl.UInt8), "at": pl.Date},
        ),
    ),
    "many rows": (
        "126f689086e74174e4856c9709b716a40c1933f000bd671a6fb84b815cbd0047",
        {"n": np.arange(1_000_000) % 1009, "x": np.arange(1_000_000) / 8},
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_known_digest_stays(name: str) -> None:
    digest, data = GOLDEN[name]

    assert describe_dataset(data, name="data", profile=False).digest == f"sha256:{digest}"
