"""Describing a dataset by its content: digest over every byte, schema and counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studbook.dataset_files import FILE, digest_bytes, digest_path
from studbook.exceptions import InvalidArgument
from studbook.redaction import without_secrets
from studbook.run_records import DatasetUse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.dataset_tables import TableColumn

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_LONGEST_SOURCE = 2048
_LONGEST_ROLE = 64


def describe_dataset(
    data: Any, *, name: str, role: str = "training", source: str | None = None, version: str = ""
) -> DatasetUse:
    """Describe data that goes into a run; see `Run.use_dataset`.

    Raises:
        InvalidArgument: When name, role or version are malformed.
        NotFound: When a path leads nowhere.
        TypeError: When the data has no canonical form.
    """
    _check_id(name, "name")
    if version:
        _check_id(version, "version")
    if not 0 < len(role) <= _LONGEST_ROLE:
        message = f'"{role[:80]}" is not a role: 1 to {_LONGEST_ROLE} characters.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    described = _described(data)
    shown = source if source is not None else described.source
    return DatasetUse(
        name=name,
        role=role,
        version=version,
        digest=described.digest,
        format=described.format,
        source=without_secrets(shown)[:_LONGEST_SOURCE],
        columns=described.columns,
        row_count=described.row_count,
        size_bytes=described.size_bytes,
    )


def _described(data: Any) -> DatasetUse:
    """Digest, form and schema alone; name and role are filled in by the caller."""
    if isinstance(data, (str, Path)):
        form, digest, size = digest_path(Path(data))
        return DatasetUse("", "", digest, form, source=str(data), size_bytes=size)
    if isinstance(data, (bytes, bytearray, memoryview)):
        digest, size = digest_bytes(data)
        return DatasetUse("", "", digest, FILE, size_bytes=size)
    return _described_table(data)


def _described_table(data: Any) -> DatasetUse:
    home = type(data).__module__.partition(".")[0]
    if home not in {"numpy", "pandas"} and not isinstance(data, Mapping):
        message = (
            f"{type(data).__module__}.{type(data).__qualname__} has no canonical form yet. Give a "
            "path, bytes, a NumPy array, a mapping of columns or a pandas frame."
        )
        raise TypeError(message)
    # Nothing of these libraries is imported before data of theirs shows up.
    from studbook.dataset_tables import FORMAT, digest_table  # noqa: PLC0415

    table = digest_table(_columns(data, home))
    return DatasetUse(
        "",
        "",
        table.digest,
        FORMAT,
        columns=table.columns,
        row_count=table.row_count,
        size_bytes=table.size_bytes,
    )


def _columns(data: Any, home: str) -> Iterable[TableColumn]:
    if home == "pandas":
        from studbook.pandas_tables import columns_of_pandas  # noqa: PLC0415 - imports pandas

        return columns_of_pandas(data)
    from studbook.numpy_tables import columns_of_arrays  # noqa: PLC0415 - imports numpy

    return columns_of_arrays(data)


def _check_id(text: str, what: str) -> None:
    if not _ID.fullmatch(text):
        message = (
            f'"{text[:150]}" is not a {what} of a dataset: 1 to 128 of a-z 0-9 - _ . '
            "beginning with a letter or digit."
        )
        raise InvalidArgument(message, reason="FIELD_INVALID")
