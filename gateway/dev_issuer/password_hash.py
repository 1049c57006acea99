"""Hashes of passwords and client secrets, as they stand in the issuer's configuration."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

# 16 MiB of memory and some 40 ms per check: a development issuer checks a secret for every token.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
_MEMORY = 64 * 1024 * 1024
_SALT_BYTES = 16


def _scrypt(secret: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        secret.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=32
    )


def hash_secret(secret: str) -> str:
    """A salted scrypt hash, as text that names its own parameters."""
    salt = os.urandom(_SALT_BYTES)
    digest = _scrypt(secret, salt, _COST, _BLOCK, _PARALLEL)
    encoded = (base64.b64encode(part).decode() for part in (salt, digest))
    return "$".join(("scrypt", str(_COST), str(_BLOCK), str(_PARALLEL), *encoded))


def check_hash(stored: str) -> str:
    """The hash itself, when it is one that `verify_secret` can read.

    Raises:
        ValueError: It is not. The text is not repeated, as it may be a password in clear.
    """
    try:
        _parse(stored)
    except (ValueError, binascii.Error):
        message = "must be a hash written by `python -m gateway.dev_issuer.password_hash`"
        raise ValueError(message) from None
    return stored


def _parse(stored: str) -> tuple[int, int, int, bytes, bytes]:
    kind, cost, block, parallel, salt, digest = stored.split("$")
    if kind != "scrypt":
        raise ValueError(kind)
    decoded = (base64.b64decode(part, validate=True) for part in (salt, digest))
    return (int(cost), int(block), int(parallel), *decoded)  # type: ignore[return-value]


def verify_secret(secret: str, stored: str) -> bool:
    """Whether the secret is the one that was hashed; takes equally long either way."""
    cost, block, parallel, salt, digest = _parse(stored)
    return hmac.compare_digest(_scrypt(secret, salt, cost, block, parallel), digest)


if __name__ == "__main__":
    import getpass

    print(hash_secret(getpass.getpass("Password or secret to hash: ")))
