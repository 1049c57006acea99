"""Tables as `use_dataset` profiles them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from studbook.datasets import describe_dataset
from studbook.drift import TableProfile, compare_tables, drifted
from studbook.tracking.v1 import dataset_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studbook.drift import ColumnDrift


def profile_of(data: Mapping[str, Any] | Any) -> TableProfile:
    """What is recorded of a table."""
    use = describe_dataset(data, name="table", profile=True)
    columns = []
    for column in use.columns:
        message = dataset_pb2.Column(
            name=column.name, type=column.type, null_count=column.null_count
        )
        if column.profile:
            message.profile.ParseFromString(base64.b64decode(column.profile))
        columns.append(message)
    return TableProfile(use.row_count, columns)


def compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[ColumnDrift, ...]:
    """The columns of two tables, compared by their profiles."""
    return compare_tables(profile_of(first), profile_of(second))


def drifting(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The names of the columns that are not what they were."""
    return [column.name for column in drifted(compared(first, second))]
