"""Whether this process may have the threads and open files that gRPC takes.

gRPC ends the whole process when it cannot have them. In a training that has used up what it is
allowed (`ulimit -u`, `ulimit -n`, the limits of a container), it is better not begun.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack

from studbook.exceptions import Unavailable

# gRPC begins with some for each processor, and goes up to 16 of them, and a few of each besides.
_THREADS = 24
_DESCRIPTORS = 16


def require_room() -> None:
    """Return only if there is room.

    Raises:
        Unavailable: When there is none.
    """
    with ExitStack() as taken:
        _take_descriptors(taken)
        _take_threads(taken)


def _take_descriptors(taken: ExitStack) -> None:
    try:
        for _ in range(_DESCRIPTORS):
            taken.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        message = f"This process has no room for {_DESCRIPTORS} more open files: {error.strerror}."
        raise Unavailable(message, next_step="Raise its limit, e.g. with `ulimit -n`.") from error


def _take_threads(taken: ExitStack) -> None:
    over = threading.Event()
    try:
        for _ in range(_THREADS):
            thread = threading.Thread(target=over.wait, name="studbook-room", daemon=True)
            thread.start()
            taken.callback(thread.join)
    except RuntimeError as error:
        if is_end_of_program(error):
            return
        message = f"This process has no room for {_THREADS} more threads: {error}."
        step = "Raise its limit, e.g. with `ulimit -u` or for its container."
        raise Unavailable(message, next_step=step) from error
    finally:
        over.set()


def end_of_program() -> Unavailable:
    """What keeps files from being sent then, in words."""
    return Unavailable(
        "Files cannot be sent once a program is at its end, as Python begins no more threads",
        next_step="End runs with run.finish(), or begin them in a `with` statement.",
    )


def is_end_of_program(error: Exception) -> bool:
    """Whether Python refuses a thread because the program is at its end, as 3.12 and newer do.

    That says nothing of the room, and a run that ends with its program is sent then.
    """
    return "interpreter shutdown" in str(error)
