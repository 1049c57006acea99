"""Tables and histograms as JSON, in the forms of docs/reference/media.md."""

from __future__ import annotations

import bisect
import json
import math
import sys
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from studbook.logged_values import text_of
from studbook.media import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from studbook.media import Histogram, Table

_MOST_BINS = 4096
_KIND_NAMES = {bool: "boolean", int: "integer", float: "number", str: "text"}


def table_json(table: Table, most_rows: int) -> tuple[bytes, list[str]]:
    """The file of a table, and remarks on what was left out.

    Raises:
        TypeError: When it is none of what a table can be made of.
        ValueError: When a row has another number of cells than there are columns.
    """
    names, rows, total = _columns_and_rows(table, most_rows)
    cells = [[_cell(value) for value in row] for row in rows]
    for number, row in enumerate(cells):
        if len(row) != len(names):
            message = f"row {number} has {len(row)} cells for {len(names)} columns"
            raise ValueError(message)
    columns = [
        {"name": name, "type": _type_of(row[place] for row in cells)}
        for place, name in enumerate(names)
    ]
    remarks = []
    if total > len(cells):
        limit = f"cut: {total} rows are more than the {most_rows} of STUDBOOK_TABLE_ROWS; to keep "
        remarks = [f"{limit}all of them, log the file as an artifact"]
    content = {"columns": columns, "row_count": total, "rows": cells}
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode(), remarks


def histogram_json(histogram: Histogram) -> bytes:
    """The file of a histogram.

    Raises:
        TypeError: When there are neither values nor counts with edges, or they are not numbers.
        ValueError: When counts and edges do not fit together, or the edges do not rise.
    """
    if histogram.values is None:
        counts, edges = _given(histogram)
        return json.dumps({"edges": edges, "counts": counts, "count": sum(counts)}).encode()
    if not 1 <= histogram.bins <= _MOST_BINS:
        message = f"{histogram.bins} bins; 1 to {_MOST_BINS} are allowed"
        raise ValueError(message)
    values = histogram.values
    if hasattr(values, "detach"):
        values = array_of(values)
    counted = _count_array if hasattr(values, "dtype") else _count_sequence
    return json.dumps(counted(values, histogram.bins), allow_nan=False).encode()


def _count_sequence(sequence: Any, bins: int) -> dict[str, Any]:
    values = list(_numbers(sequence))
    finite = [value for value in values if math.isfinite(value)]
    nan_count = sum(map(math.isnan, values))
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    edges = _edges(low, high, bins)
    counts = [0] * (len(edges) - 1)
    for value in finite:
        counts[min(bisect.bisect_right(edges, value), len(counts)) - 1] += 1
    half_mean = math.fsum(value / 2 / len(finite) for value in finite)
    return _content(edges, counts, len(values), nan_count, (low, high, half_mean))


def _count_array(array: Any, bins: int) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 - whoever has an array has it

    values = np.asarray(array, dtype=np.float64).ravel()
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    edges = _edges(low, high, bins)
    counts = np.histogram(finite, bins=np.asarray(edges))[0].tolist()
    half_mean = float((finite / 2 / max(finite.size, 1)).sum())
    nan_count = int(np.isnan(values).sum())
    return _content(edges, counts, int(values.size), nan_count, (low, high, half_mean))


def _content(
    edges: list[float],
    counts: list[int],
    total: int,
    nan_count: int,
    summary: tuple[float, float, float],
) -> dict[str, Any]:
    count = sum(counts)
    low, high, half_mean = summary
    # Halves can be summed up to the largest number; rounding may lead beyond it all the same.
    mean = min(max(2 * half_mean, low), high)
    content = {
        "edges": edges,
        "counts": counts,
        "count": count,
        "nan_count": nan_count,
        "infinite_count": total - count - nan_count,
    }
    return content | {"min": low, "max": high, "mean": mean} if count else content


def _columns_and_rows(
    table: Table, most_rows: int
) -> tuple[list[str], Iterable[Sequence[Any]], int]:
    source = table.columns
    if hasattr(source, "itertuples"):  # pandas
        rows = source.head(most_rows).itertuples(index=False, name=None)
        return [str(name) for name in source.columns], rows, len(source)
    if hasattr(source, "iter_rows"):  # Polars
        return list(source.columns), source.head(most_rows).iter_rows(), source.height
    if table.rows is not None:
        return [str(name) for name in source], islice(table.rows, most_rows), len(table.rows)
    if isinstance(source, Sequence) and all(isinstance(row, Mapping) for row in source):
        names = list(dict.fromkeys(name for row in source[:most_rows] for name in row))
        rows = ([row.get(name) for name in names] for row in source[:most_rows])
        return [str(name) for name in names], rows, len(source)
    message = f"a {type(source).__name__} is no table; give columns and rows, a frame, or mappings"
    raise TypeError(message)


def _cell(value: Any) -> Any:
    """A value as JSON has it; numbers that JSON lacks as `{"number": "NaN"}`."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = _item(value)
    if value is None or type(value).__name__ in {"NaTType", "NAType"}:
        return None
    if isinstance(value, (bool, str)):
        return value if isinstance(value, bool) else text_of(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) or type(value).__name__ == "Decimal":
        number = float(value)
        return number if math.isfinite(number) else {"number": _name_of(number)}
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return text_of(value)


def _item(value: Any) -> Any:
    try:
        return value.item()
    except (TypeError, ValueError, RuntimeError):
        return text_of(value)


def _name_of(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _type_of(cells: Iterable[Any]) -> str:
    kinds = {float if isinstance(cell, dict) else type(cell) for cell in cells if cell is not None}
    if kinds == {int, float}:
        return "number"
    return _KIND_NAMES[kinds.pop()] if len(kinds) == 1 else "mixed"


def _numbers(values: Any) -> Iterator[float]:
    if hasattr(values, "detach"):
        values = array_of(values)
    if hasattr(values, "ravel"):
        values = values.ravel()
    for value in values.tolist() if hasattr(values, "tolist") else values:
        yield float(value)


def _given(histogram: Histogram) -> tuple[list[float], list[float]]:
    if histogram.counts is None or histogram.edges is None:
        message = "a histogram takes values, or counts and edges"
        raise TypeError(message)
    counts, edges = list(_numbers(histogram.counts)), list(_numbers(histogram.edges))
    rising = all(left < right for left, right in pairwise(edges))
    if len(edges) != len(counts) + 1 or not rising or not all(map(math.isfinite, edges)):
        message = f"{len(counts)} counts take {len(counts) + 1} edges, each above the one before"
        raise ValueError(message)
    if not all(math.isfinite(number) and number >= 0 for number in counts):
        message = "counts are numbers from 0"
        raise ValueError(message)
    return [int(number) if number.is_integer() else number for number in counts], edges


def _edges(low: float, high: float, bins: int) -> list[float]:
    """Edges of bins of equal width, from the lowest to the highest value."""
    if low == high:
        half = max(0.5, abs(low) * 1e-3)
        low = max(low - half, -sys.float_info.max)
        high = min(high + half, sys.float_info.max)
    # Divided first: the width of a range can be more than the largest number.
    width = high / bins - low / bins
    inner = (low + width * place for place in range(1, bins))
    # In a range of few representable numbers some edges coincide.
    return sorted({low, high, *(edge for edge in inner if low < edge < high)})
