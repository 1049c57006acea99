"""Time as Studbook stores it: whole microseconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

# 9999-12-31T23:59:59.999999Z, the last moment a protobuf Timestamp can name.
LATEST_US = 253_402_300_799_999_999


def now_us() -> int:
    """The present moment in microseconds, by this machine's clock."""
    return time.time_ns() // 1000


def to_text(us: int) -> str:
    """A stored time as people read it, in ISO 8601 with `Z`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    return moment.isoformat().replace("+00:00", "Z")


def to_timestamp(us: int | None) -> Timestamp | None:
    """A stored time as a protobuf Timestamp; None stays None."""
    if us is None:
        return None
    timestamp = Timestamp()
    set_timestamp(timestamp, us)
    return timestamp


def set_timestamp(timestamp: Timestamp, us: int) -> None:
    """Set a Timestamp, where it stands in its message, to a stored time."""
    timestamp.seconds, rest = divmod(us, 1_000_000)
    timestamp.nanos = rest * 1000


def from_timestamp(timestamp: Timestamp) -> int:
    """A protobuf Timestamp in microseconds, rounded down."""
    return timestamp.seconds * 1_000_000 + timestamp.nanos // 1000
