"""The canonical form `table/v1`. See docs/reference/dataset-digests.md, which defines it.

Libraries' own tables are turned into `TableColumn`s elsewhere; here they are only hashed, piece
by piece, so that neither the memory taken nor the digest depends on how a table is cut up.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.file_digests import prefixed
from studbook.run_records import Column

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

FORMAT = "table/v1"
# Rows that are brought into canonical form at once.
CHUNK_ROWS = 262_144

_CANONICAL_NAN = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}


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
        values: The bytes of each row; None where it has no value.
    """

    values: list[bytes | None]


@dataclass(frozen=True)
class TableColumn:
    """One column, ready to be hashed.

    Attributes:
        name: Its name.
        type: Its type in the words of Apache Arrow.
        canonical_type: The type that is hashed: without what says only how values are stored.
        chunks: Its rows, in order.
    """

    name: str
    type: str
    canonical_type: str
    chunks: Iterable[Fixed | Variable]


@dataclass(frozen=True)
class TableDigest:
    """Digest of a table, and what was seen on the way.

    Attributes:
        digest: `sha256:{hex}`.
        columns: Its columns.
        row_count: Number of rows.
        size_bytes: Number of bytes hashed.
    """

    digest: str
    columns: list[Column]
    row_count: int
    size_bytes: int


def digest_table(columns: Iterable[TableColumn]) -> TableDigest:
    """Hash a table.

    Raises:
        ValueError: When the columns are not of the same length.
    """
    blocks, described, rows, size = [], [], None, 0
    for column in columns:
        seen = _ColumnHash()
        for chunk in column.chunks:
            seen.update(chunk)
        if rows not in {None, seen.rows}:
            message = f'The column "{column.name}" has {seen.rows} rows, those before it {rows}.'
            raise ValueError(message)
        rows = seen.rows
        blocks.append(_text(column.name) + _text(column.canonical_type) + seen.digest())
        described.append(Column(column.name, column.type, seen.nulls + seen.nans))
        size += seen.size
    head = b"studbook table/v1\n" + _number(len(blocks)) + _number(rows or 0)
    digest = hashlib.sha256(head + b"".join(blocks)).hexdigest()
    return TableDigest(prefixed(digest), described, rows or 0, size)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return _number(len(data)) + data


class _ColumnHash:
    """The three streams of a column, hashed as they come: validity, lengths, values."""

    def __init__(self) -> None:
        self.rows = 0
        self.nulls = 0
        self.nans = 0
        self.size = 0
        self._validity = hashlib.sha256()
        self._lengths = hashlib.sha256()
        self._values = hashlib.sha256()
        # Bits that do not fill a byte yet; the next chunk may begin in the middle of one.
        self._bits: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)

    def update(self, chunk: Fixed | Variable) -> None:
        if isinstance(chunk, Fixed):
            self._take_fixed(chunk)
        else:
            self._take_variable(chunk)

    def _take_fixed(self, chunk: Fixed) -> None:
        values = np.ascontiguousarray(chunk.values)
        valid = chunk.valid if chunk.valid is not None else np.ones(len(values), dtype=np.bool_)
        if not valid.all():
            values = values.copy()
            values[~valid] = np.zeros((), dtype=values.dtype)
        if values.dtype.kind == "f":
            values = self._with_one_nan(values)
        self._take_validity(valid)
        self._add(self._values, values.view(np.uint8).data if values.size else b"")

    def _with_one_nan(self, values: NDArray[Any]) -> NDArray[Any]:
        """The same with every NaN in the same bits: which ones it has is a matter of the CPU."""
        nans = np.isnan(values)
        count = int(nans.any(axis=tuple(range(1, nans.ndim))).sum())
        if count:
            values = values.copy()
            width = values.dtype.itemsize
            values.view(f"<u{width}")[nans] = _CANONICAL_NAN[width]
        self.nans += count
        return values

    def _take_variable(self, chunk: Variable) -> None:
        valid = np.fromiter((value is not None for value in chunk.values), np.bool_)
        lengths = np.fromiter((len(value or b"") for value in chunk.values), "<u8")
        self._take_validity(valid)
        self._add(self._lengths, lengths.tobytes())
        self._add(self._values, b"".join(value or b"" for value in chunk.values))

    def _take_validity(self, valid: NDArray[np.bool_]) -> None:
        self.rows += len(valid)
        self.nulls += int(len(valid) - np.count_nonzero(valid))
        bits = np.concatenate([self._bits, valid])
        whole = len(bits) - len(bits) % 8
        self._add(self._validity, np.packbits(bits[:whole], bitorder="little").tobytes())
        self._bits = bits[whole:]

    def _add(self, stream: Any, data: bytes | memoryview) -> None:
        stream.update(data)
        self.size += len(data) if isinstance(data, bytes) else data.nbytes

    def digest(self) -> bytes:
        rest = np.packbits(self._bits, bitorder="little").tobytes()
        self._bits = self._bits[:0]
        self._add(self._validity, rest)
        return self._validity.digest() + self._lengths.digest() + self._values.digest()
