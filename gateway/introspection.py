"""Asking an issuer what an opaque token is good for (RFC 7662), where it issues such."""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import httpx

from gateway.access_file import PeopleIssuer
from gateway.issuer_endpoint import IssuerEndpoint
from gateway.refusals import TokenRefusedError
from gateway.token_shape import LONGEST_TOKEN
from gateway.token_verifier import VerifiedToken, check_claims, check_purpose, client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.access_file import Introspection
    from gateway.access_rules import AccessRules, NamedIssuer

# As RFC 6750 spells a token.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# Made-up tokens must not make us hammer the issuer: it is asked about each once in a while.
_REFUSED_S, _MOST_REFUSED = 10.0, 10_000


class Introspector:
    """Asks the issuers of the rules that issue opaque tokens.

    An opaque token does not say who issued it, and showing it to one issuer after the other would
    give each of them the tokens of the rest. So there is one, or their tokens begin differently.

    Args:
        now: The wall clock in seconds; tests pass their own.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._asked: dict[str, IssuerEndpoint] = {}
        self._refused: OrderedDict[str, float] = OrderedDict()

    @staticmethod
    def concerns(text: str, rules: AccessRules) -> bool:
        """Whether a token is for an issuer to explain: it is no JWS, and an issuer does so."""
        return bool(rules.introspected) and text.count(".") != 2

    async def verify(self, text: str, rules: AccessRules) -> VerifiedToken:
        """What the issuer says of a token, after the same checks as for tokens that are signed.

        Raises:
            StudbookError: UNAUTHENTICATED, with the reason for the caller and the failed check
                for the log; or ISSUER_UNAVAILABLE.
        """
        if len(text) > LONGEST_TOKEN or not _TOKEN.fullmatch(text):
            raise TokenRefusedError("TOKEN_INVALID", "not an opaque token")
        asked = (one for begin, one in rules.introspected.items() if text.startswith(begin))
        issuer = next(asked, None)
        if issuer is None:
            raise TokenRefusedError("TOKEN_INVALID", "no issuer's opaque tokens begin so")
        digest = hashlib.sha256(text.encode()).hexdigest()
        if self._refused.get(digest, 0) > self._now():
            raise TokenRefusedError("TOKEN_INVALID", "not active at the issuer, a moment ago")
        endpoint, how = await self._endpoint(issuer), _introspection(issuer)
        answer = await endpoint.ask("POST", lambda: _question(text, how))
        if answer.get("active") is not True:
            self._remember_refusal(digest)
            raise TokenRefusedError("TOKEN_INVALID", "not active at the issuer")
        claims = _as_claims(answer, issuer, self._now())
        checked = check_claims(claims, issuer.settings, self._now())
        return VerifiedToken(issuer, checked, digest, float(claims["exp"]))

    def _remember_refusal(self, digest: str) -> None:
        self._refused[digest] = self._now() + _REFUSED_S
        self._refused.move_to_end(digest)
        while len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)

    async def _endpoint(self, issuer: NamedIssuer) -> IssuerEndpoint:
        known = self._asked.get(issuer.name)
        if known is not None and known.issuer == issuer:
            return known
        url = _introspection(issuer).endpoint or ""
        new = self._asked[issuer.name] = IssuerEndpoint(issuer, "introspection_endpoint", url)
        self._refused.clear()
        if known is not None:
            await known.close()
        return new

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self._asked.values():
            await endpoint.close()


def _question(token: str, how: Introspection) -> dict[str, Any]:
    secret = how.client_secret_file.read_text(encoding="utf-8").strip()
    return {
        "data": {"token": token, "token_type_hint": "access_token"},
        # Names and secrets are form-encoded before they are put together (RFC 6749, 2.3.1).
        "auth": httpx.BasicAuth(_encoded(how.client_id), _encoded(secret)),
    }


def _encoded(text: str) -> str:
    return str(httpx.QueryParams({"": text}))[1:]


def _introspection(issuer: NamedIssuer) -> Introspection:
    settings = issuer.settings
    assert isinstance(settings, PeopleIssuer)  # noqa: S101 - only they can have it
    assert settings.introspection is not None  # noqa: S101 - `introspected` is chosen so
    return settings.introspection


def _as_claims(answer: Mapping[str, Any], issuer: NamedIssuer, now: float) -> dict[str, Any]:
    """The answer in the words of a signed token, of which it may leave most out."""
    settings = issuer.settings
    if answer.get("iss", settings.url) != settings.url:
        raise TokenRefusedError("TOKEN_INVALID", "introspected token of another issuer")
    if str(answer.get("token_type", "bearer")).lower() != "bearer":
        raise TokenRefusedError("TOKEN_INVALID", "introspected token is no bearer token")
    check_purpose(answer)
    claims = {**answer, "iss": settings.url}
    claims.setdefault("iat", _issued(answer, settings.max_token_lifetime_s, now))
    client = client_of(claims, settings)
    allowed = isinstance(settings, PeopleIssuer) and client in (settings.allowed_clients or ())
    if allowed:
        # Where it does not say for whom it is, the rules say that this client's tokens are for us.
        claims.setdefault("aud", settings.audience)
    if "sub" not in claims:
        claims["sub"] = _subject(answer, _introspection(issuer), client)
    return claims


def _issued(answer: Mapping[str, Any], longest: int, now: float) -> float:
    """The earliest time at which it can have been issued, so that revocations take it in."""
    expires = answer.get("exp")
    return min(now, expires - longest) if isinstance(expires, int | float) else now


def _subject(answer: Mapping[str, Any], how: Introspection, client: str) -> object:
    """Whom it speaks for. A token of nobody is that of the client itself."""
    if how.subject_claim in answer:
        return answer[how.subject_claim]
    return None if "username" in answer else client
