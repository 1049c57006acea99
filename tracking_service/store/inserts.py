"""Inserts that step back when the row is there already, in the words of each database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    import sqlalchemy as sa


def insert_absent(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that skips rows whose key is taken.

    On PostgreSQL it waits when another transaction is inserting the same key, so what it skipped
    can be read afterwards.
    """
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def insert_new(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> int | None:
    """Insert one row and return its `id`; None when a unique key of it is taken."""
    statement = insert_absent(connection, table).values(values).returning(table.c.id)
    key: int | None = connection.execute(statement).scalar_one_or_none()
    return key
