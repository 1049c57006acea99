"""Public keys that certificates are verified with, from PEM files."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


def read_keys(path: Path) -> Mapping[str, Ed25519PublicKey]:
    """The public keys in a file, by key id.

    Args:
        path: A file with one or more public keys in PEM, one after the other.

    Raises:
        InvalidArgument: There is none, or something else than public Ed25519 keys is in it.
        OSError: It cannot be read.
    """
    return parse_keys(path.read_bytes(), str(path))


def parse_keys(content: bytes, source: str) -> Mapping[str, Ed25519PublicKey]:
    """The public keys in PEM, by key id.

    Args:
        content: One or more public keys, one after the other.
        source: What they are called in an error.

    Raises:
        InvalidArgument: There is none, or something else than public Ed25519 keys.
    """
    from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415 - takes its time
        ed25519,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_public_key,
    )

    keys: dict[str, ed25519.Ed25519PublicKey] = {}
    for block in _BLOCK.finditer(content):
        if block[1] != b"PUBLIC KEY":
            raise _refused(source, f"it holds a {block[1].decode()}, not a PUBLIC KEY")
        try:
            key = load_pem_public_key(block[0])
        except ValueError as error:
            raise _refused(source, str(error)) from error
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise _refused(source, "it holds a key of another kind than Ed25519")
        keys[key_id(key)] = key
    if not keys:
        raise _refused(source, "it holds no public key in PEM")
    return keys


def key_id(key: Ed25519PublicKey) -> str:
    """The id of a key: SHA-256 over its 32 bytes, in hexadecimal."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _refused(source: str, why: str) -> InvalidArgument:
    return InvalidArgument(
        f"{source} cannot serve as a key: {why}.",
        reason="FIELD_INVALID",
        next_step="Whoever runs the registry has its public keys, and gives them to all who ask.",
    )
