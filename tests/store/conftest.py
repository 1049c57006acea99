"""Databases for the store suites: every test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest

from service_chassis.database import Database
from tests.postgresql import PostgresServer, postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _migrate(url: str, package: str) -> None:
    database = Database(url, package, pool_size=1)
    database.migrate()
    database.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test process' own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def new_postgres_url(postgres: PostgresServer) -> Callable[[], str]:
    """Makes an empty PostgreSQL database and returns its URL."""
    return postgres.create_database


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> Callable[[str], str]:
    """Migrates a database for a service's package, once, and returns its name."""

    @cache
    def make(package: str) -> str:
        name = f"migrated_{package}"
        _migrate(postgres.create_database(name), package)
        return name

    return make


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Migrates a SQLite file for a service's package, once, and returns its path."""
    folder = tmp_path_factory.mktemp("migrated")

    @cache
    def make(package: str) -> Path:
        path = folder / f"{package}.db"
        _migrate(f"sqlite:///{path}", package)
        return path

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database_factory(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[str], Database]]:
    """Makes migrated, empty databases for a service's package, on the backend under test."""
    made: list[Database] = []

    def make(package: str) -> Database:
        if request.param == "sqlite":
            file = shutil.copy(
                request.getfixturevalue("migrated_sqlite")(package), tmp_path / f"{package}.db"
            )
            url = f"sqlite:///{file}"
        else:
            postgres: PostgresServer = request.getfixturevalue("postgres")
            template = request.getfixturevalue("migrated_postgres")(package)
            url = postgres.create_database(template=template)
        database = Database(url, package, pool_size=20)
        made.append(database)
        return database

    yield make
    for database in made:
        database.close()
