"""The registry's key: signs what others shall be able to prove without asking the registry."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from studbook.certificates.keys import key_id


class Signer:
    """Signs with an Ed25519 key.

    Args:
        private_key: The key, PEM without password.

    Attributes:
        key_id: Id of the key: SHA-256 over the 32 bytes of its public half, in hexadecimal.

    Raises:
        ValueError: It is no Ed25519 key.
    """

    def __init__(self, private_key: bytes) -> None:
        try:
            key = load_pem_private_key(private_key, password=None)
        except (TypeError, UnsupportedAlgorithm) as error:
            message = f"it cannot be read: {error}"
            raise ValueError(message) from error
        if not isinstance(key, Ed25519PrivateKey):
            message = "it is a key of another kind than Ed25519"
            raise ValueError(message)
        self._key = key
        self.key_id = key_id(key.public_key())

    def sign(self, message: bytes) -> bytes:
        """The signature over some bytes; always the same for the same ones."""
        return self._key.sign(message)
