"""What a command needs of this machine: parts that are installed, files that can be read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from studbook.exceptions import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def from_extra(extra: str) -> Iterator[None]:
    """Say what to install when something that is imported within is missing.

    Raises:
        FailedPrecondition: It is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise FailedPrecondition(
            f"This takes {error.name}, which is not installed.",
            next_step=f"Install it with `pip install 'studbook[{extra}]'`.",
        ) from error


@contextmanager
def readable() -> Iterator[None]:
    """Say which file or folder cannot be read or written.

    Raises:
        InvalidArgument: There is one.
    """
    try:
        yield
    except OSError as error:
        message = f"{error.filename}: {error.strerror}."
        raise InvalidArgument(message, reason="FIELD_INVALID") from error
