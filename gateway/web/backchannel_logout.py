"""The provider's word that a login has ended (OpenID Connect Back-Channel Logout 1.0).

It comes from the provider itself, not through a browser: whoever signs out at another application,
or is shut out by an administrator, is signed out here as well.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.routing import Route

from gateway.access_file import PeopleIssuer
from gateway.refusals import TokenRefusedError
from gateway.token_shape import MalformedTokenError, take_apart
from gateway.token_verifier import LEEWAY_S
from gateway.web.forms import read_form
from gateway.web.provider_token import made_out_to
from gateway.web.refusals import FormRefusedError, LogoutRefusedError
from gateway.web.session_store import Logout, LogoutUsedError
from gateway.web.site import note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from gateway.access_file import WebLogin
    from gateway.authentication import RulesSource
    from gateway.signing_keys import SigningKeys
    from gateway.web.sessions import Sessions

PATH = "/backchannel-logout"
_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_TYPES = frozenset({"", "jwt", "logout+jwt"})
# What comes later is no news any more. As long are used tokens remembered.
_LATEST_S = 120
_LONGEST_TEXT = 512


class BackchannelLogout:
    """Where providers tell of logins that have ended.

    Args:
        sessions: Ends sessions.
        keys: The issuers' keys.
        rules: The access rules in force.
        now: The wall clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        sessions: Sessions,
        keys: SigningKeys,
        rules: RulesSource,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._sessions = sessions
        self._keys = keys
        self._rules = rules
        self._now = now

    def route(self) -> Route:
        """Where that is. No cookie and no form of ours is looked at: the token says it all."""
        return Route(PATH, self.end, methods=["POST"])

    async def end(self, request: Request) -> Response:
        """End the sessions that a logout token speaks of."""
        try:
            form = await read_form(request)
        except FormRefusedError as refusal:
            raise LogoutRefusedError(str(refusal.for_log["check"])) from None
        logout = await self._verified(form.get("logout_token", ""))
        who = {"issuer": logout.issuer, "subject": logout.subject}
        try:
            ended = await self._sessions.end_login(logout)
        except LogoutUsedError:
            raise LogoutRefusedError("jti was used", **who) from None
        note(request, security="logout", sessions=str(len(ended)), **who)
        # The provider need not wait until it has been asked to take back what it gave.
        return Response(background=BackgroundTask(self._sessions.take_back, ended))

    async def _verified(self, text: str) -> Logout:
        told: dict[str, str] = {}
        try:
            issuer, login = self._issuer(take_apart(text).issuer)
            token = await made_out_to(login.client_id, text, issuer, self._keys)
            told = {"issuer": issuer.url}
            if token.type.lower() not in _TYPES:
                raise MalformedTokenError("typ")
            return _logout(issuer.url, token.claims, self._now())
        except MalformedTokenError as error:
            raise LogoutRefusedError(str(error), **told) from None
        except TokenRefusedError as error:
            raise LogoutRefusedError(error.for_log["check"]) from None

    def _issuer(self, url: str) -> tuple[PeopleIssuer, WebLogin]:
        for issuer in self._rules.current.file.issuers.values():
            if isinstance(issuer, PeopleIssuer) and issuer.web is not None and issuer.url == url:
                return issuer, issuer.web
        raise MalformedTokenError("nobody logs in there")


def _logout(issuer: str, claims: Mapping[str, Any], now: float) -> Logout:
    """What the claims of a token say that is genuine, once they are those of a logout token."""
    # With a nonce it is, or could be taken for, an ID token.
    if "nonce" in claims:
        raise MalformedTokenError("nonce")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_EVENT), dict):
        raise MalformedTokenError("events")
    # Not every provider gives an end, which came late into the specification.
    issued = _time(claims, "iat")
    if not now - _LATEST_S - LEEWAY_S <= issued <= now + LEEWAY_S:
        raise MalformedTokenError("iat")
    if "exp" in claims and _time(claims, "exp") + LEEWAY_S <= now:
        raise MalformedTokenError("exp")
    subject, session = _text(claims, "sub"), _text(claims, "sid")
    if not subject and not session:
        raise MalformedTokenError("neither sub nor sid")
    token_id = _text(claims, "jti")
    if not token_id:
        raise MalformedTokenError("jti")
    digest = hashlib.sha256(f"{issuer} {token_id}".encode()).hexdigest()
    forgotten_s = int(issued) + _LATEST_S + LEEWAY_S + 1
    return Logout(issuer, subject, session, digest, forgotten_s)


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedTokenError(f"{name} is not a time")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    """A text; empty when there is none."""
    if name not in claims:
        return ""
    value = claims[name]
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        raise MalformedTokenError(f"{name} is not text")
    return value
