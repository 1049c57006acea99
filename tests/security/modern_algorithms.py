"""An issuer that may use every algorithm there is, and what is made of its keys' signatures.

It is the hardest case: where only few are allowed, most of these tokens fail for that alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.unit.gateway.loopback_issuer import (
    LoopbackIssuer,
    b64,
    compact,
    ec_key,
    ed_key,
    good_claims,
    public_jwk,
    rsa_key,
    signature,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.unit.gateway.loopback_issuer import Key

# Which key makes and checks the signatures of an algorithm. RSA has one for both kinds of padding.
KEYS: Mapping[str, tuple[str, Callable[[], Key]]] = {
    **{f"{kind}{size}": ("rsa", rsa_key) for kind in ("RS", "PS") for size in (256, 384, 512)},
    "ES256": ("p256", ec_key),
    "ES384": ("p384", lambda: ec_key(0, "P-384")),
    "ES512": ("p521", lambda: ec_key(0, "P-521")),
    "EdDSA": ("ed", ed_key),
    "Ed25519": ("ed", ed_key),
}
_ORDER = 2**252 + 27742317777372353535851937790883648493
# Points of small order: with such a key this signature is good for any message, or for one in few.
_WEAK_POINTS = {
    "zero": bytes(32),
    "one": bytes([1, *[0] * 31]),
    "one, negative": bytes([1, *[0] * 30, 128]),
    "minus one": bytes([0xEC, *[0xFF] * 30, 0x7F]),
    "one, not reduced": bytes([0xEE, *[0xFF] * 30, 0x7F]),
    "order eight": bytes.fromhex(
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    ),
    "order eight, other": bytes.fromhex(
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
    ),
}


def key_set() -> list[dict[str, Any]]:
    """What it publishes: a key of each type, for whatever the type can do, and some of no use."""
    good = {kid: public_jwk(make(), kid) for kid, make in KEYS.values()}
    ed = good["ed"]
    weak = [{**ed, "kid": f"weak {name}", "x": b64(x)} for name, x in _WEAK_POINTS.items()]
    return [
        *good.values(),
        *weak,
        {**ed, "kid": "ed448", "crv": "Ed448", "x": b64(bytes(57))},
        {**ed, "kid": "x25519", "crv": "X25519"},
        {**ed, "kid": "short", "x": ed["x"][:40]},
        {**ed, "kid": "long", "x": b64(bytes(33))},
        {**ed, "kid": "as EC", "kty": "EC"},
        {**ed, "kid": "private", "d": b64(bytes(32))},
        {**ed, "kid": "for PS256", "alg": "PS256"},
        {**good["rsa"], "kid": "RS256 only", "alg": "RS256"},
        {**good["rsa"], "kid": "PS256 only", "alg": "PS256"},
    ]


@dataclass(frozen=True)
class Trick:
    """A token that must be refused.

    Attributes:
        alg: What its header says.
        kid: The key that it names.
        sign: Makes the signature of what is signed.
    """

    alg: str
    kid: str
    sign: Callable[[bytes], bytes]

    def made(self, issuer: LoopbackIssuer) -> str:
        """The token, as if from this issuer."""
        header = {"alg": self.alg, "kid": self.kid, "typ": "at+jwt"}
        unsigned = compact(header, good_claims(issuer.url), b"", "HS256").rpartition(".")[0]
        return f"{unsigned}.{b64(self.sign(unsigned.encode()))}"


def genuine(issuer: LoopbackIssuer) -> dict[str, str]:
    """A good token of each algorithm."""
    return {
        algorithm: compact(
            {"alg": algorithm, "kid": kid, "typ": "at+jwt"},
            good_claims(issuer.url, jti=algorithm),
            make(),
            algorithm,
        )
        for algorithm, (kid, make) in KEYS.items()
    }


def _signed_as(algorithm: str) -> Callable[[bytes], bytes]:
    return lambda data: signature(KEYS[algorithm][1](), algorithm, data)


def _salted(length: int, of: hashes.HashAlgorithm, mask: hashes.HashAlgorithm) -> Any:
    return lambda data: rsa_key().sign(data, padding.PSS(padding.MGF1(mask), length), of)


def _beyond_the_order(data: bytes) -> bytes:
    """The other signature that a lenient check takes: S and the order of the group together."""
    made = ed_key().sign(data)
    s = int.from_bytes(made[32:], "little") + _ORDER
    return made[:32] + s.to_bytes(32, "little")


def _tricks() -> Iterator[tuple[str, Trick]]:
    same = {frozenset({"EdDSA", "Ed25519"})}
    for said, (kid, _) in KEYS.items():
        for used in KEYS:
            if said != used and frozenset({said, used}) not in same:
                yield f"{said} with a signature of {used}", Trick(said, kid, _signed_as(used))
    sha256, sha512 = hashes.SHA256(), hashes.SHA512()
    for length in (0, 20, 31, 33, 64, 222):
        yield (
            f"PS256 with a salt of {length}",
            Trick("PS256", "rsa", _salted(length, sha256, sha256)),
        )
    yield "PS256 with another mask", Trick("PS256", "rsa", _salted(32, sha256, sha512))
    yield "PS512 with another hash", Trick("PS512", "rsa", _salted(64, sha256, sha256))
    yield "PS256 with a key for RS256", Trick("PS256", "RS256 only", _signed_as("PS256"))
    yield "RS256 with a key for PS256", Trick("RS256", "PS256 only", _signed_as("RS256"))
    yield "PS256 of a stranger", Trick("PS256", "rsa", _by_stranger)
    yield "Ed25519 beyond the order", Trick("Ed25519", "ed", _beyond_the_order)
    yield "Ed25519 of zeros", Trick("Ed25519", "ed", lambda _: bytes(64))
    yield "Ed25519 too short", Trick("Ed25519", "ed", lambda data: ed_key().sign(data)[:63])
    yield "Ed25519 too long", Trick("Ed25519", "ed", lambda data: ed_key().sign(data) + b"\0")
    yield "Ed25519 of a stranger", Trick("Ed25519", "ed", ed_key(7).sign)
    for kid in ("ed448", "x25519", "short", "long", "as EC", "private", "for PS256"):
        yield f"EdDSA with the key {kid}", Trick("EdDSA", kid, ed_key().sign)
    for name, point in _WEAK_POINTS.items():
        yield f"EdDSA with the weak point {name}", Trick("EdDSA", f"weak {name}", _made_up(point))
    for said in ("EDDSA", "eddsa", "Ed448", "ed25519", "PS1", "ps256", "ES256K", "ES25519"):
        yield f"alg {said}", Trick(said, "ed", ed_key().sign)
    for said in ("HS256", "HS512"):
        yield f"{said} with the Ed25519 key", Trick(said, "ed", _by_secret)


def _made_up(point: bytes) -> Callable[[bytes], bytes]:
    return lambda _: point + bytes(32)


def _by_stranger(data: bytes) -> bytes:
    digest = hashes.SHA256()
    return rsa_key(7).sign(data, padding.PSS(padding.MGF1(digest), 32), digest)


def _by_secret(data: bytes) -> bytes:
    public = ed_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return signature(public, "HS256", data)


TRICKS: Mapping[str, Trick] = dict(_tricks())
