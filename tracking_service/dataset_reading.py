"""Registrations of datasets as records, their shape checked.

Each function raises INVALID_ARGUMENT naming the field, its value and the remedy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from service_chassis.errors import invalid_field, required_field
from service_chassis.resource_names import DATASET, check_id
from service_chassis.validation import check_count, check_digest, check_not_negative, check_text
from tracking_service.dataset_records import Column, DatasetContent, DatasetReference

if TYPE_CHECKING:
    from studbook.tracking.v1 import dataset_pb2, dataset_service_pb2

# The form whose digest is over a reference, not over the bytes.
_REFERENCE_FORMAT = "reference/v1"

_LONGEST_FORMAT = 64
_LONGEST_SOURCE = 2048
_LONGEST_COLUMN_NAME = 256
_MOST_COLUMNS = 10_000
_MOST_PROFILE_BYTES = 4096
_MOST_TOP_VALUES = 10
_LONGEST_TOP_VALUE = 64
_QUANTILES = 7
_MOST_ROWS = 2**63 - 1
_LONGEST_SYSTEM = 64
_LONGEST_URI = 2048
_LONGEST_VERSION = 256


def dataset_content(request: dataset_service_pb2.RegisterDatasetRequest) -> DatasetContent:
    """What a dataset version consists of."""
    DATASET.parse(request.parent, "parent")
    if request.version_id:
        check_id(request.version_id, "version_id")
    dataset = request.dataset
    if dataset.row_count < -1:
        raise invalid_field(
            "dataset.row_count", dataset.row_count, "give 0 or more, or -1 when it is not a table"
        )
    check_count(dataset.columns, "dataset.columns", _MOST_COLUMNS)
    named = [(f"dataset.columns[{i}]", column) for i, column in enumerate(dataset.columns)]
    rows = dataset.row_count if dataset.row_count >= 0 else _MOST_ROWS
    profiles = [_profile(column, field, rows) for field, column in named]
    return DatasetContent(
        digest=check_digest(dataset.digest, "dataset.digest"),
        format=check_text(dataset.format, "dataset.format", _LONGEST_FORMAT, required=True),
        source=check_text(dataset.source, "dataset.source", _LONGEST_SOURCE),
        columns=tuple(_column(column, field, rows) for field, column in named),
        row_count=dataset.row_count,
        size_bytes=check_not_negative(dataset.size_bytes, "dataset.size_bytes"),
        reference=_reference(dataset),
        profiles={position: profile for position, profile in enumerate(profiles) if profile},
    )


def _column(column: dataset_pb2.Column, field: str, rows: int) -> Column:
    return Column(
        name=check_text(column.name, f"{field}.name", _LONGEST_COLUMN_NAME, required=True),
        type=check_text(column.type, f"{field}.type", _LONGEST_COLUMN_NAME, required=True),
        null_count=_rows_of(column.null_count, f"{field}.null_count", rows),
    )


def _rows_of(count: int, field: str, rows: int) -> int:
    """A number of rows of a table that has so many."""
    if not 0 <= count <= rows:
        raise invalid_field(field, count, f"give 0 to {rows}, the number of rows")
    return count


def _reference(dataset: dataset_pb2.Dataset) -> DatasetReference | None:
    field = "dataset.reference"
    if not dataset.HasField("reference"):
        if dataset.format == _REFERENCE_FORMAT:
            raise required_field(field, f"a dataset of the format {_REFERENCE_FORMAT} has one")
        return None
    if dataset.format != _REFERENCE_FORMAT:
        raise invalid_field(
            field,
            dataset.reference.uri,
            f"leave it out, or give {_REFERENCE_FORMAT} as the format instead of {dataset.format}",
        )
    given = dataset.reference
    return DatasetReference(
        system=check_text(given.system, f"{field}.system", _LONGEST_SYSTEM, required=True),
        uri=check_text(given.uri, f"{field}.uri", _LONGEST_URI, required=True),
        version=check_text(given.version, f"{field}.version", _LONGEST_VERSION, required=True),
    )


def _profile(column: dataset_pb2.Column, field: str, rows: int) -> bytes:
    """The serialised profile of a column; empty when it has none."""
    profile, field = column.profile, f"{field}.profile"
    data = profile.SerializeToString(deterministic=True)
    if len(data) > _MOST_PROFILE_BYTES:
        raise invalid_field(
            field, f"{len(data)} bytes", f"give at most {_MOST_PROFILE_BYTES} bytes a column"
        )
    if not data:
        return b""
    estimate = profile.distinct_estimate
    if not 0 <= estimate < math.inf:
        raise invalid_field(f"{field}.distinct_estimate", estimate, "give 0 or more")
    _rows_of(profile.nan_count, f"{field}.nan_count", rows)
    _check_numbers(profile.numbers, f"{field}.numbers", rows)
    check_not_negative(profile.top_value_error, f"{field}.top_value_error")
    check_not_negative(profile.texts.min_length, f"{field}.texts.min_length")
    check_not_negative(profile.texts.max_length, f"{field}.texts.max_length")
    check_count(profile.top_values, f"{field}.top_values", _MOST_TOP_VALUES)
    for index, top in enumerate(profile.top_values):
        check_text(top.value, f"{field}.top_values[{index}].value", _LONGEST_TOP_VALUE)
        check_not_negative(top.count, f"{field}.top_values[{index}].count")
    return data


def _check_numbers(numbers: dataset_pb2.NumberProfile, field: str, rows: int) -> None:
    _rows_of(numbers.finite_count, f"{field}.finite_count", rows)
    if len(numbers.quantiles) not in {0, _QUANTILES}:
        raise invalid_field(
            f"{field}.quantiles", f"{len(numbers.quantiles)} entries", f"give {_QUANTILES} or none"
        )
    for name in ("min", "max", "mean", "standard_deviation"):
        value = getattr(numbers, name)
        if math.isnan(value) or (name == "standard_deviation" and value < 0):
            raise invalid_field(f"{field}.{name}", value, "give a number; count NaN in nan_count")
    if any(map(math.isnan, numbers.quantiles)):
        raise invalid_field(f"{field}.quantiles", "NaN", "give numbers; count NaN in nan_count")
