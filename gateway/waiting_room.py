"""Callers who wait for an issuer before it is known who they are."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gateway.refusals import issuer_awaited

if TYPE_CHECKING:
    from collections.abc import Iterator

# Anybody can make up tokens that an issuer has to be asked about, and a slow one takes seconds to
# answer: whoever waits holds a place among the calls that the gateway takes on.
MOST_WAITING = 128


class WaitingRoom:
    """Has room for so many callers, and turns away the others at once.

    Args:
        issuer: URL of the issuer that is waited for.
        places: How many may wait.
    """

    def __init__(self, issuer: str, places: int = MOST_WAITING) -> None:
        self._issuer = issuer
        self._left = places

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place to wait in.

        Raises:
            StudbookError: ISSUER_UNAVAILABLE, when there is none left.
        """
        if not self._left:
            raise issuer_awaited(self._issuer)
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1
