"""The keys that tokens are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from gateway.dev_issuer.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from joserfc.jwk import KeyParameters


def _algorithm(pem: bytes) -> str:
    key = load_pem_private_key(pem, password=None)
    if isinstance(key, RSAPrivateKey) and key.key_size >= 2048:
        return "RS256"
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    message = "it must be RSA of at least 2048 bits or EC on the curve P-256"
    raise ValueError(message)


class SigningKey:
    """A private key with its algorithm, and its public half as a key set."""

    def __init__(self, pem: bytes) -> None:
        self.algorithm = _algorithm(pem)
        kind = RSAKey if self.algorithm == "RS256" else ECKey
        key_id = kind.import_key(pem).thumbprint()
        use: KeyParameters = {"use": "sig", "alg": self.algorithm, "kid": key_id}
        # As a set, joserfc and Authlib put the key's id into the header by themselves.
        self.key_set = KeySet([kind.import_key(pem, use)])

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Read a PEM file.

        Raises:
            ConfigError: The file is missing or holds no usable private key.
        """
        try:
            return cls(path.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            message = f"{path} is not a usable signing key: {error}"
            raise ConfigError(message) from error

    def public_keys(self) -> dict[str, Any]:
        """The JSON Web Key Set to publish."""
        return dict(self.key_set.as_dict(private=False))

    def sign(self, claims: dict[str, Any], token_type: str) -> str:
        """A compact JWS over the claims."""
        header = {"alg": self.algorithm, "typ": token_type}
        return jwt.encode(header, claims, self.key_set, algorithms=[self.algorithm])

    def verified_claims(self, token: str, token_type: str) -> dict[str, Any] | None:
        """The claims of a token that this key signed and that has not expired, else None."""
        try:
            decoded = jwt.decode(token, self.key_set, algorithms=[self.algorithm])
            jwt.JWTClaimsRegistry(exp={"essential": True}).validate(decoded.claims)
        except (JoseError, ValueError):
            return None
        return decoded.claims if decoded.header.get("typ") == token_type else None
