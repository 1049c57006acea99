"""Ending the statement of a read for which nobody waits any more.

A thread cannot be ended, but what it waits for can be: otherwise a few callers who ask for much and
give up would keep all threads of a database busy for nobody.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa


_AGAIN_S = 0.05


class RunningRead:
    """A read in some thread; whoever waits for it may give it up.

    Args:
        is_sqlite: What kind of database it reads.
    """

    def __init__(self, *, is_sqlite: bool) -> None:
        self._is_sqlite = is_sqlite
        # Held while a connection is told to end, so that it is not somebody else's by then.
        self._changed = threading.Condition()
        self._connection: Any = None
        self._given_up = False

    @contextmanager
    def on(self, connection: sa.Connection) -> Iterator[None]:
        """Around what is done on a connection.

        Raises:
            ReadGivenUpError: It was given up before.
        """
        with self._changed:
            if self._given_up:
                raise ReadGivenUpError
            self._connection = connection.connection.driver_connection
        try:
            yield
        finally:
            with self._changed:
                self._connection = None
                self._changed.notify_all()

    def give_up(self) -> None:
        """End the read; returns when it has ended. One that has yet to begin never does.

        May be called from any thread.
        """
        with self._changed:
            self._given_up = True
            while self._connection is not None:
                # PostgreSQL is asked over a connection of its own; when it is gone, so is the read.
                with suppress(Exception):
                    self._end_statement()
                # Between two statements nobody hears it.
                self._changed.wait(_AGAIN_S)

    def _end_statement(self) -> None:
        if self._is_sqlite:
            self._connection.interrupt()
        else:
            self._connection.cancel()


class ReadGivenUpError(Exception):
    """Raised in the thread of a read that nobody waits for."""
