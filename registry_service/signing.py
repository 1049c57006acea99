"""The registry's keys: sign what others shall be able to prove without asking the registry.

One key signs; any number may be trusted beside it, because they signed before or will sign next:

    signer = Signer(settings.signing_key.read_bytes(), former_or_next_public_keys)
    signature = signer.sign(message)  # 64 bytes; say signer.key_id beside it
    read_checkpoint(envelope, signer.trusted)  # verifies with whichever key it names
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from studbook.certificates.keys import key_id, parse_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Signer:
    """Signs with an Ed25519 key.

    Args:
        private_key: The key, PEM without password.
        also_trusted: Public keys, PEM one after the other, that signed before or will sign next.

    Attributes:
        key_id: Id of the key: SHA-256 over the 32 bytes of its public half, in hexadecimal.
        trusted: Public keys by id, first the one that signs.

    Raises:
        ValueError: It is no Ed25519 key.
        InvalidArgument: There is something else than public Ed25519 keys in `also_trusted`.
    """

    def __init__(self, private_key: bytes, also_trusted: bytes = b"") -> None:
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
        others = parse_keys(also_trusted, "trusted_signing_keys") if also_trusted.strip() else {}
        self.trusted: Mapping[str, Ed25519PublicKey] = {
            self.key_id: key.public_key(),
            **{other: public for other, public in others.items() if other != self.key_id},
        }

    def sign(self, message: bytes) -> bytes:
        """The signature over some bytes; always the same for the same ones."""
        return self._key.sign(message)
