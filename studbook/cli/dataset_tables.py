"""Datasets and the profiles of their columns as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.dataset_calls import short_dataset
from studbook.cli.run_text import run_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studbook.tracking.v1.dataset_pb2 import Column, ColumnProfile, Dataset
    from studbook.tracking.v1.dataset_service_pb2 import DatasetUse

_TOP_VALUES_SHOWN = 3
_MIDDLE = 3
_MICROSECONDS = 10**6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def print_datasets(datasets: Sequence[Dataset]) -> None:
    """Dataset versions, one a row."""
    rows = [
        (
            short_dataset(dataset.name),
            dataset.format,
            _count(dataset.row_count) if dataset.row_count >= 0 else output.MISSING,
            _size(dataset),
            output.format_second(dataset.create_time),
            _digest(dataset),
            dataset.source or output.MISSING,
        )
        for dataset in datasets
    ]
    headings = ("DATASET", "FORM", "ROWS", "SIZE", "REGISTERED", "DIGEST", "SOURCE")
    output.print_table(headings, rows)


def print_dataset(dataset: Dataset, uses: Sequence[DatasetUse]) -> None:
    """One dataset version from head to foot."""
    output.print_fields(_fields(dataset))
    if dataset.columns:
        output.print_heading("Columns")
        headings = ("COLUMN", "TYPE", "NULLS", "DISTINCT", "MIN", "MEDIAN", "MAX", "TOP VALUES")
        output.print_table(headings, (column_row(column) for column in dataset.columns))
    if uses:
        output.print_heading("Used by")
        output.print_table(("RUN", "ROLE"), ((run_cell(use.run), use.role) for use in uses))


def column_row(column: Column) -> tuple[str, ...]:
    """A column as a row; `-` where its profile says nothing."""
    head = (column.name, column.type, _count(column.null_count))
    if not column.HasField("profile"):
        return (*head, *[output.MISSING] * 5)
    profile = column.profile
    least, middle, largest = _spread(column.type, profile)
    distinct = _count(round(profile.distinct_estimate))
    return (*head, distinct, least, middle, largest, _top_values(profile))


def _spread(kind: str, profile: ColumnProfile) -> tuple[str, str, str]:
    """Smallest, middle and largest value; of texts how long they are."""
    if profile.HasField("texts"):
        texts = profile.texts
        return f"{texts.min_length} long", output.MISSING, f"{texts.max_length} long"
    if not profile.HasField("numbers"):
        return output.MISSING, output.MISSING, output.MISSING
    numbers = profile.numbers
    middle = numbers.quantiles[_MIDDLE] if len(numbers.quantiles) > _MIDDLE else None
    return (
        _value(kind, numbers.min),
        output.MISSING if middle is None else _value(kind, middle),
        _value(kind, numbers.max),
    )


def _value(kind: str, value: float) -> str:
    if kind.startswith(("timestamp", "date")):
        try:
            moment = _EPOCH + timedelta(microseconds=value)
        except (OverflowError, ValueError):  # beyond the years that Python knows
            return output.format_number(value)
        return f"{moment:%Y-%m-%d}" if kind.startswith("date") else f"{moment:%Y-%m-%dT%H:%M:%S}"
    if kind.startswith(("duration", "time")):
        return f"{output.format_number(value / _MICROSECONDS)} s"
    if kind == "bool":
        return "true" if value else "false"
    return output.format_number(value)


def _top_values(profile: ColumnProfile) -> str:
    shown = profile.top_values[:_TOP_VALUES_SHOWN]
    return ", ".join(f"{top.value} ({_count(top.count)})" for top in shown) or output.MISSING


def _fields(dataset: Dataset) -> list[tuple[str, str]]:
    reference = dataset.reference
    referred = f"{reference.system} {reference.uri} at {reference.version}"
    return [
        ("Dataset", short_dataset(dataset.name)),
        ("Digest", dataset.digest),
        ("Form", dataset.format),
        ("Reference", referred if dataset.HasField("reference") else ""),
        ("Source", dataset.source),
        ("Rows", _count(dataset.row_count) if dataset.row_count >= 0 else ""),
        ("Size", _size(dataset)),
        ("Registered", output.format_time(dataset.create_time)),
        ("By", dataset.creator.display_name or dataset.creator.id),
    ]


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ") if output.for_people() else str(number)


def _size(dataset: Dataset) -> str:
    size = dataset.size_bytes
    return output.format_bytes(size) if output.for_people() else str(size)


def _digest(dataset: Dataset) -> str:
    return output.short_digest(dataset.digest) if output.for_people() else dataset.digest
