"""What is wrong with the issuers that misbehave.

Where their keys are at fault, each has one good key besides, with the id `ec`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey

from tests.unit.gateway.loopback_issuer import b64, ec_key, public_jwk, rsa_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

SHARED_SECRET = b"a secret of thirty-two letters!!"


@cache
def weak_key() -> rsa.RSAPrivateKey:
    """A key that is too short to prove anything."""
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is what is wrong with it


def misbehave(issuers: Mapping[str, LoopbackIssuer]) -> None:
    """Let the issuers do what their names say."""
    for name, keys in _key_sets().items():
        issuers[name].keys = [*keys, public_jwk(ec_key(), "ec", alg="ES256")]
    down, slow = issuers["down"], issuers["slow"]
    for issuer in (down, slow):
        issuer.answers[_DISCOVERY] = 503, b"", {}
    issuers["huge"].answers[_KEYS] = 200, _huge(), {}
    issuers["html"].answers[_KEYS] = 200, b"<html>Please log in</html>", {}
    issuers["moved"].answers[_KEYS] = 302, b"", {"Location": "http://192.0.2.7/keys"}
    issuers["elsewhere"].discovery["jwks_uri"] = "http://192.0.2.7/keys"


_DISCOVERY, _KEYS = "/main/.well-known/openid-configuration", "/main/jwks"


def _numbers(key: rsa.RSAPrivateKey) -> dict[str, str]:
    public = key.public_key().public_numbers()
    return {"n": b64(public.n.to_bytes(key.key_size // 8)), "e": b64(public.e.to_bytes(3))}


def _huge() -> bytes:
    keys = [public_jwk(rsa_key(), "rsa", alg="RS256")]
    return json.dumps({"keys": keys, "padding": "x" * 8_000_000}).encode()


def _key_sets() -> dict[str, list[dict[str, Any]]]:
    good = public_jwk(rsa_key(), "rsa", alg="RS256")
    with_private_part = {
        **RSAKey.import_key(rsa_key()).as_dict(private=True),
        "kid": "rsa",
        "use": "sig",
    }
    secret = {"kty": "oct", "k": b64(SHARED_SECRET), "kid": "rsa", "use": "sig"}
    return {
        "twins": [good, public_jwk(rsa_key(50), "rsa", alg="RS256")],
        "weak": [{**_numbers(weak_key()), "kty": "RSA", "kid": "rsa", "use": "sig"}],
        "private": [with_private_part],
        "symmetric": [secret],
        "foreign": [public_jwk(rsa_key(50), "rsa", alg="RS256")],
        "encryption": [{**good, "use": "enc"}],
    }
