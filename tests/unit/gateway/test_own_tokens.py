"""Tokens that look like the gateway's own are taken only when they are, whatever is signed how."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import OKPKey

from gateway.access_rules import load_rules
from gateway.refusals import TokenRefusedError
from gateway.signing_keys import SigningKeys
from gateway.token_keys import TYPE, TokenKeys
from gateway.token_verifier import OWN_ISSUER, TokenVerifier
from tests.unit.gateway.loopback_issuer import AUDIENCE, b64, compact, rsa_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.token_verifier import VerifiedToken

KEY, STRANGER = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
KEYS = TokenKeys(KEY.as_pem(private=True))
CI, PEOPLE = "https://ci.example", "https://people.example"
RULES = load_rules(
    f"""
version: 1
issuers:
  ci: {{kind: pipelines, url: "{CI}", audience: {AUDIENCE}}}
  people: {{kind: people, url: "{PEOPLE}", audience: {AUDIENCE}}}
"""
)
HEADER = {"alg": "Ed25519", "typ": TYPE, "kid": KEY.thumbprint()}


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": OWN_ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 900,
        "jti": "own",
        "job": {"iss": CI, "sub": "repo:acme/wine", "iat": now, "jti": "j1"},
        "resources": ["workspaces/main/**"],
        **changes,
    }


def job(issuer: str) -> dict[str, Any]:
    return {**claims()["job"], "iss": issuer}


def signed(content: dict[str, Any] | None = None, key: Any = KEY, **header: str) -> str:
    """A token with our header, but for the changes."""
    parts = ({**HEADER, **header}, content or claims())
    text = ".".join(b64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{b64(key.private_key.sign(text.encode()))}"


def verified(token: str, keys: TokenKeys | None = KEYS) -> VerifiedToken:
    return asyncio.run(TokenVerifier(SigningKeys(), own_keys=keys).verify(token, RULES))


def with_other_claims() -> str:
    header, _, signature = signed().split(".")
    return f"{header}.{b64(json.dumps(claims(resources=['**'])).encode())}.{signature}"


def unsigned(algorithm: str) -> str:
    parts = ({**HEADER, "alg": algorithm}, claims())
    return ".".join([*(b64(json.dumps(part).encode()) for part in parts), b64(b"x")])


def keyed_with_the_public_half() -> str:
    return compact({**HEADER, "alg": "HS256"}, claims(), KEY.as_pem(private=False), "HS256")


FORGERIES: dict[str, tuple[str, Callable[[], str]]] = {
    "another key under our key's id": ("TOKEN_INVALID", lambda: signed(key=STRANGER)),
    "another key under its own id": (
        "TOKEN_INVALID",
        lambda: signed(key=STRANGER, kid=STRANGER.thumbprint()),
    ),
    "other claims": ("TOKEN_INVALID", with_other_claims),
    "no algorithm": ("TOKEN_INVALID", lambda: unsigned("none")),
    "our algorithm's other name": ("TOKEN_INVALID", lambda: signed(alg="EdDSA")),
    "HMAC with our public key": ("TOKEN_INVALID", keyed_with_the_public_half),
    "a CI system's key": (
        "TOKEN_INVALID",
        lambda: compact({**HEADER, "alg": "RS256", "kid": "rsa"}, claims(), rsa_key(), "RS256"),
    ),
    "another type": ("ISSUER_UNKNOWN", lambda: signed(typ="JWT")),
    "our type in capitals": ("ISSUER_UNKNOWN", lambda: signed(typ=TYPE.upper())),
    "our type in full": ("ISSUER_UNKNOWN", lambda: signed(typ=f"application/{TYPE}")),
    "another issuer": ("TOKEN_INVALID", lambda: signed(claims(iss=CI))),
    "another installation's": ("AUDIENCE_MISMATCH", lambda: signed(claims(aud="https://b"))),
    "expired": ("TOKEN_EXPIRED", lambda: signed(claims(exp=int(time.time()) - 61))),
    "a person": ("ISSUER_UNKNOWN", lambda: signed(claims(job=job(PEOPLE)))),
    "an issuer that is gone": ("ISSUER_UNKNOWN", lambda: signed(claims(job=job("https://x")))),
}


def test_our_own_is_taken() -> None:
    token = verified(signed())
    assert (token.issuer.name, token.claims["jti"], token.exchanged_id) == ("ci", "j1", "own")
    assert token.resources == ("workspaces/main/**",)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_not_is_refused(forgery: str) -> None:
    reason, make = FORGERIES[forgery]
    with pytest.raises(TokenRefusedError) as refused:
        verified(make())
    assert refused.value.reason == reason


def test_a_gateway_without_keys_takes_none() -> None:
    with pytest.raises(TokenRefusedError) as refused:
        verified(signed(), None)
    assert refused.value.reason == "TOKEN_INVALID"
