"""Logging people in: authorisation code with PKCE, through a browser or without one."""

from __future__ import annotations

import hmac
import secrets
import webbrowser
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx

from studbook import login_provider
from studbook.exceptions import FailedPrecondition, Unauthenticated, Unavailable
from studbook.identity.v1.identity_service_pb2 import WhoAmIRequest
from studbook.oauth_client import in_our_words
from studbook.redirect_listener import RedirectListener
from studbook.stored_logins import Login, StoredLogins
from studbook.token_claims import claims_of, expiry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from studbook.identity.v1.identity_service_pb2 import WhoAmIResponse
    from studbook.login_provider import Provider

# How long a person may take in the browser.
_PATIENCE_S = 300.0
_RESTART = "Run `studbook login` again."


@dataclass(frozen=True)
class _Attempt:
    """One authorisation request, and the secrets its answer is checked with."""

    provider: Provider
    redirect_uri: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(64), repr=False)

    def url(self, **more: str) -> str:
        """Where to send the person."""
        provider = self.provider
        if provider.prompt:
            more.setdefault("prompt", provider.prompt)
        if not provider.authorization_endpoint:
            message = f"The login provider {provider.issuer} has no login page for people."
            raise FailedPrecondition(message)
        with login_provider.as_login_client(provider, provider.token_endpoint) as client:
            client.code_challenge_method = "S256"
            url, _ = client.create_authorization_url(
                provider.authorization_endpoint,
                state=self.state,
                nonce=self.nonce,
                code_verifier=self.verifier,
                redirect_uri=self.redirect_uri,
                scope=provider.scope,
                **login_provider.for_audience(provider),
                **more,
            )
        return str(url)

    def finish(self, answer: str, *, session: bool) -> Login:
        """Exchange the code in the redirect that came back.

        Args:
            answer: The redirect's address.
            session: Whether the provider remembers the person in a browser now.

        Who somebody is, the server says, from the token that calls carry.
        """
        values = {name: texts[0] for name, texts in parse_qs(urlsplit(answer).query).items()}
        self._check_answer(values)
        provider = self.provider
        with login_provider.as_login_client(provider, provider.token_endpoint) as client:
            tokens = client.fetch_token(
                provider.token_endpoint,
                grant_type="authorization_code",
                code=values["code"],
                redirect_uri=self.redirect_uri,
                code_verifier=self.verifier,
                **login_provider.for_audience(provider),
            )
        self._check_id_token(tokens.get("id_token"))
        return login_provider.login_from(tokens, provider, provider.client_id, session=session)

    def _check_answer(self, values: Mapping[str, str]) -> None:
        """Refuse what answers another request, or comes from somebody else (RFC 9207)."""
        provider = self.provider
        if not hmac.compare_digest(values.get("state", "").encode(), self.state.encode()):
            raise _foreign("does not belong to this login")
        if values.get("iss", provider.issuer) != provider.issuer or (
            provider.names_itself and "iss" not in values
        ):
            raise _foreign(f"does not come from {provider.issuer}")
        if "code" not in values:
            raise _refused(provider, values)

    def _check_id_token(self, token: object) -> None:
        """Refuse tokens that were made for another login.

        The ID token came from the provider itself, over TLS, so its signature need not be checked
        (OpenID Connect Core, 3.1.3.7). Some give none where it was not asked for, and some make it
        out to the server as well, or instead of the client.
        """
        if not token:
            return
        claims = claims_of(str(token))
        if claims.get("iss") != self.provider.issuer:
            raise _foreign(f"holds an ID token that does not come from {self.provider.issuer}")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), self.nonce.encode()):
            raise _foreign("holds an ID token of another login")


def _foreign(what: str) -> Unauthenticated:
    message = f"The answer {what}."
    return Unauthenticated(message, reason="LOGIN_REFUSED", next_step=_RESTART)


def _refused(provider: Provider, values: Mapping[str, str]) -> Unauthenticated:
    error = values.get("error", "no code and no error")
    description = values.get("error_description", "")
    words = f"{error} ({description})" if description else error
    next_step = _RESTART
    if error == "login_required":
        next_step = "Log in through the browser with `studbook login`."
    return Unauthenticated(
        f"The login provider {provider.issuer} refused: {words}.",
        reason="LOGIN_REFUSED",
        next_step=next_step,
    )


def with_browser(
    address: str,
    *,
    provider_name: str = "",
    show: Callable[[str], object],
    open_browser: Callable[[str], bool] = webbrowser.open,
    patience_s: float = _PATIENCE_S,
) -> Login:
    """Let a person log in with their browser, which is then sent back to this process.

    Args:
        address: The server.
        provider_name: Which login provider, where the server has several.
        show: Told what to do, in words, with the URL for people whose browser does not open.
        open_browser: Opens a URL.
        patience_s: How long to wait for the person.
    """
    provider = login_provider.discover(address, provider_name)
    with RedirectListener(provider.redirect_uri) as listener:
        attempt = _Attempt(provider, listener.redirect_uri)
        url = attempt.url()
        opened = open_browser(url)
        lead = "Your browser should show the login page. If not, open" if opened else "Open"
        show(f"{lead} this address on this machine:\n{url}")
        if not opened and provider.device_authorization_endpoint:
            show("If it has no browser, stop this and use `studbook login --device`.")
        answer = listener.wait(attempt.state, patience_s)
    if answer is None:
        message = f"Nobody logged in within {patience_s:g} seconds."
        raise Unauthenticated(message, reason="LOGIN_REFUSED", next_step=_RESTART)
    return replace(attempt.finish(answer, session=True), in_browser=True)


def as_demo_person(address: str, name: str, *, provider_name: str = "") -> Login:
    """Log in as a demo identity of a development issuer, without a browser or a password.

    Raises:
        FailedPrecondition: The server's login provider is a real one.
    """
    provider = login_provider.discover(address, provider_name)
    if not provider.development:
        raise FailedPrecondition(
            f"{provider.issuer} is no development issuer, so one cannot just be {name} there.",
            next_step="Log in as yourself with `studbook login`.",
        )
    # Nobody listens here: the redirect is read, not followed.
    attempt = _Attempt(provider, provider.redirect_uri)
    url = attempt.url(prompt="none", login_hint=name)
    with in_our_words(provider.issuer):
        response = httpx.get(url, follow_redirects=False, timeout=15, trust_env=False)
    target = response.headers.get("location", "")
    if response.status_code != httpx.codes.FOUND or not target.startswith(attempt.redirect_uri):
        message = f"The login provider {provider.issuer} did not answer the login of {name}."
        raise Unavailable(message)
    try:
        return attempt.finish(target, session=False)
    except Unauthenticated as error:
        if "login_required" not in error.message:
            raise
        raise Unauthenticated(
            f"{provider.issuer} knows no demo identity {name} that logs in without a password.",
            reason="LOGIN_REFUSED",
            next_step="`studbook up` prints the demo identities when it starts.",
        ) from None


def with_token(address: str, token: str) -> Login:
    """A login with a token from elsewhere; it cannot be renewed.

    A CI system's token is exchanged, where the server requires that.
    """
    from studbook.client import Client  # noqa: PLC0415 - loads grpc
    from studbook.credentials import FixedToken  # noqa: PLC0415

    with Client(address, token_source=FixedToken(token)) as client:
        kept = client.token() or ""
    return Login(access_token=kept, expires_at=expiry_of(kept))


def keep(address: str, login: Login, logins: StoredLogins | None = None) -> WhoAmIResponse:
    """Store a login, once the server has said that it accepts it.

    Returns:
        Who the server says this is.
    """
    who = who_am_i(address, login.access_token)
    store = logins if logins is not None else StoredLogins()
    with store.locked():
        store.save(address, login)
    return who


def who_am_i(address: str, token: str) -> WhoAmIResponse:
    """Who the server says the bearer of a token is."""
    from studbook.client import Client  # noqa: PLC0415 - loads grpc
    from studbook.credentials import FixedToken  # noqa: PLC0415

    with Client(address, token_source=FixedToken(token)) as client:
        who: WhoAmIResponse = client.identity.WhoAmI(WhoAmIRequest())
    return who
