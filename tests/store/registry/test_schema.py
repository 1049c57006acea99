"""The migrations make the very schema that the code is written for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry_service.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from service_chassis.database import Database

_SQLITE = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql IS NOT NULL"
_POSTGRESQL = (
    """SELECT table_name || '.' || column_name,
              concat_ws(' ', data_type, collation_name, is_nullable, column_default)
       FROM information_schema.columns WHERE table_schema = 'public'""",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    """SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
       FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
)


def schema(connection: sa.Connection) -> dict[str, str]:
    queries = (_SQLITE,) if connection.dialect.name == "sqlite" else _POSTGRESQL
    found = {}
    for query in queries:
        for name, definition in connection.exec_driver_sql(query):
            if "alembic" not in name:
                found[name] = " ".join(sorted(definition.replace(",", " ").split()))
    return found


def test_migrated_schema_is_that_of_the_tables(
    database_factory: Callable[[str], Database],
) -> None:
    database = database_factory("registry_service")
    migrated = database.read_now(schema)

    def make_anew(connection: sa.Connection) -> dict[str, str]:
        metadata.drop_all(connection)
        metadata.create_all(connection)
        return schema(connection)

    assert migrated
    assert migrated == database.write_now(make_anew)


def test_migrating_twice_changes_nothing(database_factory: Callable[[str], Database]) -> None:
    database = database_factory("registry_service")
    before = database.read_now(schema)
    database.migrate()
    assert database.read_now(schema) == before


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_every_table_has_a_primary_key(table: str) -> None:
    assert metadata.tables[table].primary_key.columns
