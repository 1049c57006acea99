"""Describing a dataset by its content: digest over every byte, schema, counts and profile."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studbook.data_libraries import library_of, require_library
from studbook.dataset_files import FILE, digest_bytes, digest_path, digest_pattern
from studbook.dataset_progress import Progress
from studbook.dataset_recognition import Recognised, recognise_path, recognise_uri
from studbook.dataset_reference import REFERENCE, digest_of_reference, reference
from studbook.exceptions import InvalidArgument
from studbook.file_listing import given_path
from studbook.path_patterns import is_pattern
from studbook.recorded_text import recorded_text
from studbook.redaction import without_secrets
from studbook.run_records import DatasetReference, DatasetUse

if TYPE_CHECKING:
    from studbook.dataset_tables import Table

__all__ = ["describe_dataset", "reference"]

PROFILE_SETTING = "STUDBOOK_DATASET_PROFILE"

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LONGEST_SOURCE = 2048
_LONGEST_ROLE = 64


def describe_dataset(
    data: Any,
    *,
    name: str,
    role: str = "training",
    source: str | None = None,
    version: str = "",
    profile: bool | None = None,
) -> DatasetUse:
    """Describe data that goes into a run; see `Run.use_dataset`.

    Raises:
        InvalidArgument: When name, role or version are malformed, or when a path cannot be a
            dataset.
        NotFound: When a path leads nowhere.
        Conflict: When a file changes while it is read.
        OSError: When a file or folder cannot be read.
        TypeError: When the data has no canonical form.
        ImportError: When a library that hashing it takes is not installed, or too old.
        ValueError: When the columns of a table are not of the same length.
    """
    _check_id(name, "name")
    if version:
        _check_id(version, "version")
    if not 0 < len(role) <= _LONGEST_ROLE or not role.isprintable():
        shown = recorded_text(role, 80)
        message = f'"{shown}" is not a role: 1 to {_LONGEST_ROLE} printable characters.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    described = _described(data, name, profile=_wants_profile() if profile is None else profile)
    shown = source if source is not None else described.source
    return replace(
        described,
        name=name,
        role=role,
        version=version,
        source=recorded_text(without_secrets(shown), _LONGEST_SOURCE),
    )


def _wants_profile() -> bool:
    return os.environ.get(PROFILE_SETTING, "").strip().lower() not in {"off", "0", "false", "no"}


def _described(data: Any, name: str, *, profile: bool) -> DatasetUse:
    """Digest, form and schema alone; name and role are filled in by the caller."""
    if isinstance(data, DatasetReference):
        # Made anew, so that one which was put together by hand is checked as well.
        return _referred(Recognised(reference(data.system, data.uri, data.version)))
    if isinstance(data, (str, os.PathLike)):
        return _described_path(os.fsdecode(data))
    if isinstance(data, (bytes, bytearray, memoryview)):
        digest, size = digest_bytes(data)
        return DatasetUse("", "", digest, FILE, size_bytes=size)
    return _described_table(data, name, profile=profile)


def _described_path(data: str) -> DatasetUse:
    if _URI.match(data):
        return _referred(recognise_uri(data))
    if is_pattern(data):
        form, digest, size = digest_pattern(data)
    else:
        path = given_path(data)
        recognised = recognise_path(path)
        if recognised is not None:
            return _referred(recognised)
        form, digest, size = digest_path(path)
    return DatasetUse("", "", digest, form, source=data, size_bytes=size)


def _referred(found: Recognised) -> DatasetUse:
    return DatasetUse(
        "",
        "",
        digest_of_reference(found.reference),
        REFERENCE,
        source=found.reference.uri,
        row_count=found.row_count,
        size_bytes=found.size_bytes,
        reference=found.reference,
    )


def _described_table(data: Any, name: str, *, profile: bool) -> DatasetUse:
    if not isinstance(data, Mapping) and not library_of(data):
        _refuse_unless_stream(data)
    require_library("numpy", data)
    # Nothing of NumPy and the like is imported before data of theirs shows up.
    from studbook.dataset_reading import read_table  # noqa: PLC0415
    from studbook.dataset_tables import FORMAT  # noqa: PLC0415

    table = _table(data)
    with Progress(name, table.rows, rows=True) as progress:
        content = read_table(table, progress, profile=profile)
    return DatasetUse(
        "",
        "",
        content.digest,
        FORMAT,
        columns=content.columns,
        row_count=content.row_count,
        size_bytes=content.size_bytes,
    )


def _refuse_unless_stream(data: Any) -> None:
    if not hasattr(data, "__arrow_c_stream__"):
        message = (
            f"{type(data).__module__}.{type(data).__qualname__} has no canonical form. Give a "
            "path, bytes, a NumPy array, a mapping of columns, a table of pandas, Polars, Arrow or "
            "Hugging Face, or a studbook.reference."
        )
        raise TypeError(message)


def _table(data: Any) -> Table:
    from studbook import table_sources  # noqa: PLC0415 - imports NumPy

    return table_sources.table_of(data)


def _check_id(text: str, what: str) -> None:
    if not _ID.fullmatch(text):
        message = (
            f'"{text[:150]}" is not a {what} of a dataset: 1 to 128 of a-z 0-9 - _ . '
            "beginning with a letter or digit."
        )
        raise InvalidArgument(message, reason="FIELD_INVALID")
