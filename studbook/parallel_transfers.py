"""Several files on their way at once, with one account of how far they are together."""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Protocol, TypeVar

from studbook.exceptions import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

DEFAULT_PARALLEL = 4
_MOST_PARALLEL = 64
_VARIABLE = "STUDBOOK_PARALLEL_TRANSFERS"


class Progress(Protocol):
    """Told how far a transfer is."""

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        """`done_bytes` of `total_bytes` are there."""


class _StoppedError(Exception):
    """Ends a transfer because another one has failed."""


def parallel_transfers() -> int:
    """How many files move at once: STUDBOOK_PARALLEL_TRANSFERS, else 4.

    Raises:
        InvalidArgument: The variable is not a number from 1 to 64.
    """
    text = os.environ.get(_VARIABLE) or str(DEFAULT_PARALLEL)
    if text.isascii() and text.isdigit() and 1 <= int(text[:3]) <= _MOST_PARALLEL:
        return int(text)
    message = f'{_VARIABLE} is "{text[:40]}"; give a number from 1 to {_MOST_PARALLEL}.'
    raise InvalidArgument(message, reason="FIELD_INVALID")


def transfer_all(
    items: Sequence[_Item],
    move: Callable[[_Item, Callable[[int], None]], _Result],
    *,
    size_of: Callable[[_Item], int],
    progress: Progress | None = None,
) -> list[_Result]:
    """Move files, a bounded number at a time.

    Args:
        items: The files.
        move: Moves one; tells the function that it is given how many bytes of it are there.
        size_of: How many bytes a file has.
        progress: Told how far all are together; never by two threads at once.

    Returns:
        What `move` returned, in order of the items.

    Raises:
        BaseException: What the first transfer that failed raised. The others have ended.
    """
    account = _Account([size_of(item) for item in items], progress)
    work = [(index, item) for index, item in enumerate(items)]
    parallel = min(parallel_transfers(), len(items))
    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="transfer") as threads:
        if parallel <= 1 or not _takes_work(threads):
            return [_move_one(move, account, index, item) for index, item in work]
        futures = [threads.submit(_move_one, move, account, index, item) for index, item in work]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # After a failure, or when the program is interrupted, the others end at their next
            # piece, and those that have not begun do nothing.
            if not all(future.done() for future in futures):
                account.stop()
    failures = [error for future in futures if (error := future.exception()) is not None]
    for error in failures:
        if not isinstance(error, _StoppedError):
            raise error
    return [future.result() for future in futures]


def _takes_work(threads: ThreadPoolExecutor) -> bool:
    """Whether more than one thread can be had; once a program is at its end, pools refuse."""
    try:
        threads.submit(int).result()
    except RuntimeError:
        return False
    return True


def _move_one(
    move: Callable[[_Item, Callable[[int], None]], _Result],
    account: _Account,
    index: int,
    item: _Item,
) -> _Result:
    account.moved(index, 0)
    result = move(item, lambda position: account.moved(index, position))
    account.complete(index)
    return result


class _Account:
    """How far several transfers are together, and whether to go on."""

    def __init__(self, sizes: Sequence[int], progress: Progress | None) -> None:
        self._sizes = sizes
        self._total = sum(sizes)
        self._positions = [0] * len(sizes)
        self._done = 0
        self._progress = progress
        self._stopped = False
        self._lock = threading.Lock()

    def moved(self, index: int, position: int) -> None:
        """So many bytes of a file are there.

        Raises:
            _StoppedError: The transfer is to end.
        """
        if self._stopped:
            raise _StoppedError
        with self._lock:
            self._done += position - self._positions[index]
            self._positions[index] = position
            if self._progress is not None and position:
                self._progress(self._done, self._total)

    def complete(self, index: int) -> None:
        """All bytes of a file are there, moved now or long ago."""
        if self._positions[index] != self._sizes[index]:
            self.moved(index, self._sizes[index])

    def stop(self) -> None:
        """Let all transfers end."""
        self._stopped = True
