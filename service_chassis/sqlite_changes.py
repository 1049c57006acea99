"""Whether anything was changed in an SQLite database, asked without a transaction.

SQLite counts for each connection what others have committed (`PRAGMA data_version`). Asking takes
some microseconds, where the shortest transaction through SQLAlchemy takes a hundred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa


class SqliteChanges:
    """A connection that never changes anything, and so sees what every other does.

    Args:
        engine: The database. Its first connection is made when it is asked first.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: Any = None
        self._connections = 0

    def number(self) -> int:
        """A number that is another one as soon as a transaction was committed, by any process.

        Raises:
            sqlite3.Error: The database cannot be read.
        """
        try:
            return self._number()
        except self._engine.dialect.loaded_dbapi.Error:
            # What a later connection counts has nothing to do with what this one did.
            self.close()
            raise

    def _number(self) -> int:
        if self._connection is None:
            pooled = self._engine.raw_connection()
            self._connection = pooled.dbapi_connection
            # It is ours from now on.
            pooled.detach()
            self._connections += 1
        [(version,)] = self._connection.execute("PRAGMA data_version").fetchall()
        return int(version) | self._connections << 32

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
