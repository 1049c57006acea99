"""SQL for SQLite with hints on which index to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

if TYPE_CHECKING:
    import sqlalchemy as sa


class SqliteCompiler(SQLiteCompiler):
    """Writes what `with_hint` says for SQLite behind the table, as in `INDEXED BY ix_name`."""

    def get_from_hint_text(self, _table: sa.FromClause, text: str | None) -> str | None:
        """The hint as it is; SQLAlchemy's own compiler for SQLite leaves hints out."""
        return text
