"""Tokens that nobody may get in with, made from one that is good."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

if TYPE_CHECKING:
    from collections.abc import Callable


def _part(content: object) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read_part(token: str, index: int) -> dict[str, Any]:
    """Header (0) or claims (1) of a token."""
    part = token.split(".")[index]
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return content


def unsigned(token: str, algorithm: str) -> str:
    """The same claims, under an algorithm that means no signature."""
    header = {**read_part(token, 0), "alg": algorithm}
    return f"{_part(header)}.{token.split('.')[1]}."


def signed_with_public_key(token: str, issuer: str) -> str:
    """The same claims, under HS256 with the issuer's public key as the secret."""
    key = httpx.get(f"{issuer}/jwks", trust_env=False).json()["keys"][0]
    imported = ECKey.import_key(key) if key["kty"] == "EC" else RSAKey.import_key(key)
    header = {**read_part(token, 0), "alg": "HS256"}
    signing_input = f"{_part(header)}.{token.split('.')[1]}"
    mac = hmac.digest(imported.as_pem(private=False), signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{_part(mac)}"


def signed_by_stranger(token: str, **changes: Any) -> str:
    """The same claims under a key that the issuer does not have, with its key id."""
    header = read_part(token, 0)
    return _sign(header, {**read_part(token, 1), **changes})


def with_unknown_key_id(token: str) -> str:
    """The same claims under an unknown key with an id of its own."""
    return _sign({**read_part(token, 0), "kid": "nobody"}, read_part(token, 1))


def _sign(header: dict[str, Any], claims: dict[str, Any]) -> str:
    makers: dict[str, Callable[[], Any]] = {
        "RS256": lambda: RSAKey.generate_key(2048),
        "ES256": lambda: ECKey.generate_key("P-256"),
        "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
    }
    algorithm = header["alg"]
    return jwt.encode(header, claims, makers[algorithm](), algorithms=[algorithm])


def sign_as_issuer(key_pem: bytes, token: str, **changes: Any) -> str:
    """The same claims with changes, under the issuer's own key: genuine, and still not good."""
    header = read_part(token, 0)
    key = ECKey.import_key(key_pem) if header["alg"] == "ES256" else RSAKey.import_key(key_pem)
    return jwt.encode(header, {**read_part(token, 1), **changes}, key, algorithms=[header["alg"]])


def expired(key_pem: bytes, token: str) -> str:
    """A genuine token whose time is over by an hour."""
    now = int(time.time())
    return sign_as_issuer(key_pem, token, iat=now - 7200, exp=now - 3600)
