"""Files of recent inputs, as a profile."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument, NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.input_profile import InputProfile

_TABLES = {".csv": "csv", ".parquet": "parquet"}
# What the command needs beside the client, and what it is installed with.
_NEEDED = {"datasketches": "'studbook[profile]'", "pyarrow": "pyarrow"}


def read_inputs(path: Path) -> InputProfile:
    """The profile of a table, which is read in memory of a few batches, or one that was kept.

    Raises:
        NotFound: When there is no such file.
        InvalidArgument: When it cannot be read as what it is called, or a library is missing.
    """
    if not path.is_file():
        message = f"There is no file {path}."
        raise NotFound(message, reason="NOT_FOUND")
    kind = _TABLES.get(path.suffix.lower())
    _need("datasketches", path)
    from studbook.input_profile import InputProfile

    if kind is None:
        try:
            return InputProfile.from_bytes(path.read_bytes())
        except ValueError as error:
            message = (
                f"{path} is no profile of inputs; give a .csv or .parquet file, or what "
                "InputProfile.to_bytes() gave."
            )
            raise InvalidArgument(message, reason="FIELD_INVALID") from error
    _need("pyarrow", path)
    import pyarrow as pa
    import pyarrow.dataset as ds

    profile = InputProfile()
    try:
        profile.add(ds.dataset(path, format=kind))
    except (pa.ArrowInvalid, TypeError, ValueError) as error:
        message = f"{path} cannot be read as {kind}: {error}"
        raise InvalidArgument(message, reason="FIELD_INVALID") from error
    return profile


def _need(library: str, path: Path) -> None:
    if importlib.util.find_spec(library) is None:
        message = f"Reading {path} needs {library}: `pip install {_NEEDED[library]}`."
        raise InvalidArgument(message, reason="FIELD_INVALID")
