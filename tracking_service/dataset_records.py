"""What the tracking service keeps of datasets, as plain values.

Times are microseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service_chassis.caller import Principal


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    null_count: int = 0


@dataclass(frozen=True, slots=True)
class DatasetReference:
    """One state of data that another system keeps."""

    system: str
    uri: str
    version: str


@dataclass(frozen=True, slots=True)
class DatasetContent:
    """What a caller says of a dataset version."""

    digest: str
    format: str
    source: str
    columns: tuple[Column, ...]
    row_count: int
    size_bytes: int
    reference: DatasetReference | None = None
    # A serialised studbook.tracking.v1.ColumnProfile by position of the column. Empty also where
    # profiles were not read.
    profiles: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One state of a dataset, identified by the digest over all its bytes."""

    key: int
    uid: str
    name: str
    content: DatasetContent
    create_us: int
    creator: Principal


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """One use of a dataset version by a run."""

    run: str
    role: str
