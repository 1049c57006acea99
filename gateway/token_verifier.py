"""Is this token genuine, for us, and still good: the strict shell around the signature check.

The library that checks the signature checks nothing else here. Every rule stands in this file, in
the order in which it is applied, with a name that the log shows.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NewType

from gateway.access_file import PeopleIssuer, PipelineIssuer
from gateway.refusals import TokenRefusedError
from gateway.signature_check import signature_is_valid
from gateway.token_keys import TYPE as OWN_TYPE
from gateway.token_scope import EVERYTHING
from gateway.token_shape import MalformedTokenError, UnverifiedToken, take_apart
from service_chassis.errors import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.access_file import Issuer
    from gateway.access_rules import AccessRules, NamedIssuer
    from gateway.signing_keys import SigningKeys
    from gateway.token_keys import TokenKeys

# A dictionary of claims can be passed on as verified only by this module.
VerifiedClaims = NewType("VerifiedClaims", dict[str, Any])

LEEWAY_S = 60
# Who issued the gateway's own tokens. No issuer of access.yaml can be called so: it is no URL.
OWN_ISSUER = "studbook"
_LATEST_TIME = 2**40
_LONGEST_SUBJECT = 255
# What only ID tokens carry. They tell a client who logged in and are no key to anything.
_ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash", "nonce", "s_hash"})
# Said by Keycloak in `typ` and by Cognito in `token_use`.
_OTHER_PURPOSES = frozenset({"refresh", "logout", "offline"})
_NOT_ACCESS, _NOT_ID = _OTHER_PURPOSES | {"id"}, _OTHER_PURPOSES | {"access", "bearer"}


@dataclass(frozen=True)
class VerifiedToken:
    """A token that passed every check.

    Attributes:
        issuer: Who issued it, as configured.
        claims: What it says.
        digest: SHA-256 in hex of its text without the signature; tells tokens apart in logs.
        expires_at: Seconds since the epoch.
        exchanged_id: For a token that the gateway gave in exchange for one of the issuer's: its own
            id. All else is as the issuer's token said it.
        resources: Resource patterns outside which it is good for nothing.
    """

    issuer: NamedIssuer
    claims: VerifiedClaims
    digest: str
    expires_at: float
    exchanged_id: str = ""
    resources: tuple[str, ...] = EVERYTHING

    @property
    def issued_at(self) -> float:
        """Seconds since the epoch."""
        return float(self.claims["iat"])


class TokenVerifier:
    """Verifies tokens.

    Args:
        keys: The issuers' keys.
        now: The wall clock in seconds; tests pass their own.
        own_keys: The gateway's own keys; None when it gives no tokens.
    """

    def __init__(
        self,
        keys: SigningKeys,
        now: Callable[[], float] = time.time,
        own_keys: TokenKeys | None = None,
    ) -> None:
        self._keys = keys
        self._own_keys = own_keys
        self._now = now

    async def verify(self, text: str, rules: AccessRules) -> VerifiedToken:
        """The verified content of a token.

        Raises:
            StudbookError: UNAUTHENTICATED, with the reason for the caller and the failed check
                for the log; or ISSUER_UNAVAILABLE.
        """
        try:
            token = take_apart(text)
        except MalformedTokenError as error:
            raise TokenRefusedError("TOKEN_INVALID", str(error)) from None
        if token.type == OWN_TYPE:
            return self._verify_own(text, token, rules)
        issuer = rules.issuers.get(token.issuer)
        if issuer is None:
            raise TokenRefusedError("ISSUER_UNKNOWN", "issuer not configured")
        if token.algorithm not in issuer.settings.algorithms:
            raise TokenRefusedError("TOKEN_INVALID", "algorithm not allowed for the issuer")
        await self._check_signature(text, token, issuer.settings)
        try:
            claims = _checked(token, issuer.settings, self._now())
        except TokenRefusedError as refusal:
            # It is genuine, so the log may say whose it is.
            subject = quote(token.claims.get("sub", ""))[1:-1]
            refusal.for_log.update(issuer=token.issuer, subject=subject)
            raise
        return VerifiedToken(issuer, claims, _digest(text), float(claims["exp"]))

    async def _check_signature(self, text: str, token: UnverifiedToken, issuer: Issuer) -> None:
        if not token.key_id and not issuer.single_key:
            raise TokenRefusedError("TOKEN_INVALID", "kid is missing")
        keys = self._keys.of(token.issuer)
        key = await keys.find(token.key_id, token.algorithm)
        if signature_is_valid(text, key, token.algorithm):
            return
        if not token.key_id:
            # A new key without a name can be told from the former by nothing else.
            await keys.look_again()
            key = await keys.find(token.key_id, token.algorithm)
            if signature_is_valid(text, key, token.algorithm):
                return
        raise TokenRefusedError("TOKEN_INVALID", "signature")

    def _verify_own(self, text: str, token: UnverifiedToken, rules: AccessRules) -> VerifiedToken:
        """The content of a token that the gateway gave, by the rules of the moment."""
        keys = self._own_keys
        if keys is None or not keys.has_signed(text, token.key_id) or token.issuer != OWN_ISSUER:
            raise TokenRefusedError("TOKEN_INVALID", "signature of the gateway")
        job = token.claims["job"]
        issuer = rules.issuers.get(job["iss"])
        bearer = {"issuer": job["iss"], "subject": job["sub"]}
        if issuer is None or not isinstance(issuer.settings, PipelineIssuer):
            raise TokenRefusedError("ISSUER_UNKNOWN", "issuer no longer configured", **bearer)
        if token.claims["aud"] != issuer.settings.audience:
            raise TokenRefusedError("AUDIENCE_MISMATCH", "aud of a token of ours", **bearer)
        if token.claims["exp"] + LEEWAY_S <= self._now():
            raise TokenRefusedError("TOKEN_EXPIRED", "exp of a token of ours", **bearer)
        return VerifiedToken(
            issuer,
            VerifiedClaims(job),
            _digest(text),
            float(token.claims["exp"]),
            exchanged_id=token.claims["jti"],
            resources=tuple(token.claims["resources"]),
        )


def _digest(text: str) -> str:
    """What tells a token from others, without its signature.

    Anybody can make a second valid signature of an ECDSA signature, and a revoked token would be
    another one with it.
    """
    return hashlib.sha256(text.rpartition(".")[0].encode()).hexdigest()


def _checked(token: UnverifiedToken, issuer: Issuer, now: float) -> VerifiedClaims:
    """The claims, after all that can be wrong with a genuine token."""
    _check_type(token, issuer)
    claims = token.claims
    if isinstance(issuer, PeopleIssuer) and issuer.bearer == "id_token":
        claims = _as_if_for_us(claims, issuer)
    return check_claims(claims, issuer, now)


def _as_if_for_us(claims: dict[str, Any], issuer: PeopleIssuer) -> dict[str, Any]:
    """The claims of an ID token, which is made out to a client of ours rather than to us.

    One that another program asked for is not that program's to send here.
    """
    audience = claims.get("aud")
    sole = audience[0] if isinstance(audience, list) and len(audience) == 1 else audience
    client = sole if isinstance(sole, str) and sole in issuer.login_clients else issuer.audience
    if claims.get("azp", client) != client:
        raise TokenRefusedError("TOKEN_INVALID", "ID token for another client")
    ours = {"aud": issuer.audience} if sole == client else {}
    return {**claims, "azp": client, **ours}


def check_claims(claims: dict[str, Any], issuer: Issuer, now: float) -> VerifiedClaims:
    """The claims, after all that can be wrong with those of a genuine token.

    Raises:
        StudbookError: UNAUTHENTICATED.
    """
    _check_audience(claims, issuer)
    _check_subject(claims)
    _check_times(claims, issuer.max_token_lifetime_s, now)
    if isinstance(issuer, PeopleIssuer):
        _check_client(claims, issuer)
    return VerifiedClaims(claims)


def _check_type(token: UnverifiedToken, issuer: Issuer) -> None:
    media_type = token.type.lower().removeprefix("application/") or "none"
    if media_type not in {accepted.lower() for accepted in issuer.token_types}:
        raise TokenRefusedError("TOKEN_INVALID", "header typ")
    claims = token.claims
    id_tokens = _takes_id_tokens(issuer)
    check_purpose(claims, _NOT_ID if id_tokens else _NOT_ACCESS)
    # The tokens that CI systems issue are ID tokens by name, made to be shown to others.
    if isinstance(issuer, PeopleIssuer) and not id_tokens and _ID_TOKEN_CLAIMS & claims.keys():
        raise TokenRefusedError("TOKEN_INVALID", "ID token in place of an access token")


def check_purpose(claims: Mapping[str, Any], others: frozenset[str] = _NOT_ACCESS) -> None:
    """Make sure that a token does not say that it is for something else.

    Raises:
        StudbookError: UNAUTHENTICATED.
    """
    purposes = {str(claims.get(name, "")).lower() for name in ("typ", "token_use")}
    if "events" in claims or purposes & others:
        raise TokenRefusedError("TOKEN_INVALID", "token for another purpose")


def _takes_id_tokens(issuer: Issuer) -> bool:
    return isinstance(issuer, PeopleIssuer) and issuer.bearer == "id_token"


def _check_audience(claims: Mapping[str, Any], issuer: Issuer) -> None:
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or issuer.audience not in named:
        raise TokenRefusedError("AUDIENCE_MISMATCH", "aud")
    # A token that is good elsewhere too can be replayed to us by whoever runs that elsewhere.
    allowed = (issuer.audience, *issuer.other_audiences)
    if not all(one in allowed for one in named):
        raise TokenRefusedError("AUDIENCE_MISMATCH", "aud names others too")


def _check_subject(claims: Mapping[str, Any]) -> None:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise TokenRefusedError("TOKEN_INVALID", "sub")
    if not subject.isprintable() or subject != subject.strip():
        raise TokenRefusedError("TOKEN_INVALID", "sub with invisible characters")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TokenRefusedError("TOKEN_INVALID", f"{name} is not a number")
    if not 0 < value < _LATEST_TIME:
        raise TokenRefusedError("TOKEN_INVALID", f"{name} out of range")
    return value


def _check_times(claims: Mapping[str, Any], longest: int, now: float) -> None:
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if issued > now + LEEWAY_S:
        raise TokenRefusedError("TOKEN_INVALID", "iat in the future")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY_S:
        raise TokenRefusedError("TOKEN_INVALID", "nbf in the future")
    if not 0 < expires - issued <= longest:
        raise TokenRefusedError("TOKEN_INVALID", "lifetime")
    if expires + LEEWAY_S <= now:
        raise TokenRefusedError("TOKEN_EXPIRED", "exp")


def client_of(claims: Mapping[str, Any], issuer: Issuer) -> str:
    """The client that the token was issued to, where it says so."""
    client = claims.get("client_id", claims.get("azp"))
    if isinstance(issuer, PeopleIssuer) and issuer.client_claim:
        client = claims.get(issuer.client_claim)
    return client if isinstance(client, str) else ""


def _check_client(claims: Mapping[str, Any], issuer: PeopleIssuer) -> None:
    if "azp" in claims and "client_id" in claims and claims["azp"] != claims["client_id"]:
        raise TokenRefusedError("TOKEN_INVALID", "azp and client_id differ")
    client = client_of(claims, issuer)
    if issuer.allowed_clients is not None and client not in issuer.allowed_clients:
        raise TokenRefusedError("TOKEN_INVALID", "client not allowed")
