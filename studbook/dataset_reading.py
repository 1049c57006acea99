"""Reading a table once: digest, schema and profiles come from the same pass."""

from __future__ import annotations

import base64
import importlib.util
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Literal

from studbook.dataset_tables import ColumnHash, digest_of_columns
from studbook.recorded_text import recorded_text
from studbook.run_records import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from studbook.column_profilers import Profiler
    from studbook.dataset_progress import Progress
    from studbook.dataset_tables import Chunk, ColumnType, Table
    from studbook.tracking.v1.dataset_pb2 import ColumnProfile

# Limits of the contract.
LONGEST_NAME = 256
MOST_COLUMNS = 10_000
# What their profiles may take in a message: the server takes 4 MiB.
_MOST_PROFILE_BYTES = 3 * 1024 * 1024
# A smaller table is read sooner than threads are started.
_FEW_CELLS = 1_000_000
_MOST_THREADS = 8

_log = logging.getLogger("studbook")


@dataclass(frozen=True)
class TableContent:
    """Digest of a table, and what was seen on the way.

    Attributes:
        digest: `sha256:{hex}`.
        columns: Its columns, the first 10 000 of them.
        row_count: Number of rows.
        size_bytes: Number of bytes hashed.
    """

    digest: str
    columns: list[Column]
    row_count: int
    size_bytes: int


def read_table(table: Table, progress: Progress, *, profile: bool) -> TableContent:
    """Read a table from front to back, with all processors, in memory of a few batches.

    Args:
        table: The table.
        progress: Told the number of rows after each batch.
        profile: Also look at the values of the columns, if that can be done here.
    """
    profiled = min(MOST_COLUMNS, len(table.columns)) if profile and can_profile() else 0
    readers = [
        _ColumnReader(column, _profiler(column, profiled) if index < profiled else None)
        for index, column in enumerate(table.columns)
    ]
    few = 0 <= table.rows * len(readers) < _FEW_CELLS
    rows = 0
    for count in _read_alone(table, readers) if few else _read_together(table, readers):
        rows += count
        progress.add(count)
    hashes = [reader.hash for reader in readers]
    digest = digest_of_columns(hashes, rows)
    columns = [reader.column() for reader in readers[:MOST_COLUMNS]]
    if len(readers) > MOST_COLUMNS:
        _log.warning(
            "Studbook: of %d columns the first %d are listed; all are in the digest.",
            len(readers),
            MOST_COLUMNS,
        )
    return TableContent(digest, of_fitting_size(columns), rows, sum(h.size for h in hashes))


class _ColumnReader:
    """Hashes one column and looks at its values."""

    def __init__(self, column: ColumnType, profiler: Profiler | None) -> None:
        self._type = column
        self._profiler = profiler
        self.hash = ColumnHash(column)

    def take(self, rows: Callable[[], Chunk]) -> None:
        """Take the next rows."""
        chunk = rows()
        self.hash.update(chunk)
        if self._profiler is not None:
            self._profiler.update(chunk)

    def column(self) -> Column:
        """What is recorded of the column."""
        profile = b"" if self._profiler is None else self._profiler.profile().SerializeToString()
        return Column(
            recorded_text(self._type.name, LONGEST_NAME) or "(no name)",
            recorded_text(self._type.shown, LONGEST_NAME),
            self.hash.missing,
            base64.b64encode(profile).decode(),
        )


def _profiler(column: ColumnType, columns: int) -> Profiler | None:
    from studbook.column_profilers import profiler_for  # noqa: PLC0415 - imports datasketches

    return profiler_for(column, columns)


def _read_alone(table: Table, readers: Sequence[_ColumnReader]) -> Iterator[int]:
    """Read all batches; tells the number of rows of each."""
    for batch in table.batches:
        for reader, rows in zip(readers, batch.columns, strict=True):
            reader.take(rows)
        yield batch.rows


def _read_together(table: Table, readers: Sequence[_ColumnReader]) -> Iterator[int]:
    """The same with several threads."""
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    # Some columns may take longer than others, so there are more parts than threads.
    parts = [slice(first, None, 4 * threads) for first in range(min(4 * threads, len(readers)))]

    def read(columns: Sequence[Callable[[], Chunk]], part: slice) -> None:
        for reader, rows in zip(readers[part], columns[part], strict=True):
            reader.take(rows)

    with ThreadPoolExecutor(threads, thread_name_prefix="studbook-dataset") as pool:
        for batch in table.batches:
            # Each column is in one thread at a time, and the next batch waits for all of them.
            for _ in pool.map(partial(read, batch.columns), parts):
                pass
            yield batch.rows


def of_fitting_size(columns: list[Column]) -> list[Column]:
    """The columns with profiles that fit into one message: whole, or without their bulky parts."""
    fitting, missing = columns, ""
    for fields, said in _BULKY_PARTS:
        if _profile_bytes(fitting) > _MOST_PROFILE_BYTES:
            fitting, missing = [_without(column, fields) for column in columns], said
    if missing:
        _log.warning(
            "Studbook: the profiles of %d columns are recorded without %s, which do not fit into "
            "one message; they cannot be merged.",
            len(columns),
            missing,
        )
    return fitting


def _profile_bytes(columns: Sequence[Column]) -> int:
    return sum(len(column.profile) * 3 // 4 for column in columns)


_Part = Literal["quantile_sketch", "distinct_sketch", "top_values"]
_SKETCHES: tuple[_Part, ...] = ("quantile_sketch", "distinct_sketch")
# What is left without all of these takes 200 bytes at most: as much as all 10 000 columns have.
_BULKY_PARTS: tuple[tuple[tuple[_Part, ...], str], ...] = (
    (_SKETCHES, "their sketches"),
    ((*_SKETCHES, "top_values"), "their sketches and top values"),
)


def _without(column: Column, fields: Sequence[_Part]) -> Column:
    from studbook.tracking.v1.dataset_pb2 import ColumnProfile  # noqa: PLC0415 - rarely needed

    profile: ColumnProfile = ColumnProfile.FromString(base64.b64decode(column.profile))
    if "top_values" in fields and profile.top_values:
        profile.top_value_error += profile.top_values[0].count
    for field in fields:
        profile.ClearField(field)
    return replace(column, profile=base64.b64encode(profile.SerializeToString()).decode())


@cache
def can_profile() -> bool:
    """Whether the library for sketches is installed; says so once when it is not."""
    if importlib.util.find_spec("datasketches") is not None:
        return True
    _log.warning(
        "Studbook: datasets are recorded without profiles of their columns. Install them with "
        "`pip install studbook[profile]`, or set STUDBOOK_DATASET_PROFILE=off."
    )
    return False
