"""The only place that uses python-jose, and for one thing: one signature with one chosen key.

Its defaults are unsafe (keys are tried in turn, `kid` is ignored, a key set with two key types
breaks it), so it is given a key object that was chosen and checked here, and one algorithm.

It knows neither RSASSA-PSS nor Ed25519; those are checked with the primitives that it stands on.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from jose import jwk, jws
from jose.exceptions import JOSEError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PreparedKey = NewType("PreparedKey", object)

_MOST_KEYS = 32
_RSA_BITS = range(2048, 8193)
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_PSS: Mapping[str, hashes.HashAlgorithm] = {
    "PS256": hashes.SHA256(),
    "PS384": hashes.SHA384(),
    "PS512": hashes.SHA512(),
}
# The name of RFC 8037, and that of RFC 9864, which says which curve.
_EDWARDS = frozenset({"EdDSA", "Ed25519"})
_ED25519_BYTES = 32
# The `y` of the points of small order. With a key of one of them, signatures can be made up.
_FIELD = 2**255 - 19
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})
# Whatever a malformed key or signature provokes means the same: it does not verify.
_FAILURES = (
    JOSEError, InvalidSignature, ValueError, TypeError, KeyError, AttributeError, OverflowError,
    RecursionError,
)  # fmt: skip


def prepare_keys(
    key_set: Mapping[str, Any], algorithms: Iterable[str], *, single_key: bool = False
) -> dict[tuple[str, str], PreparedKey]:
    """The keys of a JWKS that may verify signatures, by (`kid`, `alg`).

    Keys for other uses, of other types or sizes, without `kid` or with one that repeats are left
    out: key sets of real issuers hold such, and one of them must not spoil the rest.

    Args:
        key_set: The JWKS.
        algorithms: Those that the issuer may use.
        single_key: Whether a key that is the only usable one stands under an empty `kid` as well,
            for tokens that name none.

    Raises:
        ValueError: It is not a key set, or one beyond all measure.
    """
    keys = key_set.get("keys")
    if not isinstance(keys, list):
        message = "the key set has no list `keys`"
        raise ValueError(message)
    if len(keys) > _MOST_KEYS:
        message = f"the key set has {len(keys)} keys; at most {_MOST_KEYS} are read"
        raise ValueError(message)
    usable = [key for key in keys if isinstance(key, dict) and _may_verify(key)]
    named = [key for key in usable if isinstance(key.get("kid"), str) and key["kid"]]
    ids = [key["kid"] for key in named]
    found = {
        (key["kid"], algorithm): prepared
        for key in named
        if ids.count(key["kid"]) == 1
        for algorithm in algorithms
        if (prepared := _prepared(key, algorithm)) is not None
    }
    if single_key and len(usable) == 1:
        of_one = {("", algorithm): _prepared(usable[0], algorithm) for algorithm in algorithms}
        found |= {name: prepared for name, prepared in of_one.items() if prepared is not None}
    return found


def _may_verify(key: dict[str, Any]) -> bool:
    operations = key.get("key_ops", ["verify"])
    return (
        key.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and not _PRIVATE_MEMBERS & key.keys()
    )


def _prepared(key: dict[str, Any], algorithm: str) -> PreparedKey | None:
    if key.get("alg", algorithm) != algorithm or not _fits(key, algorithm):
        return None
    try:
        if algorithm in _EDWARDS:
            return PreparedKey(Ed25519PublicKey.from_public_bytes(_bytes(key["x"])))
        if algorithm in _PSS:
            numbers = RSAPublicNumbers(_number(key["e"]), _number(key["n"]))
            return PreparedKey(numbers.public_key())
        return PreparedKey(jwk.construct(key, algorithm))
    except _FAILURES:
        return None


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    if algorithm in _CURVES:
        return key.get("kty") == "EC" and key.get("crv") == _CURVES[algorithm]
    if algorithm in _EDWARDS:
        return key.get("kty") == "OKP" and key.get("crv") == "Ed25519" and _is_point(key.get("x"))
    if key.get("kty") != "RSA":
        return False
    modulus, exponent = (_number(key.get(name)) for name in ("n", "e"))
    return modulus.bit_length() in _RSA_BITS and exponent % 2 == 1 and 3 <= exponent < 2**32


def _is_point(value: object) -> bool:
    """Whether it can be a key of Ed25519 that proves anything."""
    try:
        data = _bytes(value)
    except ValueError:
        return False
    y = int.from_bytes(data, "little") & (2**255 - 1)
    return len(data) == _ED25519_BYTES and y < _FIELD and y not in _SMALL_ORDER


def _number(value: object) -> int:
    try:
        return int.from_bytes(_bytes(value))
    except ValueError:
        return 0


def _bytes(value: object) -> bytes:
    data = str(value).encode("ascii")
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))


def signature_is_valid(token: str, key: PreparedKey, algorithm: str) -> bool:
    """Whether the key made the token's signature with the algorithm."""
    try:
        if algorithm in _EDWARDS or algorithm in _PSS:
            _verify(token, key, algorithm)
        else:
            jws.verify(token, key, algorithms=[algorithm])
    except _FAILURES:
        return False
    return True


def _verify(token: str, key: PreparedKey, algorithm: str) -> None:
    signed, _, signature = token.encode().rpartition(b".")
    made = _bytes(signature.decode())
    if isinstance(key, Ed25519PublicKey) and algorithm in _EDWARDS:
        key.verify(made, signed)
    elif isinstance(key, RSAPublicKey):
        digest = _PSS[algorithm]
        # As long a salt as RFC 7518 says, no shorter and no longer one.
        salted = padding.PSS(padding.MGF1(digest), salt_length=digest.digest_size)
        key.verify(made, signed, salted, digest)
    else:
        message = f"no key for {algorithm}"
        raise TypeError(message)
