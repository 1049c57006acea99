"""Sessions of people in their browsers: begun by a login, found by a cookie, ended for good.

The cookie holds a random id, sealed. The row it leads to holds the tokens, sealed too. So a session
is the same at every replica, ends everywhere at once, and neither cookie nor row alone is of use.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import structlog

from gateway.refusals import TokenRefusedError
from gateway.token_verifier import LEEWAY_S
from gateway.web.logins import LOGIN_S
from gateway.web.provider import Tokens
from gateway.web.refusals import LoginRefusedError, provider_unavailable
from gateway.web.session_store import LoginUsedError, SessionRow
from service_chassis.errors import StudbookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication import Authenticated, Authenticator, RulesSource
    from gateway.web.id_token import ProvenLogin
    from gateway.web.provider import Provider, Providers
    from gateway.web.sealing import Sealer
    from gateway.web.session_store import Logout, SessionStore

_log = structlog.get_logger("studbook.web")

_ID, _TOKENS = "session", "tokens"
_LONGEST_DEVICE = 200
# Tokens are renewed a little before they end, so that a page never waits for it in vain.
_RENEW_BEFORE_S = 30
_CLAIM_S = 20
_POLL_S = 0.1
_SEEN_EVERY_S = 60


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def form_token(session_id: str) -> str:
    """What a form of a session must bring along; only who knows the session can make it."""
    return hmac.new(session_id.encode(), b"form", hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Session:
    """A session that is good at this moment.

    Attributes:
        id: The secret that the cookie holds.
        row: What is kept of it.
        caller: Who it is, decided as for a call that brings the session's token.
    """

    id: str
    row: SessionRow
    caller: Authenticated


class Sessions:
    """Begins, finds and ends sessions.

    Args:
        store: Where they are kept.
        sealer: Seals cookies and tokens.
        authenticator: Says whose a token is; the same that admits calls.
        providers: Where tokens are renewed.
        rules: The access rules in force.
        lasts_s: How long a session lasts at most, in seconds.
        now: The wall clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        store: SessionStore,
        sealer: Sealer,
        authenticator: Authenticator,
        providers: Providers,
        rules: RulesSource,
        *,
        lasts_s: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._authenticator = authenticator
        self._providers = providers
        self._rules = rules
        self.lasts_s = lasts_s
        self._now = now

    async def begin(
        self, tokens: Tokens, provider: Provider, *, login: ProvenLogin, state: str, device: str
    ) -> tuple[str, Authenticated]:
        """Begin a session; returns the value of its cookie and whose it is.

        Its id is always a new one, so nobody can know it from before the login.

        Args:
            tokens: What the login gave.
            provider: Where it was.
            login: What the ID token says of it.
            state: The login's `state`, good for one session.
            device: What the browser calls itself.

        Raises:
            LoginRefusedError: The token is not a person's or not of this login, or the login made
                a session already.
            StudbookError: The token is refused.
        """
        caller = await self._caller(tokens)
        principal = caller.identity.principal
        who = {"issuer": principal.issuer, "subject": principal.subject}
        if principal.kind != "user":
            raise LoginRefusedError("NOT_A_PERSON", principal.kind, **who)
        same = provider.login.subjects_differ or principal.subject == login.subject
        if principal.issuer != provider.issuer.url or not same:
            raise LoginRefusedError("ID_TOKEN_INVALID", "speaks of another", **who)
        now, secret = int(self._now()), secrets.token_urlsafe(32)
        digest = _digest(secret)
        row = SessionRow(
            digest=digest,
            login_digest=_digest(state),
            principal=principal.id,
            provider=provider.name,
            issuer=principal.issuer,
            subject=principal.subject,
            login_subject=login.subject,
            provider_session=login.provider_session,
            device="".join(c for c in device if c.isprintable())[:_LONGEST_DEVICE],
            created_s=now,
            seen_s=now,
            ends_s=now + self.lasts_s,
            token_ends_s=int(caller.expires_at),
            claimed_s=0,
            sealed_tokens=self._seal(tokens, digest),
        )
        try:
            await self._store.add(row, now - LOGIN_S)
        except LoginUsedError:
            raise LoginRefusedError("STATE_INVALID", "state was used", **who) from None
        return self._sealer.seal(_ID, {"id": secret}), caller

    async def find(self, cookie: str) -> Session | None:
        """The session of a cookie, with tokens that are good; None when there is none.

        Raises:
            TokenRefusedError: Its token is refused, so the session has ended.
            StudbookError: The provider or the database cannot be reached.
        """
        content = self._sealer.open(_ID, cookie, self.lasts_s)
        if content is None:
            return None
        secret = str(content["id"])
        now = int(self._now())
        row = await self._store.find(_digest(secret), now)
        if row is None:
            return None
        try:
            caller = await self._caller(await self._good_tokens(row))
        except TokenRefusedError as refusal:
            refusal.for_log.update(issuer=row.issuer, subject=row.subject)
            await self._store.end(row.principal, now, row.digest)
            raise
        if caller.identity.principal.id != row.principal:
            await self._store.end(row.principal, now, row.digest)
            raise TokenRefusedError("TOKEN_INVALID", "renewed for another", subject=row.subject)
        if now - row.seen_s >= _SEEN_EVERY_S:
            await self._store.saw(row.digest, now)
        return Session(secret, row, caller)

    async def of(self, session: Session) -> list[SessionRow]:
        """All sessions of the one who is signed in, the latest first."""
        return await self._store.of(session.row.principal, int(self._now()))

    async def end(self, session: Session, digest: str = "") -> list[tuple[SessionRow, Tokens]]:
        """End sessions of the one who is signed in, and their logins at the provider.

        Args:
            session: The one that asks.
            digest: Which of the person's sessions; all of them when empty.

        Returns:
            Those that were ended, with the tokens that they had.
        """
        ended = self._opened(await self._store.end(session.row.principal, int(self._now()), digest))
        await self.take_back(ended)
        return ended

    async def end_login(self, logout: Logout) -> list[tuple[SessionRow, Tokens]]:
        """End the sessions of a login that has ended at the provider.

        Raises:
            LogoutUsedError: The provider told of it before.
        """
        return self._opened(await self._store.end_login(logout, int(self._now())))

    async def take_back(self, ended: list[tuple[SessionRow, Tokens]]) -> None:
        """Have the provider take back the tokens of sessions that have ended."""
        await asyncio.gather(*(self._revoke(row, tokens) for row, tokens in ended))

    def _opened(self, ended: list[SessionRow]) -> list[tuple[SessionRow, Tokens]]:
        return [(row, tokens) for row in ended if (tokens := self._open(row)) is not None]

    async def _good_tokens(self, row: SessionRow) -> Tokens:
        """The tokens of a session, renewed if they are about to end and can be.

        Raises:
            TokenRefusedError: The login has ended at the provider.
            StudbookError: The tokens have ended and the provider cannot be reached.
        """
        tokens = self._open(row)
        if tokens is None:
            raise TokenRefusedError("TOKEN_INVALID", "sealed with a key that is gone")
        now = int(self._now())
        if now < row.token_ends_s - _RENEW_BEFORE_S or not tokens.refresh:
            return tokens
        still_good = tokens if now < row.token_ends_s + LEEWAY_S else None
        if not await self._store.claim(row, now, now + _CLAIM_S):
            return still_good or await self._renewed_elsewhere(row)
        try:
            return await self._renewed(row, tokens)
        except TokenRefusedError:
            raise
        except StudbookError:
            await self._store.give_up(row.digest)
            if still_good is None:
                raise
            return still_good

    async def _renewed(self, row: SessionRow, tokens: Tokens) -> Tokens:
        provider = await self._providers.get(row.provider, self._rules.current)
        if provider is None:
            raise TokenRefusedError("ISSUER_UNKNOWN", "nobody logs in there any more")
        try:
            new = await provider.renew(tokens)
        except LoginRefusedError as refusal:
            check = f"not renewed: {refusal.for_log['check']}"
            raise TokenRefusedError("TOKEN_EXPIRED", check) from None
        ends_s = int((await self._caller(new)).expires_at)
        if not await self._store.renew(row.digest, self._seal(new, row.digest), ends_s):
            await provider.revoke(new)
            raise TokenRefusedError("TOKEN_EXPIRED", "signed out while it was renewed")
        return new

    async def _renewed_elsewhere(self, row: SessionRow) -> Tokens:
        """Wait for the tokens that another request, maybe at another replica, is fetching."""
        for _ in range(int(_CLAIM_S / _POLL_S)):
            await asyncio.sleep(_POLL_S)
            current = await self._store.find(row.digest, int(self._now()))
            if current is None:
                raise TokenRefusedError("TOKEN_EXPIRED", "ended while it was renewed")
            if current.sealed_tokens != row.sealed_tokens:
                tokens = self._open(current)
                if tokens is not None:
                    return tokens
            if current.claimed_s == 0:
                break
        raise provider_unavailable(row.provider)

    async def _revoke(self, row: SessionRow, tokens: Tokens) -> None:
        try:
            provider = await self._providers.get(row.provider, self._rules.current)
        except StudbookError:
            return  # It was logged, and the session has ended here all the same.
        if provider is not None:
            await provider.revoke(tokens)

    async def _caller(self, tokens: Tokens) -> Authenticated:
        return await self._authenticator.authenticate(
            (("authorization", f"Bearer {tokens.bearer}"),), "web"
        )

    def _seal(self, tokens: Tokens, digest: str) -> str:
        return self._sealer.seal(f"{_TOKENS} {digest}", asdict(tokens))

    def _open(self, row: SessionRow) -> Tokens | None:
        purpose = f"{_TOKENS} {row.digest}"
        content = self._sealer.open(purpose, row.sealed_tokens, self.lasts_s + LOGIN_S)
        return None if content is None else Tokens(**content)
