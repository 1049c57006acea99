"""Refusals of tokens that wait, when there are many of them.

A refused call costs as much as one that is answered. Most callers send the next call when they have
the answer to the last, so those who send bad tokens without end are slowed by answering late. Who
has a good token waits for nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DELAY_S = 0.5
# Refusals that wait take places of calls; there are others that need them more.
MOST_WAITING = 500


class RefusalPace:
    """How many refusals are answered at once.

    Args:
        per_second: So many a second, in the long run and in one moment.
        clock: A monotonic clock in seconds; tests pass their own.
        delay_s: How long the others wait.
    """

    def __init__(
        self,
        per_second: int,
        clock: Callable[[], float] = time.monotonic,
        delay_s: float = DELAY_S,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._delay_s = delay_s
        self._left = float(per_second)
        self._as_of = clock()
        self._waiting = 0

    async def keep(self) -> None:
        """Return when a refusal may be answered."""
        now = self._clock()
        regained = (now - self._as_of) * self._per_second
        self._left = min(self._left + regained, self._per_second)
        self._as_of = now
        if self._left >= 1:
            self._left -= 1
        elif self._waiting < MOST_WAITING:
            self._waiting += 1
            try:
                await asyncio.sleep(self._delay_s)
            finally:
                self._waiting -= 1
