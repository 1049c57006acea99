"""The database of a service: transactions, retries, migrations.

SQLite and PostgreSQL are used through the same SQLAlchemy Core statements. Work runs in threads,
in a transaction of its own or, if it is a change that shares its commit, together with others, and
is repeated when it was in another transaction's way.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from service_chassis.errors import Code, StudbookError, unavailable
from service_chassis.running_reads import RunningRead
from service_chassis.shared_commits import SharedCommits
from service_chassis.sqlite_changes import SqliteChanges
from service_chassis.sqlite_compiler import SqliteCompiler
from service_chassis.sqlite_cursors import TidyConnection, close_cursors

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

T = TypeVar("T")

_ATTEMPTS = 6
_BESIDE_THREADS = 8
_WRITE = "studbook_write"
# PostgreSQL: serialization_failure, deadlock_detected, lock_not_available.
_CONFLICT_STATES = frozenset({"40001", "40P01", "55P03"})
# Only one replica at a time applies migrations; any constant will do.
_MIGRATION_LOCK = 7_420_001


def _normalised(url: str) -> sa.URL:
    parsed = sa.make_url(url)
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


class TransactionConflictError(Exception):
    """Raised by work that met another transaction's fresh row; the transaction is repeated."""


class Database:
    """One database, SQLite or PostgreSQL.

    Args:
        url: SQLAlchemy URL, `sqlite:////path/file.db` or `postgresql://user@host/name`.
        package: Package of the service; its `migrations/versions` folder holds the schema's
            history.
        pool_size: Most transactions at a time.
    """

    def __init__(self, url: str, package: str, *, pool_size: int = 8) -> None:
        self._package = package
        address = _normalised(url)
        self.is_sqlite = address.get_backend_name() == "sqlite"
        self.engine = sa.create_engine(
            address,
            pool_size=pool_size,
            # For those beside the threads: the event loop, and work in the background.
            max_overflow=_BESIDE_THREADS,
            # A server can go away between two transactions; a file cannot.
            pool_pre_ping=not self.is_sqlite,
            connect_args={"factory": TidyConnection} if self.is_sqlite else {},
        )
        self._shared = SharedCommits(self._transact, self._transact_again, f"{package}-commits")
        self._threads = ThreadPoolExecutor(pool_size, thread_name_prefix=f"{package}-db")
        if self.is_sqlite:
            self.engine.dialect.statement_compiler = SqliteCompiler
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
            event.listen(self.engine, "reset", close_cursors)
            self._changes = SqliteChanges(self.engine)
        else:
            event.listen(self.engine, "begin", _begin_postgresql)

    async def read(self, work: Callable[[sa.Connection], T], *, brief: bool = False) -> T:
        """Run read-only work on one consistent snapshot, in a thread.

        When the caller is cancelled, the statement that runs is ended.

        Args:
            work: What to do.
            brief: Promises that it is a handful of look-ups by key. On SQLite these take less
                time than handing them to a thread and back does, and run at once.
        """
        if brief and self.is_sqlite:
            return self.read_now(work)
        running = RunningRead(is_sqlite=self.is_sqlite)

        def watched(connection: sa.Connection) -> T:
            with running.on(connection):
                return work(connection)

        try:
            return await self._in_thread(self.read_now, watched)
        except asyncio.CancelledError:
            # In a thread, for asking PostgreSQL takes a while; nobody waits for that either.
            asyncio.get_running_loop().run_in_executor(None, running.give_up)
            raise

    async def write(
        self, work: Callable[[sa.Connection], T], *, brief: bool = False, order: str = ""
    ) -> T:
        """Run work in one transaction, in a thread; when this returns it is durable.

        On SQLite, which has one writer, all work of concurrent callers shares commits. On
        PostgreSQL only brief work does.

        Args:
            work: What to do. It may run several times and must have no other effects.
            brief: Promises that it takes little time, and locks nothing but what belongs to
                `order`.
            order: Name of what brief work is about.

        Raises:
            StudbookError: What the work raised, STORE_UNAVAILABLE, or TRANSACTION_CONFLICT.
        """
        if brief or self.is_sqlite:
            return await asyncio.wrap_future(self._shared.submit(work, order))
        return await self._in_thread(self._transact_again, work)

    def read_now(self, work: Callable[[sa.Connection], T]) -> T:
        """`read` for callers without an event loop."""
        return self._repeat(lambda: self._run(work, write=False))

    def write_now(self, work: Callable[[sa.Connection], T]) -> T:
        """`write` for callers without an event loop."""
        if self.is_sqlite:
            # Waiting for a turn is fair; waiting inside SQLite is polling.
            return self._shared.submit(work).result()
        return self._transact_again(work)

    def sqlite_changes(self) -> int:
        """A number that is another one as soon as anybody has committed anything.

        Only on SQLite. For the event loop's thread.

        Raises:
            StudbookError: STORE_UNAVAILABLE.
        """
        try:
            return self._changes.number()
        except (sqlite3.Error, DBAPIError) as error:
            raise _store_unavailable() from error

    def migrate(self) -> None:
        """Bring the schema up to date. Safe to call from several processes at once."""
        folder = resources.files("service_chassis") / "migrations"
        versions = resources.files(self._package) / "migrations" / "versions"
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.set_main_option("version_locations", str(versions))
        config.set_main_option("path_separator", "newline")

        def upgrade(connection: sa.Connection) -> None:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

        self.write_now(upgrade)

    def close(self) -> None:
        """Let running work end, then close all connections."""
        self._shared.close()
        self._threads.shutdown(wait=True)
        if self.is_sqlite:
            self._changes.close()
        self.engine.dispose()

    async def _in_thread(self, run: Callable[[Any], T], work: Callable[[sa.Connection], T]) -> T:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, context.run, run, work)

    def _transact(self, work: Callable[[sa.Connection], T]) -> T:
        return self._run(work, write=True)

    def _transact_again(self, work: Callable[[sa.Connection], T]) -> T:
        return self._repeat(lambda: self._transact(work))

    def _run(self, work: Callable[[sa.Connection], T], *, write: bool) -> T:
        with (
            self.engine.connect().execution_options(**{_WRITE: write}) as connection,
            connection.begin(),
        ):
            return work(connection)

    def _repeat(self, attempt: Callable[[], T]) -> T:
        for number in range(_ATTEMPTS):
            try:
                return attempt()
            except TransactionConflictError:
                pass
            except IntegrityError:
                # The store names the constraints it expects; any other is a defect.
                raise
            except DBAPIError as error:
                if not _is_conflict(error):
                    raise _store_error(error) from error
            time.sleep(random.uniform(0.5, 1.5) * 0.005 * 2**number)  # noqa: S311 - back-off
        raise StudbookError(
            Code.ABORTED,
            "TRANSACTION_CONFLICT",
            "The change was in the way of others again and again; repeat the call.",
        )


def _is_conflict(error: DBAPIError) -> bool:
    if getattr(error.orig, "sqlstate", None) in _CONFLICT_STATES:
        return True
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)


def _store_error(error: DBAPIError) -> BaseException:
    """What a caller learns of a driver error; the text of the driver stays in the log."""
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return _store_unavailable()
    return error


def _store_unavailable() -> StudbookError:
    return unavailable(
        "STORE_UNAVAILABLE", "The database cannot be reached or is full; try again shortly."
    )


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # Transactions are begun by `_begin_sqlite`, not by the driver.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA busy_timeout = 10000")
    cursor.execute("PRAGMA foreign_keys = ON")
    # Pages are looked at where the system keeps them. Otherwise each connection would copy them
    # into 2 MB of its own, over and over where a search looks at more. This is the most there is.
    cursor.execute("PRAGMA mmap_size = 2147418112")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _begin_postgresql(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get(_WRITE):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
