"""The token that the server gives a CI job for the one that its CI system gave it."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from studbook.credentials import LastingTokenSource, NoToken
from studbook.exceptions import Unauthenticated, Unavailable
from studbook.login_tokens import StoredLogin
from studbook.service_account import ClientCredentials
from studbook.shared_exchanges import SharedExchange
from studbook.stored_logins import Login
from studbook.token_claims import issuer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.credentials import TokenSource
    from studbook.identity.v1.identity_service_pb2 import (
        ExchangeTokenRequest,
        ExchangeTokenResponse,
    )
    from studbook.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

# More than any server gives; it gives as much as it may.
_AS_LONG_AS_POSSIBLE_S = 86_400

_ASK_AGAIN_S = 300.0

# What tokens were exchanged for in this process: by server, and by token where there is one a job.
_present: dict[tuple[str, str], Login] = {}
_lock = threading.RLock()


@runtime_checkable
class RenewableTokenSource(Protocol):
    """Can have as many tokens as it wants."""

    def next_token(self) -> str | None:
        """Another token than those before.

        Raises:
            StudbookError: It cannot be had.
        """


class ExchangedToken:
    """Exchanges the tokens of another source, where the server requires it of their issuer.

    A CI system's token is exchanged once in a process, or in a job if the system gives one a job.
    Tokens of other issuers are passed on as they are.

    Args:
        source: Where the CI system's tokens come from.
        identity: The server's identity service, called without a token.
        address: The server.
    """

    def __init__(self, source: TokenSource, identity: IdentityServiceStub, address: str) -> None:
        self._source = source
        self._identity = identity
        self._address = address
        self._renewable = source if isinstance(source, RenewableTokenSource) else None
        self._required: frozenset[str] = frozenset()
        self._asked_at = float("-inf")

    def token(self) -> str | None:
        """The present token, or the next one shortly before it expires.

        Raises:
            Unauthenticated: The token was exchanged elsewhere, or what it was exchanged for has
                expired and the CI system gives no other.
            StudbookError: As the other source, or as the server says.
        """
        return self._token(lasting=False)

    def lasting_token(self) -> str | None:
        """The same with at least half of its life before it, where another one can be had."""
        return self._token(lasting=True)

    def _token(self, *, lasting: bool) -> str | None:
        with _lock:
            if self._renewable is not None:
                login = _present.get((self._address, ""))
                if login is not None and not login.is_due(lasting=lasting):
                    return login.access_token
            text = self._given(lasting=lasting)
            if text is None or not self._must_exchange(text):
                return text
            if self._renewable is not None:
                return self._renewed(self._renewable, text).access_token
            return self._only(text).access_token

    def _given(self, *, lasting: bool) -> str | None:
        if lasting and isinstance(self._source, LastingTokenSource):
            return self._source.lasting_token()
        return self._source.token()

    def _must_exchange(self, text: str) -> bool:
        issuer = issuer_of(text)
        if not issuer.startswith(("https://", "http://")):
            return False
        # Access rules change while programs run.
        if time.monotonic() - self._asked_at > _ASK_AGAIN_S:
            self._required = _requiring_issuers(self._identity)
            self._asked_at = time.monotonic()
        return issuer in self._required

    def _renewed(self, source: RenewableTokenSource, text: str) -> Login:
        """What another of the CI system's tokens gives."""
        key = self._address, ""
        before = _present.get(key)
        try:
            login = exchange(self._identity, (before and source.next_token()) or text)
        except Unauthenticated as refusal:
            # It may have been exchanged although the answer was lost.
            again = source.next_token() if refusal.reason == "TOKEN_SPENT" else None
            if again is None:
                raise
            login = exchange(self._identity, again)
        except Unavailable:
            if before is None or before.is_expired():
                raise
            return before
        _present[key] = login
        return login

    def _only(self, text: str) -> Login:
        """What the one token of this job gives, or gave."""
        key = self._address, hashlib.sha256(text.encode()).hexdigest()
        login = _present.get(key)
        if login is None:
            shared = SharedExchange(self._address, text)
            with shared.locked():
                login = shared.find()
                if login is None:
                    login = exchange(self._identity, text, seconds=_AS_LONG_AS_POSSIBLE_S)
                    shared.keep(login)
            _present[key] = login
        if login.is_expired():
            raise Unauthenticated(
                "The job's token was exchanged, and what it was exchanged for has expired.",
                reason="TOKEN_EXPIRED",
                next_step="Have the CI system give the job a token that is good for longer, or do "
                "what comes later in a job of its own.",
            )
        return login


def exchanging(source: TokenSource, identity: IdentityServiceStub, address: str) -> TokenSource:
    """The tokens of a source, exchanged where that is required.

    What a login provider gave never is; for it nobody has to be asked.
    """
    if isinstance(source, NoToken | StoredLogin | ClientCredentials):
        return source
    return ExchangedToken(source, identity, address)


def _requiring_issuers(identity: IdentityServiceStub) -> frozenset[str]:
    """The issuers whose tokens the server wants to be exchanged."""
    from studbook.identity.v1.identity_service_pb2 import (  # noqa: PLC0415 - loads protobuf
        GetServerInfoRequest,
    )

    info = identity.GetServerInfo(GetServerInfoRequest())
    return frozenset(one.issuer for one in info.job_token_issuers if one.exchange_required)


def exchange(
    identity: IdentityServiceStub, token: str, *, resources: Iterable[str] = (), seconds: int = 0
) -> Login:
    """Exchange a CI system's token.

    Args:
        identity: The server's identity service, called without a token.
        token: The CI system's token, which is spent thereby.
        resources: Resource patterns that the new one shall be good for; empty for all.
        seconds: How long it shall be good at most; 0 for as long as the server says.

    Raises:
        StudbookError: As the server says.
    """
    from studbook.identity.v1.identity_service_pb2 import (  # noqa: PLC0415 - loads protobuf
        ExchangeTokenRequest,
    )

    request: ExchangeTokenRequest = ExchangeTokenRequest(resources=resources)
    if seconds:
        request.lifetime.FromSeconds(seconds)
    now = time.time()
    answer: ExchangeTokenResponse = identity.ExchangeToken(
        request, metadata=(("authorization", f"Bearer {token}"),)
    )
    return Login(answer.access_token, answer.expire_time.ToMilliseconds() / 1000, obtained_at=now)
