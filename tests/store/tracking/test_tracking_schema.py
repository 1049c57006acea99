"""The schema that the migrations make is the one that the statements are written for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service_chassis.database import Database
from tracking_service.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    import sqlalchemy as sa

_SQLITE = (
    """SELECT t.name, t.wr, c.* FROM pragma_table_list t, pragma_table_xinfo(t.name) c
    WHERE t.name NOT IN ('alembic_version', 'sqlite_schema', 'sqlite_temp_schema')""",
    """SELECT t.name, f."table", f."from", f."to", f.on_update, f.on_delete
    FROM sqlite_master t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'""",
    """SELECT t.name, CASE i.origin WHEN 'c' THEN i.name END, i."unique", i.origin, c.seqno,
        c.name, c."desc", c.coll, c.key
    FROM sqlite_master t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) c
    WHERE t.type = 'table' AND t.name <> 'alembic_version'""",
)
_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid), l.collname
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE a.attnum > 0 AND c.relname <> 'alembic_version'
"""
_INDEXES = """
    SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
      AND conrelid::regclass::text <> 'alembic_version'
"""
_POSTGRESQL = (_COLUMNS, _INDEXES, _CONSTRAINTS)


def _described(database: Database) -> list[list[Any]]:
    """Everything the database says of its schema."""

    def describe(connection: sa.Connection) -> list[list[Any]]:
        statements = _SQLITE if database.is_sqlite else _POSTGRESQL
        return [
            sorted(map(repr, connection.exec_driver_sql(statement))) for statement in statements
        ]

    return database.read_now(describe)


def test_migrations_make_the_tables_of_the_code(
    database_factory: Callable[[str], Database], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    migrated = database_factory("tracking_service")
    if migrated.is_sqlite:
        url = f"sqlite:///{tmp_path}/created.db"
    else:
        url = request.getfixturevalue("new_postgres_url")()
    created = Database(url, "tracking_service", pool_size=1)
    created.write_now(metadata.create_all)

    assert _described(migrated) == _described(created)
    created.close()


def test_migrating_twice_changes_nothing(database_factory: Callable[[str], Database]) -> None:
    database = database_factory("tracking_service")
    before = _described(database)

    database.migrate()

    assert _described(database) == before
