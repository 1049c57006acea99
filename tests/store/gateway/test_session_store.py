"""Sessions of browsers in a database that several replicas share."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from gateway.web.session_store import (
    LoginUsedError,
    Logout,
    LogoutUsedError,
    SessionRow,
    SessionStore,
    metadata,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.database import Database

ROW = SessionRow(
    digest="d1",
    login_digest="l1",
    principal="user:dev:ada",
    provider="dev",
    issuer="https://login.example.com",
    subject="ada",
    device="Firefox",
    created_s=1000,
    seen_s=1000,
    ends_s=2000,
    token_ends_s=1300,
    claimed_s=0,
    sealed_tokens="t1",
    login_subject="ada",
    provider_session="s1",
)
SECOND = replace(ROW, digest="d2", login_digest="l2", seen_s=1100)
GRACES = replace(ROW, digest="d3", login_digest="l3", principal="user:dev:grace")


@pytest.fixture
def database(database_factory: Callable[[str], Database]) -> Database:
    return database_factory("gateway")


@pytest.fixture
def store(database: Database) -> SessionStore:
    store = SessionStore(database)
    for row in (ROW, SECOND, GRACES):
        asyncio.run(store.add(row, 0))
    return store


def test_schema_is_the_one_that_statements_are_written_for(database: Database) -> None:
    def columns(connection: sa.Connection) -> dict[str, list[tuple[str, bool]]]:
        inspector = sa.inspect(connection)
        return {
            name: sorted((one["name"], one["nullable"]) for one in inspector.get_columns(name))
            for name in metadata.tables
        }

    expected = {
        name: sorted((column.name, bool(column.nullable)) for column in table.columns)
        for name, table in metadata.tables.items()
    }
    assert database.read_now(columns) == expected


def test_sessions_are_found_until_they_end(store: SessionStore) -> None:
    async def run() -> None:
        assert await store.find("d1", 1999) == ROW
        assert await store.find("d1", 2000) is None
        assert await store.of("user:dev:ada", 1500) == [SECOND, ROW]

    asyncio.run(run())


def test_of_many_who_finish_one_login_one_succeeds(store: SessionStore) -> None:
    async def run() -> None:
        rows = [replace(ROW, digest=f"n{n}", login_digest="new") for n in range(8)]
        results = await asyncio.gather(*(store.add(row, 0) for row in rows), return_exceptions=True)
        assert results.count(None) == 1
        assert sum(isinstance(one, LoginUsedError) for one in results) == 7

    asyncio.run(run())


def test_a_login_stays_used_after_its_session_was_ended(store: SessionStore) -> None:
    async def run() -> None:
        await store.end("user:dev:ada", 1500, "d1")
        with pytest.raises(LoginUsedError):
            await store.add(replace(ROW, digest="n"), 1400)
        # Long after, nobody remembers; the login has become too old by itself.
        await store.add(replace(ROW, digest="n", ends_s=9000), 1600)

    asyncio.run(run())


def test_ending_takes_tokens_away_and_leaves_others_alone(store: SessionStore) -> None:
    async def run() -> None:
        assert await store.end("user:dev:grace", 1500, "d1") == []
        assert await store.end("user:dev:ada", 1500, "d1") == [ROW]
        assert await store.end("user:dev:ada", 1500, "d1") == []
        assert await store.of("user:dev:ada", 1500) == [SECOND]
        assert await store.end("user:dev:ada", 1500) == [SECOND]
        assert await store.of("user:dev:grace", 1500) == [GRACES]
        # What comes too late for a session that was ended changes nothing.
        assert not await store.renew("d1", "t2", 1900)
        assert not await store.claim(ROW, 1500, 1530)

    asyncio.run(run())


def test_of_many_who_would_renew_tokens_one_does(store: SessionStore) -> None:
    async def run() -> None:
        claims = await asyncio.gather(*(store.claim(ROW, 1200, 1220) for _ in range(8)))
        assert sorted(claims) == [False] * 7 + [True]
        # Who claimed and never came back is not waited for.
        assert await store.claim(ROW, 1220, 1240)
        assert await store.renew("d1", "t2", 1600)
        found = await store.find("d1", 1230)
        assert found == replace(ROW, sealed_tokens="t2", token_ends_s=1600)

    asyncio.run(run())


def test_tokens_that_were_renewed_since_are_not_renewed_again(store: SessionStore) -> None:
    """Who read the row before, and comes after, would use the refresh token a second time."""

    async def run() -> None:
        assert await store.claim(ROW, 1200, 1220)
        assert await store.renew("d1", "t2", 1600)
        assert not await store.claim(ROW, 1200, 1220)

    asyncio.run(run())


LOGOUT = Logout(ROW.issuer, subject="ada", provider_session="", digest="x1", forgotten_s=1700)


def test_end_of_a_login_is_told_once(store: SessionStore) -> None:
    """At whichever replicas it arrives."""

    async def run() -> None:
        told = await asyncio.gather(
            *(store.end_login(LOGOUT, 1500) for _ in range(8)), return_exceptions=True
        )
        (ended,) = [one for one in told if isinstance(one, list)]
        assert sorted(row.digest for row in ended) == ["d1", "d2", "d3"]
        assert [type(one) for one in told if not isinstance(one, list)] == [LogoutUsedError] * 7
        # When it is too old for anybody it is forgotten.
        assert await store.end_login(LOGOUT, 1701) == []

    asyncio.run(run())


def test_login_ends_at_its_provider_alone(store: SessionStore) -> None:
    async def run() -> None:
        elsewhere = replace(LOGOUT, issuer="https://other.example.com", digest="x2")
        assert await store.end_login(elsewhere, 1500) == []
        another = replace(LOGOUT, provider_session="s2", digest="x3")
        assert await store.end_login(another, 1500) == []
        assert await store.find("d1", 1500) == ROW

    asyncio.run(run())
