"""The private key with which a service account proves who it is (RFC 7523)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authlib.oauth2.rfc7523 import private_key_jwt_sign
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from studbook.exceptions import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

# Long enough for clocks that differ, short enough to be of no use to whoever reads it later.
_LIFETIME_S = 60
_LEAST_RSA_BITS = 2048


@dataclass(frozen=True)
class ClientKey:
    """A private key.

    Attributes:
        key: RSA of at least 2048 bits, or EC on the curve P-256.
        algorithm: RS256 or ES256, as the key has it.
        key_id: By which name the login provider knows the key; empty when it needs none.
    """

    key: RSAKey | ECKey
    algorithm: str
    key_id: str

    def assertion(self, client_id: str, audience: str) -> str:
        """A signed statement that its bearer is the client, good once and for a minute."""
        header = {"kid": self.key_id} if self.key_id else {}
        return str(
            private_key_jwt_sign(
                self.key,
                client_id,
                audience,
                alg=self.algorithm,
                header=header,
                expires_in=_LIFETIME_S,
            )
        )


def read_client_key(path: Path, key_id: str = "") -> ClientKey:
    """Read a private key from a file: PEM, or a JSON Web Key.

    Args:
        path: The file.
        key_id: Its `kid`; default: that of the JSON Web Key, if it is one and has one.

    Raises:
        InvalidArgument: There is no such key in the file.
    """
    try:
        content = path.read_text(encoding="utf-8").strip()
        key = _imported(content)
        algorithm = _algorithm(key.private_key)
    except (OSError, ValueError, TypeError, JoseError) as error:
        # Not chained: what a parser says of a key may hold some of it.
        why = error.strerror if isinstance(error, OSError) else "it holds none"
        message = f"{path} cannot be used as the private key of a service account: {why}."
        raise InvalidArgument(
            message,
            reason="FIELD_INVALID",
            next_step="Use a PEM file without a password, or a JSON Web Key: RSA of at least 2048 "
            "bits, or EC on the curve P-256.",
        ) from None
    return ClientKey(key, algorithm, key_id or str(key.get("kid", "")))


def _imported(content: str) -> RSAKey | ECKey:
    if content.startswith("{"):
        fields = json.loads(content)
        return (ECKey if fields.get("kty") == "EC" else RSAKey).import_key(fields)
    try:
        return RSAKey.import_key(content)
    except (ValueError, JoseError):
        return ECKey.import_key(content)


def _algorithm(key: object) -> str:
    if isinstance(key, RSAPrivateKey) and key.key_size >= _LEAST_RSA_BITS:
        return "RS256"
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    raise ValueError
