"""The canonical form `table/v1`. See docs/reference/dataset-digests.md, which defines it.

Libraries' own tables are turned into `Table`s elsewhere; here they are only hashed, piece by
piece, so that neither the memory taken nor the digest depends on how a table is cut up.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.file_digests import prefixed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

FORMAT = "table/v1"
# Rows that are brought into canonical form at once.
CHUNK_ROWS = 262_144

# A moment, a time of day or a span: whole seconds, rounded down, and the rest.
MOMENT = np.dtype([("seconds", "<i8"), ("nanoseconds", "<u4")])
_CANONICAL_NAN = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}


@dataclass(frozen=True)
class ColumnType:
    """What a column is, apart from its rows.

    Attributes:
        name: Its name; empty for the items of a list.
        shown: Its type in the words of Apache Arrow.
        canonical: The type that is hashed: without what says only how values are stored.
        parts: The fields of a struct, or the items of a list.
    """

    name: str
    shown: str
    canonical: str
    parts: tuple[ColumnType, ...] = ()


@dataclass(frozen=True)
class Fixed:
    """Values of one width. Rows that are not valid may hold anything.

    Attributes:
        values: One little-endian value for each row.
        valid: Which rows have a value; None: all.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Variable:
    """Texts or bytes.

    Attributes:
        lengths: Bytes in each row's value, as u64; 0 where there is none.
        data: The values one after the other.
        valid: Which rows have a value; None: all.
        count: Counts the rows by value, those without a value left out. Only a profile asks.
    """

    lengths: NDArray[np.uint64]
    data: bytes | memoryview
    valid: NDArray[np.bool_] | None
    count: Callable[[], Mapping[bytes, int]]

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Variable:
        """From the value of each row; None where it has none."""
        valid = np.fromiter((value is not None for value in values), np.bool_, len(values))
        lengths = np.fromiter((len(value or b"") for value in values), "<u8", len(values))
        present = [value for value in values if value is not None]
        return cls(lengths, b"".join(present), valid, lambda: Counter(present))


@dataclass(frozen=True)
class Nested:
    """Lists or structs.

    Attributes:
        rows: Number of rows.
        valid: Which rows have a value; None: all.
        lengths: Number of items in each row, as u64, 0 where it has no value; None for structs.
        parts: The fields' rows, one part for each; of a list one part with the items of all rows.
    """

    rows: int
    valid: NDArray[np.bool_] | None
    lengths: NDArray[np.uint64] | None
    parts: tuple[Chunk, ...]


Chunk = Fixed | Variable | Nested


@dataclass(frozen=True)
class Batch:
    """Some rows of a table.

    Attributes:
        rows: Number of rows.
        columns: For each column something that brings the rows into canonical form when it is
            called, which may happen in another thread.
    """

    rows: int
    columns: Sequence[Callable[[], Chunk]]


@dataclass(frozen=True)
class Table:
    """A table, ready to be read once from front to back.

    Attributes:
        columns: What its columns are.
        batches: Its rows in order.
        rows: Number of rows, where it is known beforehand; -1 where not.
    """

    columns: Sequence[ColumnType]
    batches: Iterable[Batch]
    rows: int = -1


class ColumnHash:
    """The three streams of a column, hashed as they come: validity, lengths, values.

    Args:
        column: What the column is.

    Attributes:
        missing: Rows so far without a value, and those with a NaN.
        size: Bytes hashed so far.
    """

    def __init__(self, column: ColumnType) -> None:
        self.missing = 0
        self._size = 0
        self._column = column
        self._parts = [ColumnHash(part) for part in column.parts]
        self._validity = hashlib.sha256()
        self._lengths = hashlib.sha256()
        self._values = hashlib.sha256()
        # Bits that do not fill a byte yet; the next chunk may begin in the middle of one.
        self._bits: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)

    @property
    def size(self) -> int:
        """Bytes hashed so far."""
        return self._size + sum(part.size for part in self._parts)

    def update(self, chunk: Chunk) -> None:
        """Take the next rows."""
        match chunk:
            case Fixed():
                self._take_fixed(chunk)
            case Variable():
                self._take_validity(len(chunk.lengths), chunk.valid)
                self._add(self._lengths, _bytes_of(chunk.lengths))
                self._add(self._values, chunk.data)
            case Nested():
                self._take_nested(chunk)

    def _take_fixed(self, chunk: Fixed) -> None:
        values = np.ascontiguousarray(chunk.values)
        valid = chunk.valid
        if valid is not None and not valid.all():
            values = values.copy()
            values[~valid] = np.zeros((), dtype=values.dtype)
        if values.dtype.kind == "f":
            values = self._with_one_nan(values)
        self._take_validity(len(values), valid)
        self._add(self._values, _bytes_of(values))

    def _with_one_nan(self, values: NDArray[Any]) -> NDArray[Any]:
        """The same with every NaN in the same bits: which ones it has is a matter of the CPU."""
        nans = np.isnan(values)
        count = int(nans.any(axis=tuple(range(1, nans.ndim))).sum())
        if count:
            values = values.copy()
            width = values.dtype.itemsize
            values.view(f"<u{width}")[nans] = _CANONICAL_NAN[width]
        self.missing += count
        return values

    def _take_nested(self, chunk: Nested) -> None:
        self._take_validity(chunk.rows, chunk.valid)
        if chunk.lengths is not None:
            self._add(self._lengths, _bytes_of(chunk.lengths))
        for part, rows in zip(self._parts, chunk.parts, strict=True):
            part.update(rows)

    def _take_validity(self, rows: int, valid: NDArray[np.bool_] | None) -> None:
        if valid is None:
            valid = np.ones(rows, dtype=np.bool_)
        self.missing += int(rows - np.count_nonzero(valid))
        bits = np.concatenate([self._bits, valid]) if len(self._bits) else valid
        whole = len(bits) - len(bits) % 8
        self._add(self._validity, np.packbits(bits[:whole], bitorder="little").tobytes())
        self._bits = bits[whole:].copy()

    def _add(self, stream: Any, data: bytes | memoryview) -> None:
        stream.update(data)
        self._size += len(data) if isinstance(data, bytes) else data.nbytes

    def block(self) -> bytes:
        """What stands for the column in the digest of its table. Ends the hash."""
        self._add(self._validity, np.packbits(self._bits, bitorder="little").tobytes())
        for part in self._parts:
            self._values.update(part.block())
        streams = (self._validity, self._lengths, self._values)
        head = _text(self._column.name) + _text(self._column.canonical)
        return head + b"".join(stream.digest() for stream in streams)


def digest_of_columns(columns: Sequence[ColumnHash], rows: int) -> str:
    """The digest of a table of so many rows, whose columns were hashed."""
    head = b"studbook table/v1\n" + _number(len(columns)) + _number(rows)
    blocks = b"".join(column.block() for column in columns)
    return prefixed(hashlib.sha256(head + blocks).hexdigest())


def _bytes_of(values: NDArray[Any]) -> bytes | memoryview:
    return np.ascontiguousarray(values).view(np.uint8).data if values.size else b""


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return _number(len(data)) + data
