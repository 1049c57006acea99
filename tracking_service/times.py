"""Moments that callers give, checked against what a Timestamp can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_chassis.errors import invalid_field
from service_chassis.timestamps import LATEST_US, from_timestamp

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

# 0001-01-01T00:00:00Z, the first moment a protobuf Timestamp can name.
EARLIEST_US = -62_135_596_800_000_000

__all__ = ["EARLIEST_US", "LATEST_US", "read_time"]


def read_time(timestamp: Timestamp, field: str) -> int:
    """A Timestamp of a request in microseconds.

    Raises:
        StudbookError: FIELD_INVALID when it is none that the contract allows.
    """
    microseconds = from_timestamp(timestamp)
    if not EARLIEST_US <= microseconds <= LATEST_US or not 0 <= timestamp.nanos < 1_000_000_000:
        raise invalid_field(field, timestamp.seconds, "give a time in the years 1 to 9999")
    return microseconds
