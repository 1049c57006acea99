"""Signatures that prove nothing: the algorithm is not the issuer's to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.security.forging import (
    KEYS,
    Forgery,
    der_signature,
    part,
    signature_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_SIGNATURE = part(2, lambda _: "")
_NONE = ("none", "None", "NONE", "nOnE", "none ", " none", "n\u043ene", "none\0", "")
_SECRETS = tuple(name for name in KEYS if "key as" in name or name in {
    "modulus", "empty secret", "null byte",
})  # fmt: skip


def _tricks() -> Iterator[tuple[str, Forgery]]:
    for spelling in _NONE:
        name = spelling.encode("unicode_escape").decode() or "empty"
        changed = {"alg": spelling}
        yield f"alg {name!r} without a signature", Forgery(changed, edit=_NO_SIGNATURE)
        yield f"alg {name!r} with the RSA signature", Forgery(changed)
    for secret in _SECRETS:
        yield f"HS256 with {secret}", Forgery(algorithm="HS256", key=secret)
    for spelling in ("hs256", "HS384", "HS512"):
        changed = {"alg": spelling}
        yield (
            f"{spelling} with public key as PEM",
            Forgery(changed, algorithm="HS256", key="public key as PEM"),
        )
    for spelling in (
        "rs256", "RS256 ", "Rs256", "RS1", "RS384", "PS256", "PS384", "ES256", "ES256K", "ES384",
        "EdDSA", "Ed25519", "RSA-OAEP", "dir", "A128KW", "ML-DSA-65", "http://rsa-sha256",
    ):  # fmt: skip
        yield f"RSA signature under alg {spelling!r}", Forgery({"alg": spelling})
    for spelling in ("es256", "ES384", "ES512", "ES256K", "RS256", "EdDSA"):
        yield (
            f"EC signature under alg {spelling!r}",
            Forgery({"alg": spelling}, algorithm="ES256"),
        )


TRICKS: Mapping[str, Forgery] = {
    **dict(_tricks()),
    "alg missing": Forgery({"alg": None}),
    "alg a list": Forgery({"alg": ["RS256"]}),
    "alg an object": Forgery({"alg": {"RS256": 1}}),
    "alg a number": Forgery({"alg": 256}),
    "alg true": Forgery({"alg": True}),
    "alg null": Forgery(spell_header=lambda text: text.replace(b'"RS256"', b"null")),
    "RS512 that the issuer does not use": Forgery(algorithm="RS512"),
    "RS384 that the issuer does not use": Forgery(algorithm="RS384"),
    "ES256 under the id of an RSA key": Forgery({"kid": "rsa"}, algorithm="ES256"),
    "RS256 under the id of an EC key": Forgery({"kid": "ec"}),
    "ES256 with a P-384 key": Forgery(algorithm="ES256", key="P-384"),
    "a 1024-bit RSA key": Forgery(key="short"),
    "a strange RSA key": Forgery(key="stranger"),
    "a strange EC key": Forgery(algorithm="ES256", key="strange EC"),
    # CVE-2022-21449: r and s of zero verify where nobody looks.
    "ECDSA with r and s zero": Forgery(algorithm="ES256", edit=signature_bytes(bytes(64))),
    "ECDSA with r and s of the curve's order": Forgery(
        algorithm="ES256",
        edit=signature_bytes(
            bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") * 2
        ),
    ),
    "ECDSA in DER": Forgery(algorithm="ES256", edit=der_signature),
    "ECDSA signature too short": Forgery(algorithm="ES256", edit=signature_bytes(bytes(63))),
    "RSA signature of zeros": Forgery(edit=signature_bytes(bytes(256))),
    "RSA signature of one": Forgery(edit=signature_bytes(bytes(255) + b"\1")),
    # Bleichenbacher's forgery of 2006 begins so.
    "RSA signature beyond the modulus": Forgery(edit=signature_bytes(b"\xff" * 256)),
    "RSA signature with a zero before it": Forgery(edit=signature_bytes(bytes(257))),
    "no signature": Forgery(edit=_NO_SIGNATURE),
    "signature cut": Forgery(edit=lambda token: token[:-8]),
    "signature of another token": Forgery(
        {"alg": "RS256"}, edit=lambda token: token.rpartition(".")[0] + "." + "A" * 342
    ),
}
