"""The form `table/v1`, written out once more from docs/reference/dataset-digests.md alone."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import struct
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from studbook.datasets import describe_dataset
from tests.unit.sdk.random_columns import arrays

if TYPE_CHECKING:
    import decimal

is_type = pa.types
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def text(value: str) -> bytes:
    return u64(len(value.encode())) + value.encode()


def table(columns: dict[str, pa.Array]) -> str:
    rows = len(next(iter(columns.values())))
    blocks = [column(name, array.type, array.to_pylist()) for name, array in columns.items()]
    whole = b"studbook table/v1\n" + u64(len(columns)) + u64(rows) + b"".join(blocks)
    return "sha256:" + hashlib.sha256(whole).hexdigest()


def column(name: str, kind: pa.DataType, rows: list[Any]) -> bytes:
    bits = sum(1 << place for place, row in enumerate(rows) if row is not None)
    validity = bits.to_bytes((len(rows) + 7) // 8, "little")
    word, lengths, values = streams(kind, rows)
    hashed = [hashlib.sha256(stream).digest() for stream in (validity, lengths, values)]
    return text(name) + text(word) + b"".join(hashed)


def streams(kind: pa.DataType, rows: list[Any]) -> tuple[str, bytes, bytes]:
    """The type as hashed, the lengths, the values."""
    if is_type.is_list(kind):
        items = [item for row in rows if row is not None for item in row]
        counts = b"".join(u64(len(row or [])) for row in rows)
        return "list", counts, column("", kind.value_type, items)
    if is_type.is_struct(kind):
        parts = [
            column(
                field.name, field.type, [None if row is None else row[field.name] for row in rows]
            )
            for field in kind
        ]
        return "struct", b"", b"".join(parts)
    word, encode, width = next(form for test, *form in FORMS if test(kind))
    values = [None if row is None else encode(row) for row in rows]
    if width:
        zoned = f"{word}[tz={kind.tz}]" if is_type.is_timestamp(kind) and kind.tz else word
        return zoned, b"", b"".join(value or bytes(width) for value in values)
    lengths = b"".join(u64(len(value or b"")) for value in values)
    return word, lengths, b"".join(value or b"" for value in values)


def number(word: str, code: str, nan: str = "") -> tuple[Any, str, Any, int]:
    def encode(value: Any) -> bytes:
        return bytes.fromhex(nan) if math.isnan(value) else struct.pack("<" + code, value)

    return lambda kind: str(kind) == word, word, encode, struct.calcsize("<" + code)


def moment(since: dt.timedelta) -> bytes:
    seconds = since // dt.timedelta(seconds=1)
    return struct.pack("<qI", seconds, (since - dt.timedelta(seconds=seconds)).microseconds * 1000)


def digits(value: decimal.Decimal) -> bytes:
    sign = b"-" if value < 0 else b""
    whole, rest = divmod(abs(int(value.scaleb(2))), 100)
    return sign + (f"{whole}.{rest:02}".rstrip("0").rstrip(".")).encode()


def in_utc(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)


def days(value: dt.date) -> bytes:
    return struct.pack("<i", (value - _EPOCH.date()).days)


# Which types, the type as hashed, what makes a value bytes, and their number; 0 when that differs.
FORMS: list[tuple[Any, str, Any, int]] = [
    number("int16", "h"),
    number("uint64", "Q"),
    number("bool", "?"),
    number("float", "f", "0000c07f"),
    number("double", "d", "000000000000f87f"),
    (is_type.is_string, "string", str.encode, 0),
    (is_type.is_binary, "binary", bytes, 0),
    (is_type.is_decimal, "decimal", digits, 0),
    (is_type.is_date, "date32", days, 4),
    (
        is_type.is_time,
        "time",
        lambda v: moment(dt.datetime.combine(_EPOCH, v, dt.UTC) - _EPOCH),
        12,
    ),
    (is_type.is_duration, "duration", moment, 12),
    (is_type.is_timestamp, "timestamp", lambda v: moment(in_utc(v) - _EPOCH), 12),
]


@given(st.lists(arrays(), min_size=1, max_size=3))
def test_the_digest_is_the_documented_one(columns: list[pa.Array]) -> None:
    rows = min(map(len, columns))
    named = {f"c{place}": array.slice(0, rows) for place, array in enumerate(columns)}

    assert describe_dataset(pa.table(named), name="data", profile=False).digest == table(named)
