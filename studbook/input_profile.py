"""What a model in production is asked, as a profile of bounded size.

It has the form of a dataset's profile, so that the two can be compared. Needs `pip install
studbook[profile]`.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from google.protobuf.message import DecodeError

from studbook.data_libraries import library_of
from studbook.dataset_messages import column_message
from studbook.dataset_profile import merge
from studbook.dataset_reading import LONGEST_NAME, MOST_COLUMNS, of_fitting_size
from studbook.drift import family
from studbook.input_columns import InputColumn, column_of_requests
from studbook.recorded_text import recorded_text
from studbook.registry.v1 import comparison_pb2
from studbook.run_records import Column
from studbook.table_sources import table_of

if TYPE_CHECKING:
    from studbook.tracking.v1 import dataset_pb2

# So many requests are kept until they are looked at together, which is faster by far.
_REQUESTS_AT_ONCE = 1024


class InputProfile:
    """Takes inputs as they come, and keeps a profile of each column, in bounded memory.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = 0
        self._columns: dict[str, InputColumn] = {}
        self._requests: list[Mapping[str, Any]] = []
        self._others: comparison_pb2.InputProfile | None = None

    def add(self, data: Any) -> None:
        """Take many rows.

        Args:
            data: A frame, a mapping of columns, an array or another table that `use_dataset` takes.

        Raises:
            TypeError: When it is no such table.
        """
        table = table_of(data)
        with self._lock:
            columns = [self._column(column.name) for column in table.columns]
            for batch in table.batches:
                self._rows += batch.rows
                for column, kind, rows in zip(columns, table.columns, batch.columns, strict=True):
                    column.take(kind, rows())

    def add_request(self, request: Mapping[str, Any]) -> None:
        """Take one row: values by the names of the columns.

        A column that is not named has no value in this row. Of a value that is of another kind
        than those before it (a text where numbers were), it is only noted that there is none.
        """
        with self._lock:
            self._requests.append(dict(request))
            if len(self._requests) >= _REQUESTS_AT_ONCE:
                self._take_requests()

    def merge(self, other: InputProfile) -> None:
        """Take all that another profile was given, e.g. one of another process."""
        message = other.message()
        with self._lock:
            self._others = message if self._others is None else _merged(self._others, message)

    @property
    def row_count(self) -> int:
        """Number of rows so far."""
        with self._lock:
            others = 0 if self._others is None else self._others.row_count
            return self._rows + len(self._requests) + others

    def message(self) -> comparison_pb2.InputProfile:
        """The profile of the rows so far, as the contract has it."""
        with self._lock:
            self._take_requests()
            columns = [
                Column(
                    recorded_text(name, LONGEST_NAME) or "(no name)",
                    column.type,
                    self._rows - column.present,
                    base64.b64encode(column.profile()).decode(),
                )
                for name, column in self._columns.items()
            ]
            own = comparison_pb2.InputProfile(
                row_count=self._rows, columns=map(column_message, of_fitting_size(columns))
            )
            return own if self._others is None else _merged(own, self._others)

    def to_bytes(self) -> bytes:
        """The profile for a file or another process."""
        return self.message().SerializeToString()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The profile that `to_bytes` gave.

        Raises:
            ValueError: When it is none.
        """
        profile = cls()
        try:
            profile._others = comparison_pb2.InputProfile.FromString(content)
        except DecodeError as error:
            message = "These bytes are no profile of inputs; give those of InputProfile.to_bytes."
            raise ValueError(message) from error
        return profile

    def _column(self, name: str) -> InputColumn:
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= MOST_COLUMNS:
                message = f"Inputs have at most {MOST_COLUMNS} columns; {name[:80]!r} is one more."
                raise ValueError(message)
            column = self._columns[name] = InputColumn(name)
        return column

    def _take_requests(self) -> None:
        requests, self._requests = self._requests, []
        self._rows += len(requests)
        for name in dict.fromkeys(name for request in requests for name in request):
            column = self._column(str(name))
            values = [request[name] for request in requests if name in request]
            for kind, chunk in column_of_requests(str(name), values):
                column.take(kind, chunk)


def _merged(
    one: comparison_pb2.InputProfile, other: comparison_pb2.InputProfile
) -> comparison_pb2.InputProfile:
    """The profile of the rows of both."""
    theirs = {column.name: column for column in other.columns}
    columns = [
        _merged_column(column, one.row_count, theirs.pop(column.name, None), other.row_count)
        for column in one.columns
    ]
    columns += [
        _merged_column(column, other.row_count, None, one.row_count) for column in theirs.values()
    ]
    return comparison_pb2.InputProfile(row_count=one.row_count + other.row_count, columns=columns)


def _merged_column(
    one: dataset_pb2.Column, of_one: int, other: dataset_pb2.Column | None, of_other: int
) -> dataset_pb2.Column:
    """A column of both; where it is of two kinds, the rarer values count as missing."""
    result = type(one)()
    result.CopyFrom(one)
    present = of_one - one.null_count
    if other is not None:
        also = of_other - other.null_count
        if family(one.type) == family(other.type):
            if one.HasField("profile") and other.HasField("profile"):
                result.profile.CopyFrom(merge(one.profile, other.profile))
            present += also
        elif also > present:
            result.CopyFrom(other)
            present = also
    result.null_count = of_one + of_other - present
    return result


def profile_inputs(data: Any) -> InputProfile:
    """Profile recent inputs of a model, to be compared with what it was trained on.

    Args:
        data: A frame or another table that `use_dataset` takes, or requests: mappings from names of
            columns to values, one after the other.

    Returns:
        The profile; more can be added to it.

    Raises:
        TypeError: When it is neither.
    """
    profile = InputProfile()
    if _is_table(data):
        profile.add(data)
    else:
        for request in data:
            if not isinstance(request, Mapping):
                message = (
                    f"A request is a mapping from names of columns to values, not a "
                    f"{type(request).__name__}."
                )
                raise TypeError(message)
            profile.add_request(request)
    return profile


def _is_table(data: Any) -> bool:
    known = isinstance(data, Mapping) or bool(library_of(data))
    return known or hasattr(data, "__arrow_c_stream__") or not isinstance(data, Iterable)
