"""Cursors of SQLite that do not outlive their transaction.

A SELECT that was not read to its end keeps its snapshot for as long as its cursor lives, ROLLBACK
or not; one that is held by a traceback, say, lives until that is collected. The next transaction on
the connection would see the past.
"""

from __future__ import annotations

import sqlite3
import weakref
from typing import Any


class TidyConnection(sqlite3.Connection):
    """A connection that can close whatever cursors are left."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *arguments: Any) -> Any:
        """A new cursor."""
        made = super().cursor(*arguments)
        self._cursors.add(made)
        return made

    def close_cursors(self) -> None:
        """Close those that are left."""
        for cursor in tuple(self._cursors):
            cursor.close()


def close_cursors(connection: TidyConnection, *_: object) -> None:
    """What a pool does with a connection that is given back."""
    connection.close_cursors()
