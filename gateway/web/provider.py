"""Talking to the provider at which people log in, for the gateway's pages.

Authlib speaks OAuth; what is checked of its answers is checked by `logins`.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import structlog
from authlib.oauth2.client import OAuth2Client

from gateway.access_file import PeopleIssuer, WebLogin, check_issuer_url
from gateway.issuer_client import IssuerClient
from gateway.issuer_files import believing
from gateway.key_set_fetch import KeySetError, fetch_discovery
from gateway.web.refusals import LoginRefusedError, provider_unavailable
from studbook.exceptions import Unauthenticated, Unavailable
from studbook.oauth_client import oauth_client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from gateway.access_rules import AccessRules

_log = structlog.get_logger("studbook.web")

_DISCOVERY_KEPT_S = 600.0
_RETRY_S = 5.0
_MOST_AT_A_TIME = 8
_NEEDED = ("authorization_endpoint", "token_endpoint")
_ENDPOINTS = (*_NEEDED, "end_session_endpoint", "revocation_endpoint")


@dataclass(frozen=True)
class Tokens:
    """What a login gave.

    Attributes:
        bearer: The token that says who it is, as calls would carry it.
        access: The access token, which an ID token may name the hash of.
        refresh: The refresh token; empty when there is none.
        identity: The ID token; empty when there is none.
    """

    bearer: str
    access: str
    refresh: str
    identity: str


@dataclass(frozen=True)
class Provider:
    """An issuer of the access rules that people log in at in a browser."""

    name: str
    issuer: PeopleIssuer
    login: WebLogin
    endpoints: Mapping[str, str]
    names_itself: bool
    secret_in_body: bool
    at_a_time: asyncio.Semaphore

    def authorization_url(self, redirect_uri: str, *, state: str, nonce: str, verifier: str) -> str:
        """Where to send a browser: authorisation code with PKCE (S256)."""
        client = OAuth2Client(None, client_id=self.login.client_id, code_challenge_method="S256")
        url, _ = client.create_authorization_url(
            self.endpoints["authorization_endpoint"],
            state=state,
            nonce=nonce,
            code_verifier=verifier,
            redirect_uri=redirect_uri,
            scope=self.login.scope,
            **({"prompt": self.login.prompt} if self.login.prompt else {}),
            **self._audience(),
        )
        return str(url)

    async def redeem(self, code: str, redirect_uri: str, verifier: str) -> Tokens:
        """The tokens for a code.

        Raises:
            LoginRefusedError: The provider refuses.
            StudbookError: It cannot be reached.
        """
        return await self._ask(
            lambda client: client.fetch_token(
                self.endpoints["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                redirect_uri=redirect_uri,
                code_verifier=verifier,
                **self._audience(),
            )
        )

    async def renew(self, tokens: Tokens) -> Tokens:
        """The next tokens of a login; its refresh token is used up.

        Raises:
            LoginRefusedError: The provider refuses; the login has ended there.
            StudbookError: It cannot be reached.
        """
        new = await self._ask(
            lambda client: client.refresh_token(
                self.endpoints["token_endpoint"],
                refresh_token=tokens.refresh,
                **self._audience(),
            )
        )
        return Tokens(
            new.bearer, new.access, new.refresh or tokens.refresh, new.identity or tokens.identity
        )

    async def revoke(self, tokens: Tokens) -> None:
        """End a login at the provider, where it knows how to. Failures are logged, no more."""
        endpoint = self.endpoints["revocation_endpoint"]
        if not endpoint or not tokens.refresh:
            return

        def ask() -> None:
            with self._client(self._secret()) as client:
                client.revoke_token(
                    endpoint,
                    token=tokens.refresh,
                    token_type_hint="refresh_token",  # noqa: S106 - a kind of token, not one
                ).raise_for_status()

        try:
            await asyncio.to_thread(ask)
        except (Unauthenticated, Unavailable) as error:
            _log.warning("login_not_revoked", provider=self.name, error=str(error))

    def end_session_url(self, tokens: Tokens, return_to: str) -> str:
        """Where a browser ends the provider's own session; empty when it has no such place."""
        endpoint = self.endpoints["end_session_endpoint"]
        if not endpoint:
            return ""
        asked = {"client_id": self.login.client_id, "post_logout_redirect_uri": return_to}
        if tokens.identity:
            asked["id_token_hint"] = tokens.identity
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def _audience(self) -> dict[str, str]:
        parameter = self.login.audience_parameter
        wanted = parameter != "none" and self.issuer.bearer == "access_token"
        return {parameter: self.issuer.audience} if wanted else {}

    def _secret(self) -> str:
        file = self.login.client_secret_file
        if file is None:
            return ""
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            _log.error("client_secret_not_read", provider=self.name, error=str(error))
            raise provider_unavailable(self.name) from None

    def _client(self, secret: str) -> Any:
        method = "client_secret_post" if self.secret_in_body else "client_secret_basic"
        return oauth_client(
            self.endpoints["token_endpoint"],
            self.issuer.url,
            self.login.client_id,
            secret or None,
            method=method if secret else "none",
            trusted=self._trusted(),
        )

    def _trusted(self) -> ssl.SSLContext | None:
        file = self.issuer.ca_file
        if file is None:
            return None
        try:
            return believing(file)
        except (OSError, ValueError) as error:
            _log.error("ca_file_refused", provider=self.name, problem=str(error))
            raise provider_unavailable(self.name) from None

    async def _ask(self, question: Callable[[Any], Mapping[str, Any]]) -> Tokens:
        def ask() -> Mapping[str, Any]:
            with self._client(self._secret()) as client:
                return question(client)

        try:
            async with self.at_a_time:
                answer = await asyncio.to_thread(ask)
        except Unauthenticated as error:
            # Its text holds what the provider says of the request, never a token.
            raise LoginRefusedError("PROVIDER_REFUSED", str(error), provider=self.name) from None
        except Unavailable as error:
            _log.warning("provider_unavailable", provider=self.name, error=str(error))
            raise provider_unavailable(self.name) from None
        return self._tokens(answer)

    def _tokens(self, answer: Mapping[str, Any]) -> Tokens:
        def text(name: str) -> str:
            value = answer.get(name)
            return value if isinstance(value, str) else ""

        bearer = text(self.issuer.bearer)
        if not bearer:
            raise LoginRefusedError(
                "PROVIDER_REFUSED", f"answered without {self.issuer.bearer}", provider=self.name
            )
        return Tokens(bearer, text("access_token"), text("refresh_token"), text("id_token"))


class Providers:
    """The providers of the access rules in force, with their descriptions of themselves.

    Args:
        clock: A monotonic clock in seconds; tests pass their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Whoever may begin logins may finish them with made-up codes, as often as they like.
        self._at_a_time = asyncio.Semaphore(_MOST_AT_A_TIME)
        self._asking = asyncio.Lock()
        self._asked: dict[str, tuple[float, PeopleIssuer]] = {}
        self._known: dict[str, Provider] = {}

    @staticmethod
    def names(rules: AccessRules) -> list[str]:
        """The names of those that people can choose from."""
        return [
            name
            for name, issuer in rules.file.issuers.items()
            if isinstance(issuer, PeopleIssuer) and issuer.web is not None
        ]

    async def get(self, name: str, rules: AccessRules) -> Provider | None:
        """One of them by name; None when there is none.

        Raises:
            StudbookError: It cannot be reached.
        """
        issuer = rules.file.issuers.get(name)
        if not isinstance(issuer, PeopleIssuer) or issuer.web is None:
            return None
        if self._is_due(name, issuer):
            # One at a time, so that a provider that is slow is not asked by everybody.
            async with self._asking:
                if self._is_due(name, issuer):
                    await self._ask(name, issuer, issuer.web)
        known = self._known.get(name)
        if known is None or known.issuer != issuer:
            raise provider_unavailable(name)
        return known

    def _is_due(self, name: str, issuer: PeopleIssuer) -> bool:
        known = self._known.get(name)
        changed = known is None or known.issuer != issuer
        pause = _RETRY_S if changed else _DISCOVERY_KEPT_S
        asked_at, asked = self._asked.get(name, (-math.inf, None))
        return asked != issuer or self._clock() - asked_at > pause

    async def _ask(self, name: str, issuer: PeopleIssuer, login: WebLogin) -> None:
        """Have a provider describe itself; while it does not, what it said last holds."""
        self._asked[name] = self._clock(), issuer
        try:
            document = await _describing_itself(issuer)
            endpoints = {endpoint: _checked(document, endpoint) for endpoint in _ENDPOINTS}
        except (KeySetError, OSError, ValueError) as error:
            _log.warning("provider_unavailable", provider=name, error=str(error))
            return
        # What a provider takes that says nothing of it (OpenID Connect Discovery, 3).
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        self._known[name] = Provider(
            name,
            issuer,
            login,
            endpoints,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
            secret_in_body="client_secret_basic" not in methods,
            at_a_time=self._at_a_time,
        )


async def _describing_itself(issuer: PeopleIssuer) -> Mapping[str, Any]:
    client = IssuerClient(issuer)
    try:
        async with client.use() as http:
            return await fetch_discovery(http, issuer.url)
    finally:
        await client.close()


def _checked(document: Mapping[str, Any], endpoint: str) -> str:
    """The address of an endpoint; empty for one that a provider need not have."""
    url = document.get(endpoint) or ""
    if not url and endpoint in _NEEDED:
        message = f"the discovery document has no {endpoint}"
        raise KeySetError(message)
    try:
        if url:
            check_issuer_url(str(url).partition("?")[0])
    except ValueError as error:
        message = f"{endpoint} {url!r:.200} {error}"
        raise KeySetError(message) from None
    return str(url)
