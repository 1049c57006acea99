"""Recorded datasets as messages of the contract."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING

from studbook.tracking.v1 import dataset_pb2

if TYPE_CHECKING:
    from studbook.run_records import Column, DatasetUse


def dataset_message(record: DatasetUse) -> dataset_pb2.Dataset:
    """What is registered of a dataset that a run used."""
    reference = record.reference
    return dataset_pb2.Dataset(
        digest=record.digest,
        format=record.format,
        source=record.source,
        columns=[column_message(column) for column in record.columns],
        row_count=record.row_count,
        size_bytes=record.size_bytes,
        reference=None if reference is None else dataset_pb2.DatasetReference(**asdict(reference)),
    )


def column_message(column: Column) -> dataset_pb2.Column:
    """What is registered of a column."""
    message = dataset_pb2.Column(name=column.name, type=column.type, null_count=column.null_count)
    if column.profile:
        message.profile.ParseFromString(base64.b64decode(column.profile))
    return message
