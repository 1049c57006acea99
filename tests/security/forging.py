"""Making tokens that nobody may get in with: what is done to a good one, as data."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.unit.gateway.loopback_issuer import (
    LoopbackIssuer,
    b64,
    compact,
    ec_key,
    good_claims,
    public_jwk,
    rsa_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.unit.gateway.loopback_issuer import Key

INVALID, EXPIRED = "TOKEN_INVALID", "TOKEN_EXPIRED"
AUDIENCE_WRONG, ISSUER_WRONG = "AUDIENCE_MISMATCH", "ISSUER_UNKNOWN"
_CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class FromNow:
    """A time that a claim holds, in seconds from when the token is made."""

    seconds: float


@dataclass(frozen=True)
class AtIssuer:
    """A text that holds the issuer's URL in place of `{url}`."""

    text: str


@dataclass(frozen=True)
class Forgery:
    """What is done to a good token.

    Attributes:
        header: Members of the header that are changed; None takes one away.
        claims: The same for the claims.
        algorithm: What it is signed with, and says so unless the header is changed.
        key: Whose key signs: the issuer's, or one of `KEYS`.
        spell: What is done to the JSON text of the claims before it is signed.
        spell_header: The same for the header.
        edit: What is done to the finished token.
        reason: What its sender is told.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: str = "issuer"
    spell: Callable[[bytes], bytes] | None = None
    spell_header: Callable[[bytes], bytes] | None = None
    edit: Callable[[str], str] | None = None
    reason: str = INVALID

    def made(self, issuer: LoopbackIssuer) -> str:
        """The token, as if from this issuer."""
        asymmetric = "RS256" if self.algorithm.startswith(("HS", "PS", "none")) else self.algorithm
        kid = "rsa" if asymmetric.startswith("RS") else "ec"
        header = {"alg": self.algorithm, "kid": kid, "typ": "at+jwt", **self.header}
        header = {name: _filled(value, issuer) for name, value in header.items()}
        changes = {name: _filled(value, issuer) for name, value in self.claims.items()}
        parts = (
            _text({name: value for name, value in header.items() if value is not None}),
            _text(good_claims(issuer.url, **changes)),
        )
        spelled = [
            spell(text) if spell else text
            for text, spell in zip(parts, (self.spell_header, self.spell), strict=True)
        ]
        own: Key = rsa_key() if asymmetric.startswith("RS") else ec_key()
        key = own if self.key == "issuer" else KEYS[self.key]()
        signs_as = self.algorithm if isinstance(key, bytes) else asymmetric
        token = compact(spelled[0], spelled[1], key, signs_as)
        return self.edit(token) if self.edit else token


def _text(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members).encode()


def _filled(value: Any, issuer: LoopbackIssuer) -> Any:
    if isinstance(value, FromNow):
        return (
            time.time() + value.seconds if value.seconds % 1 else int(time.time() + value.seconds)
        )
    if isinstance(value, AtIssuer):
        return value.text.format(url=issuer.url)
    return value


def _public(encoding: Encoding, form: PublicFormat) -> Callable[[], bytes]:
    return lambda: rsa_key().public_key().public_bytes(encoding, form)


@cache
def _short_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused


# Keys that sign what nobody should believe; bytes are secrets of HMAC.
KEYS: Mapping[str, Callable[[], Key | bytes]] = {
    "stranger": lambda: rsa_key(7),
    "strange EC": lambda: ec_key(7),
    "P-384": lambda: ec_key(0, "P-384"),
    "short": _short_key,
    "public key as PEM": _public(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "public key as PKCS1": _public(Encoding.PEM, PublicFormat.PKCS1),
    "public key as DER": _public(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "public key as PKCS1 DER": _public(Encoding.DER, PublicFormat.PKCS1),
    "public key as SSH": _public(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "public key as JWK": lambda: _text(public_jwk(rsa_key(), "rsa", alg="RS256")),
    "modulus": lambda: rsa_key().public_key().public_numbers().n.to_bytes(256),
    "empty secret": lambda: b"",
    "null byte": lambda: b"\0",
}


def stranger_jwk() -> dict[str, Any]:
    """A key that a header may bring along."""
    return public_jwk(rsa_key(7), "rsa")


# What can be done to a finished token.


def part(index: int, make: Callable[[str], str]) -> Callable[[str], str]:
    """Replace one of the three parts by what is made of it."""

    def edit(token: str) -> str:
        parts = token.split(".")
        parts[index] = make(parts[index])
        return ".".join(parts)

    return edit


def signature_bytes(data: bytes) -> Callable[[str], str]:
    return part(2, lambda _: b64(data))


def loosened(token: str) -> str:
    """The same token with a bit set that decoders ignore."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 256 bytes leave four unused bits in the last character.
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


def beside(member: str) -> Callable[[bytes], bytes]:
    """Add a member's JSON text at the end of an object."""
    return lambda text: text[:-1] + b", " + member.encode() + b"}"


def before(member: str) -> Callable[[bytes], bytes]:
    """Add a member's JSON text at the beginning of an object."""
    return lambda text: b"{" + member.encode() + b", " + text[1:]


def instead(text: str | bytes) -> Callable[[bytes], bytes]:
    """Put something else in place of the whole."""
    data = text.encode() if isinstance(text, str) else text
    return lambda _: data


def flattened(token: str) -> str:
    """The same as JWS JSON, flattened."""
    protected, payload, signature = token.split(".")
    return json.dumps({"protected": protected, "payload": payload, "signature": signature})


def nested(token: str) -> str:
    """A token in a token, signed by the same key."""
    header = {"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}
    return compact(header, token.encode(), rsa_key(), "RS256")


def ecdsa_twin(token: str) -> str:
    """The other signature that an ECDSA signature always has: the same r, and n - s."""
    text, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = _CURVE_ORDER - int.from_bytes(raw[32:])
    return f"{text}.{b64(raw[:32] + s.to_bytes(32))}"


def der_signature(token: str) -> str:
    """An ECDSA signature in DER, as everything but JOSE has it."""
    text, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    return f"{text}.{b64(der)}"
