"""How long to go on trying when a transfer breaks."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from studbook.exceptions import Conflict, OutOfRange, StudbookError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0


def is_passing(error: StudbookError) -> bool:
    """Whether the same transfer, resumed where it broke, may succeed.

    OUT_OF_RANGE belongs here: it is what an upload gets whose offset another upload of the same
    bytes has moved on.
    """
    return isinstance(error, (Unavailable, Conflict, OutOfRange))


class Patience:
    """Waits longer after each failure in a row, and gives up after a number of them.

    Args:
        attempts: Failures in a row, without progress in between, after which it gives up.
        sleep: How to wait.
    """

    def __init__(self, attempts: int = 8, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._attempts = attempts
        self._sleep = sleep
        self._failures = 0

    def progressed(self) -> None:
        """Forget earlier failures: bytes have moved since."""
        self._failures = 0

    def after(self, error: StudbookError) -> None:
        """Wait before the next attempt.

        Raises:
            StudbookError: The given error, when another attempt makes no sense.
        """
        self._failures += 1
        if not is_passing(error) or self._failures >= self._attempts:
            raise error
        wait = min(_FIRST_WAIT_S * 2 ** (self._failures - 1), _LONGEST_WAIT_S)
        self._sleep(wait * random.uniform(0.7, 1.3))  # noqa: S311 - spreads load, hides nothing
