"""Waiting for what will happen in the end, on a busy machine late: one patience for all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from studbook.exceptions import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 240
# Between one attempt and the next; what is waited for is the answer.
_PAUSE_S = 0.05


def insist(work: Callable[[], object]) -> None:
    """Do what is safe to repeat until it is answered, as somebody does whose program gave up."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            work()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask until the answer is yes."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(_PAUSE_S)
