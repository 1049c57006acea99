"""The signed note by which one component tells another who is calling.

The gateway verifies the caller's token and sends the service a compact JWS (EdDSA) that holds for
one service, one method and at most a minute. A service believes nothing else: client metadata
cannot imitate it, and a note for one method is worthless for another.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from service_chassis.caller import Caller, Principal
from service_chassis.errors import Code, StudbookError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service_chassis.caller import Metadata
    from service_chassis.method_access import Method

METADATA_KEY = "studbook-assertion"
LIFETIME_S = 60
# How far the clocks of two components may differ.
LEEWAY_S = 30
_ALGORITHM = "Ed25519"
_TYPE = "studbook-assertion+jwt"
_CACHE_SIZE = 4096
# For one that is kept, so that none stays for long.
_FORGOTTEN_AT_ONCE = 8


def _refusal() -> StudbookError:
    return StudbookError(
        Code.UNAUTHENTICATED,
        "ASSERTION_INVALID",
        "This service answers only calls that come through the gateway; call the gateway.",
    )


class AssertionSigner:
    """Signs assertions for one component.

    Raises:
        ValueError: The key is no Ed25519 private key.
    """

    def __init__(self, component: str, private_key_pem: bytes) -> None:
        self._component = component
        self._key = _private_key(private_key_pem)

    def use(self, private_key_pem: bytes) -> None:
        """Sign with another key from now on.

        Raises:
            ValueError: It is no Ed25519 private key.
        """
        self._key = _private_key(private_key_pem)

    def sign(self, caller: Caller, method: str, audience: str) -> str:
        """An assertion for one call.

        Args:
            caller: Who calls, with the grants that matter for the method.
            method: Full path of the RPC, `/studbook.tracking.v1.RunService/GetRun`.
            audience: The service that is called, `tracking` or `registry`.
        """
        now = int(time.time())
        principal = caller.principal
        claims: dict[str, Any] = {
            "iss": self._component,
            "aud": audience,
            "method": method,
            "iat": now,
            "exp": now + LIFETIME_S,
            "principal": {
                "id": principal.id,
                "kind": principal.kind,
                "display_name": principal.display_name,
                "issuer": principal.issuer,
                "subject": principal.subject,
                "token_id": principal.token_id,
                "pipeline_claims": principal.pipeline_claims,
            },
            "grants": {name: list(patterns) for name, patterns in caller.grants.items()},
        }
        if caller.denials:
            claims["denials"] = {name: list(denied) for name, denied in caller.denials.items()}
        if caller.groups:
            claims["groups"] = list(caller.groups)
        if caller.until_s is not None:
            claims["caller_until"] = caller.until_s
        header = {"alg": _ALGORITHM, "typ": _TYPE}
        return jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM])


class AssertionVerifier:
    """Verifies assertions that are made for one service.

    Args:
        audience: Name of this service.
        trusted: Public keys (PEM) by component; each may hold several keys one after another, so
            that a key can be replaced without an interruption.
    """

    def __init__(self, audience: str, trusted: Mapping[str, bytes]) -> None:
        self._audience = audience
        self._keys: dict[str, list[OKPKey]] = {}
        self._known: dict[tuple[str, str], tuple[float, Caller]] = {}
        self.trust(trusted)

    def trust(self, trusted: Mapping[str, bytes]) -> None:
        """Believe these keys from now on, and no others, not even for what was verified before.

        Raises:
            ValueError: There is no Ed25519 public key, or something else besides.
        """
        self._keys = {component: _public_keys(pem) for component, pem in trusted.items()}
        self._known.clear()

    def verify(self, token: str, method: str) -> Caller:
        """The caller an assertion speaks of.

        Raises:
            StudbookError: ASSERTION_INVALID, whatever is wrong with it.
        """
        known = self._known.get((token, method))
        if known is not None and time.time() < known[0]:
            return known[1]
        claims = self._claims(token)
        now = time.time()
        if (
            claims.get("aud") != self._audience
            or claims.get("method") != method
            or not now - LIFETIME_S - LEEWAY_S <= claims.get("iat", 0) <= now + LEEWAY_S
            or not now - LEEWAY_S < claims.get("exp", 0) <= now + LIFETIME_S + LEEWAY_S
        ):
            raise _refusal()
        caller = _caller(claims)
        self._forget(now)
        self._known[token, method] = (claims["exp"], caller)
        return caller

    def _forget(self, now: float) -> None:
        """Forget what has expired, the oldest first; and all when there still is too much."""
        for key, (expires, _) in list(islice(self._known.items(), _FORGOTTEN_AT_ONCE)):
            if expires > now:
                break
            del self._known[key]
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()

    async def caller(self, method: Method, metadata: Metadata) -> Caller:
        """Who makes a call, by the assertion in its metadata.

        Raises:
            StudbookError: ASSERTION_INVALID, also when there is none or more than one.
        """
        tokens = [value for key, value in metadata if key == METADATA_KEY]
        return self.verify(str(tokens[0]) if len(tokens) == 1 else "", method.path)

    def _claims(self, token: str) -> dict[str, Any]:
        for component, keys in self._keys.items():
            for key in keys:
                try:
                    decoded = jwt.decode(token, key, algorithms=[_ALGORITHM])
                except (JoseError, ValueError):
                    continue
                if decoded.claims.get("iss") == component and decoded.header.get("typ") == _TYPE:
                    return decoded.claims
        raise _refusal()


def _caller(claims: dict[str, Any]) -> Caller:
    return Caller(
        principal=Principal(**claims["principal"]),
        grants={name: tuple(patterns) for name, patterns in claims["grants"].items()},
        via=claims["iss"],
        groups=tuple(claims.get("groups", ())),
        until_s=claims.get("caller_until"),
        denials={name: tuple(denied) for name, denied in claims.get("denials", {}).items()},
    )


def _private_key(pem: bytes) -> OKPKey:
    key = OKPKey.import_key(pem)
    if key.curve_name != _ALGORITHM or not key.is_private:
        message = "it is no Ed25519 private key"
        raise ValueError(message)
    return key


def _public_keys(pem: bytes) -> list[OKPKey]:
    end = b"-----END PUBLIC KEY-----"
    keys = [OKPKey.import_key(block + end) for block in pem.split(end) if block.strip()]
    if not keys or any(key.curve_name != _ALGORITHM or key.is_private for key in keys):
        message = "it holds no Ed25519 public keys, one after another"
        raise ValueError(message)
    return keys
