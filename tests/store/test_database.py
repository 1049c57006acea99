"""Transactions: whole or not at all, repeated when in another's way, on both databases."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from service_chassis.database import Database, TransactionConflictError
from service_chassis.errors import Code, StudbookError
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METADATA = sa.MetaData()
COUNTERS = sa.Table(
    "counters",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)


@pytest.fixture
def database(database_factory: Callable[[str], Database]) -> Database:
    made = database_factory("registry_service")
    made.write_now(METADATA.create_all)
    made.write_now(lambda c: c.execute(COUNTERS.insert().values(name="n", value=0)))
    return made


def value(database: Database) -> int:
    found = database.read_now(lambda c: c.execute(sa.select(COUNTERS.c.value)).scalar_one())
    return int(found)


def add_one(connection: sa.Connection) -> None:
    row = connection.execute(sa.select(COUNTERS.c.value).with_for_update()).one()
    connection.execute(COUNTERS.update().values(value=row.value + 1))


def test_failed_work_leaves_nothing(database: Database) -> None:
    def work(connection: sa.Connection) -> None:
        add_one(connection)
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        database.write_now(work)
    assert value(database) == 0


def test_concurrent_changes_all_count(database: Database) -> None:
    with ThreadPoolExecutor(16) as threads:
        for done in [threads.submit(database.write_now, add_one) for _ in range(64)]:
            done.result()
    assert value(database) == 64


def test_conflicting_work_is_repeated(database: Database) -> None:
    attempts = []

    def work(connection: sa.Connection) -> None:
        attempts.append(1)
        add_one(connection)
        if len(attempts) < 3:
            raise TransactionConflictError

    database.write_now(work)
    assert (len(attempts), value(database)) == (3, 1)


def test_endless_conflict_is_reported(database: Database) -> None:
    def work(_connection: sa.Connection) -> None:
        raise TransactionConflictError

    with pytest.raises(StudbookError) as caught:
        database.write_now(work)
    assert caught.value.reason == "TRANSACTION_CONFLICT"


def test_reading_sees_one_moment(database: Database) -> None:
    started, changed = threading.Event(), threading.Event()

    def work(connection: sa.Connection) -> list[int]:
        query = sa.select(COUNTERS.c.value)
        first = connection.execute(query).scalar_one()
        started.set()
        assert changed.wait(PATIENCE_S)
        return [first, connection.execute(query).scalar_one()]

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(database.read_now, work)
        assert started.wait(PATIENCE_S)
        database.write_now(add_one)
        changed.set()
        assert reading.result() == [0, 0]


def test_what_was_not_read_to_its_end_keeps_no_snapshot(database: Database) -> None:
    """Results that outlive their transaction do not let the next one see the past."""
    names = [{"name": f"more-{number}", "value": number} for number in range(50)]
    database.write_now(lambda c: c.execute(COUNTERS.insert(), names))
    held = []

    def read_one(connection: sa.Connection) -> None:
        rows = iter(connection.execute(sa.select(COUNTERS)))
        next(rows)
        held.append(rows)

    def count(connection: sa.Connection) -> int:
        return int(
            connection.execute(sa.select(sa.func.count()).select_from(COUNTERS)).scalar_one()
        )

    database.read_now(read_one)
    url = database.engine.url.render_as_string(hide_password=False)
    other = Database(url, "registry_service")
    other.write_now(lambda c: c.execute(COUNTERS.insert().values(name="new", value=0)))
    other.close()
    assert database.read_now(count) == 52


def test_loop_stays_free_while_work_runs(database: Database) -> None:
    async def run() -> bool:
        let_go = threading.Event()
        work = asyncio.ensure_future(database.read(lambda _: let_go.wait(PATIENCE_S)))
        await asyncio.sleep(0)
        let_go.set()
        return await work

    assert asyncio.run(run())


class Busy:
    """A change that is under way until it is let go, so that others wait for it."""

    def __init__(self) -> None:
        self._started, self._let_go = threading.Event(), threading.Event()

    async def begin(self, database: Database) -> asyncio.Future[None]:
        change = asyncio.ensure_future(database.write(self._work, brief=True))
        assert await asyncio.to_thread(self._started.wait, 10)
        return change

    def end(self) -> None:
        self._let_go.set()

    def _work(self, _connection: sa.Connection) -> None:
        self._started.set()
        assert self._let_go.wait(PATIENCE_S)


def add_and_tell(connection: sa.Connection) -> int:
    add_one(connection)
    return int(connection.execute(sa.select(COUNTERS.c.value)).scalar_one())


def test_concurrent_callers_share_commits(database: Database) -> None:
    commits: list[object] = []
    sa.event.listen(database.engine, "commit", commits.append)

    async def run() -> list[int]:
        busy = Busy()
        under_way = await busy.begin(database)
        others = [
            asyncio.ensure_future(database.write(add_and_tell, brief=True)) for _ in range(20)
        ]
        await asyncio.sleep(0)
        busy.end()
        await under_way
        return [await other for other in others]

    # All that came while one was under way went together, in the order in which they came.
    assert asyncio.run(run()) == list(range(1, 21))
    assert len(commits) == 2
    assert value(database) == 20


@pytest.mark.parametrize("fault", ["refusal", "defect", "conflict"])
def test_who_shares_a_commit_is_not_hurt_by_another(database: Database, fault: str) -> None:
    errors = {
        "refusal": StudbookError(Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "gone"),
        "defect": ValueError("defect"),
        "conflict": TransactionConflictError(),
    }

    def fail(connection: sa.Connection) -> None:
        add_one(connection)
        raise errors[fault]

    async def run() -> list[object]:
        busy = Busy()
        under_way = await busy.begin(database)
        works = [add_one, fail, add_one]
        tasks = [asyncio.ensure_future(database.write(work, brief=True)) for work in works]
        await asyncio.sleep(0)
        busy.end()
        await under_way
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    before, failed, after = asyncio.run(run())

    assert before is after is None
    expected = StudbookError if fault == "conflict" else type(errors[fault])
    assert isinstance(failed, expected)
    assert value(database) == 2


def test_a_change_that_was_given_up_while_it_waited_is_not_made(database: Database) -> None:
    async def run() -> None:
        busy = Busy()
        under_way = await busy.begin(database)
        given_up = asyncio.ensure_future(database.write(add_one, brief=True))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        busy.end()
        await under_way

    asyncio.run(run())
    assert value(database) == 0


def test_migrating_again_changes_nothing(database: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(database.migrate) for _ in range(4)]:
            done.result()


def test_unreachable_database_is_unavailable(tmp_path: Path) -> None:
    url = f"postgresql://nobody@/none?host={tmp_path}"
    database = Database(url, "registry_service")
    with pytest.raises(StudbookError) as caught:
        database.read_now(lambda c: c.execute(sa.select(1)))
    assert (caught.value.code.name, caught.value.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
    database.close()


def test_change_by_whomever_is_noticed_on_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'marked.db'}"
    database, other = Database(url, "registry_service"), Database(url, "registry_service")
    database.write_now(METADATA.create_all)
    seen = [database.sqlite_changes()]
    assert database.sqlite_changes() == seen[0]
    for changed in (database, other):
        changed.write_now(lambda c: c.execute(COUNTERS.insert().values(name="n", value=0)))
        seen.append(database.sqlite_changes())
        changed.read_now(lambda c: c.execute(sa.select(COUNTERS)).all())
        assert database.sqlite_changes() == seen[-1]
        changed.write_now(lambda c: c.execute(COUNTERS.delete()))
        seen.append(database.sqlite_changes())
    assert len(set(seen)) == len(seen) == 5
    database.close()
    other.close()


def test_marks_of_two_connections_are_never_the_same(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'marked.db'}", "registry_service")
    before = database.sqlite_changes()
    database._changes._connection.close()
    with pytest.raises(StudbookError) as refusal:
        database.sqlite_changes()
    assert refusal.value.reason == "STORE_UNAVAILABLE"
    assert database.sqlite_changes() != before
    database.close()


def test_a_read_that_is_given_up_ends(database_factory: Callable[[str], Database]) -> None:
    migrated = database_factory("registry_service")
    url = migrated.engine.url.render_as_string(hide_password=False)
    database = Database(url, "registry_service", pool_size=1)
    begun = threading.Event()
    endless = sa.text(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) "
        "SELECT count(*) FROM numbers"
    )

    def work(connection: sa.Connection) -> None:
        begun.set()
        connection.execute(endless)

    async def give_up_and_read() -> int:
        reading = asyncio.create_task(database.read(work))
        waiting = asyncio.create_task(database.read(work))
        assert await asyncio.to_thread(begun.wait, PATIENCE_S)
        for task in (reading, waiting):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # There is one thread, and it was taken.
        return await database.read(lambda c: int(c.execute(sa.text("SELECT 42")).scalar_one()))

    assert asyncio.run(asyncio.wait_for(give_up_and_read(), PATIENCE_S)) == 42
    database.close()
