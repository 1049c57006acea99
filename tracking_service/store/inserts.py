"""Inserts that step back when the row is there already, in the words of each database."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(dialect: str, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """An insert in the dialect of this name, which knows conflicts."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def insert_absent(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that skips rows whose key is taken.

    On PostgreSQL it waits when another transaction is inserting the same key, so what it skipped
    can be read afterwards.
    """
    return insert_into(connection.dialect.name, table).on_conflict_do_nothing()


def insert_new(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> int | None:
    """Insert one row and return its `id`; None when a unique key of it is taken."""
    statement = _insert_of_one(connection.dialect.name, table, table.c.id)
    key: int | None = connection.execute(statement, values).scalar_one_or_none()
    return key


def is_inserted(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> bool:
    """Insert one row; False when a unique key of it is taken."""
    # Asked for in so many words, because not every driver counts the rows of an insert.
    statement = _insert_of_one(connection.dialect.name, table, _ONE)
    return connection.execute(statement, values).scalar_one_or_none() is not None


_ONE = sa.literal(1)


# Kept, because making a statement takes several times as long as running it.
@cache
def _insert_of_one(dialect: str, table: sa.Table, answer: sa.ColumnElement[Any]) -> sa.Executable:
    statement: sa.Executable = (
        insert_into(dialect, table).on_conflict_do_nothing().returning(answer)
    )
    return statement
