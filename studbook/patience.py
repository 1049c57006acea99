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
    return error.reason == "RATE_LIMITED" or isinstance(error, (Unavailable, Conflict, OutOfRange))


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
        self._token_ended = False

    def progressed(self) -> None:
        """Forget earlier failures: bytes have moved since."""
        self._failures = 0
        self._token_ended = False

    def after(self, error: StudbookError) -> None:
        """Wait before the next attempt.

        Raises:
            StudbookError: The given error, when another attempt makes no sense.
        """
        self._failures += 1
        if not self._may_pass(error) or self._failures >= self._attempts:
            raise error
        wait = min(_FIRST_WAIT_S * 2 ** (self._failures - 1), _LONGEST_WAIT_S)
        wait *= random.uniform(0.7, 1.3)  # noqa: S311 - spreads load, hides nothing
        self._sleep(max(wait, error.retry_after_s))

    def _may_pass(self, error: StudbookError) -> bool:
        if error.reason == "TOKEN_EXPIRED" and not self._token_ended:
            # Its token may have ended with the transfer; the next attempt carries another, or says
            # that there is none.
            self._token_ended = True
            return True
        return is_passing(error)
