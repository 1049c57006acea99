"""The sessions as rows, so that every replica knows them and anybody's can be ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.sql_text import ByteOrderedText

if TYPE_CHECKING:
    from service_chassis.database import Database

_KEY = ByteOrderedText
metadata = sa.MetaData()

web_sessions = sa.Table(
    "web_sessions",
    metadata,
    # SHA-256 of the id in the cookie: whoever reads the table cannot act as anybody in it.
    sa.Column("digest", _KEY, primary_key=True),
    # SHA-256 of the login's `state`, which makes one session at most.
    sa.Column("login_digest", _KEY, nullable=False, unique=True),
    sa.Column("principal", _KEY, nullable=False),
    # The issuer's name in the access rules, and its URL.
    sa.Column("provider", _KEY, nullable=False),
    sa.Column("issuer", _KEY, nullable=False),
    sa.Column("subject", _KEY, nullable=False),
    sa.Column("device", _KEY, nullable=False),
    sa.Column("created_s", sa.BigInteger, nullable=False),
    sa.Column("seen_s", sa.BigInteger, nullable=False),
    sa.Column("ends_s", sa.BigInteger, nullable=False),
    sa.Column("token_ends_s", sa.BigInteger, nullable=False),
    # Until when one of the replicas is renewing the tokens.
    sa.Column("claimed_s", sa.BigInteger, nullable=False),
    sa.Column("sealed_tokens", _KEY, nullable=False),
    # What the provider knows the login by: `sub` and `sid` of the ID token.
    sa.Column("login_subject", _KEY, nullable=False),
    sa.Column("provider_session", _KEY, nullable=False),
)
# SHA-256 of what logout tokens are known by, until these are too old anyway.
web_logouts = sa.Table(
    "web_logouts",
    metadata,
    sa.Column("digest", _KEY, primary_key=True),
    sa.Column("until_s", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True)
class SessionRow:
    """A session as it is kept. Times are seconds since 1970."""

    digest: str
    login_digest: str
    principal: str
    provider: str
    issuer: str
    subject: str
    device: str
    created_s: int
    seen_s: int
    ends_s: int
    token_ends_s: int
    claimed_s: int
    sealed_tokens: str
    login_subject: str
    provider_session: str


@dataclass(frozen=True)
class Logout:
    """The end of a login, as a provider tells of it.

    Attributes:
        issuer: URL of the provider.
        subject: Whose login, as ID tokens have it; empty when it is told by the session alone.
        provider_session: Which one (`sid`); empty when all of the person's are meant.
        digest: SHA-256 of what the token is known by.
        forgotten_s: When the token is too old anyway, in seconds since 1970.
    """

    issuer: str
    subject: str
    provider_session: str
    digest: str
    forgotten_s: int


class LoginUsedError(Exception):
    """The login has made a session already."""


class LogoutUsedError(Exception):
    """The provider told of this end of a login before."""


class SessionStore:
    """Reads and writes sessions.

    Args:
        database: The database, migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: SessionRow, ended_before_s: int) -> None:
        """Add a session, and forget those that ended before a time.

        Raises:
            LoginUsedError: There was one from this login already.
        """

        def work(connection: sa.Connection) -> bool:
            connection.execute(
                sa.delete(web_sessions).where(web_sessions.c.ends_s < ended_before_s)
            )
            used = sa.select(web_sessions.c.digest).where(
                web_sessions.c.login_digest == row.login_digest
            )
            if connection.execute(used).first() is not None:
                return False
            connection.execute(sa.insert(web_sessions).values(vars(row)))
            return True

        try:
            added = await self._database.write(work)
        except sa.exc.IntegrityError as error:
            raise LoginUsedError from error
        if not added:
            raise LoginUsedError

    async def find(self, digest: str, now_s: int) -> SessionRow | None:
        """A session that has not ended."""
        found = await self._select(web_sessions.c.digest == digest, now_s)
        return found[0] if found else None

    async def of(self, principal: str, now_s: int) -> list[SessionRow]:
        """The sessions of one person that have not ended, the latest first."""
        return await self._select(web_sessions.c.principal == principal, now_s)

    async def _select(self, condition: sa.ColumnElement[bool], now_s: int) -> list[SessionRow]:
        query = (
            sa.select(web_sessions)
            .where(condition, web_sessions.c.ends_s > now_s)
            .order_by(web_sessions.c.seen_s.desc(), web_sessions.c.digest)
        )
        rows = await self._database.read(lambda db: db.execute(query).mappings().all(), brief=True)
        return [SessionRow(**row) for row in rows]

    async def end(self, principal: str, now_s: int, digest: str = "") -> list[SessionRow]:
        """End one session of a person, or all of them; returns those that were ended.

        The rows stay for a while without their tokens, so that their logins stay used.
        """
        which = web_sessions.c.principal == principal
        if digest:
            which &= web_sessions.c.digest == digest
        return await self._database.write(lambda connection: _end(connection, which, now_s))

    async def end_login(self, logout: Logout, now_s: int) -> list[SessionRow]:
        """End the sessions of a login that has ended at the provider; returns those.

        Raises:
            LogoutUsedError: That was told before.
        """
        which = web_sessions.c.issuer == logout.issuer
        if logout.subject:
            which &= web_sessions.c.login_subject == logout.subject
        if logout.provider_session:
            # A session of which the provider did not say which it is may be this one.
            unnamed = [""] if logout.subject else []
            which &= web_sessions.c.provider_session.in_([logout.provider_session, *unnamed])

        def work(connection: sa.Connection) -> list[SessionRow] | None:
            connection.execute(sa.delete(web_logouts).where(web_logouts.c.until_s < now_s))
            used = sa.select(web_logouts.c.digest).where(web_logouts.c.digest == logout.digest)
            if connection.execute(used).first() is not None:
                return None
            note = sa.insert(web_logouts)
            connection.execute(note.values(digest=logout.digest, until_s=logout.forgotten_s))
            return _end(connection, which, now_s)

        try:
            ended = await self._database.write(work)
        except sa.exc.IntegrityError as error:
            raise LogoutUsedError from error
        if ended is None:
            raise LogoutUsedError
        return ended

    async def saw(self, digest: str, now_s: int) -> None:
        """Note that a session was used."""
        await self._update(digest, seen_s=now_s)

    async def claim(self, row: SessionRow, now_s: int, until_s: int) -> bool:
        """Whether the caller is the one to renew these tokens; others are kept from it.

        A provider takes a second use of a refresh token for theft and ends the login. So nobody
        renews tokens that were renewed since the row was read.
        """
        unclaimed = web_sessions.c.claimed_s <= now_s
        same = web_sessions.c.sealed_tokens == row.sealed_tokens
        return await self._update(row.digest, unclaimed, same, claimed_s=until_s)

    async def renew(self, digest: str, sealed_tokens: str, token_ends_s: int) -> bool:
        """Put new tokens in place and give up the claim; whether the session still existed."""
        return await self._update(
            digest, sealed_tokens=sealed_tokens, token_ends_s=token_ends_s, claimed_s=0
        )

    async def give_up(self, digest: str) -> None:
        """Give up the claim without new tokens."""
        await self._update(digest, claimed_s=0)

    async def _update(self, digest: str, *more: sa.ColumnElement[bool], **values: Any) -> bool:
        change = sa.update(web_sessions).where(
            web_sessions.c.digest == digest, web_sessions.c.sealed_tokens != "", *more
        )
        return await self._database.write(
            lambda db: db.execute(change.values(**values)).rowcount == 1
        )


def _end(connection: sa.Connection, which: sa.ColumnElement[bool], now_s: int) -> list[SessionRow]:
    which &= web_sessions.c.ends_s > now_s
    found = connection.execute(sa.select(web_sessions).where(which).with_for_update())
    rows = [SessionRow(**row) for row in found.mappings()]
    ended = sa.update(web_sessions).where(which)
    connection.execute(ended.values(ends_s=now_s, sealed_tokens=""))
    return rows
