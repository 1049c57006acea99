"""Keys and secrets, made once and kept.

`python -m local_stack.keys FOLDER` makes what gateway, tracking and registry need of each other.
"""

from __future__ import annotations

import argparse
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; it appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def ensure_assertion_key(folder: Path, component: str) -> None:
    """An Ed25519 pair, `COMPONENT.pem` and `COMPONENT.pub.pem`."""
    private, public = folder / f"{component}.pem", folder / f"{component}.pub.pem"
    if private.exists() and public.exists():
        return
    key = Ed25519PrivateKey.generate()
    write_private(
        public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    # The private half last: it marks the pair as complete.
    write_private(private, _pem(key))


def ensure_service_keys(folder: Path) -> None:
    """What the processes need of each other, and keys that all replicas of one share."""
    ensure_assertion_key(folder, "gateway")
    ensure_assertion_key(folder, "registry")
    ensure_assertion_key(folder, "ledger")
    ensure_token_key(folder / "tokens.pem")
    ensure_random(folder / "page-tokens")
    ensure_random(folder / "webhooks")
    ensure_sealing_key(folder / "web")


def ensure_token_key(path: Path) -> None:
    """The Ed25519 key that signs the gateway's own tokens."""
    if not path.exists():
        write_private(path, _pem(Ed25519PrivateKey.generate()))


def ensure_people_key(path: Path) -> None:
    """The EC key that signs tokens for people and service accounts."""
    if not path.exists():
        write_private(path, _pem(ec.generate_private_key(ec.SECP256R1())))


def ensure_ci_key(path: Path) -> None:
    """The RSA key that signs pipeline tokens, RSA as at the large CI systems."""
    if not path.exists():
        write_private(path, _pem(rsa.generate_private_key(65537, 2048)))


def ensure_random(path: Path) -> None:
    """32 random bytes."""
    if not path.exists():
        write_private(path, secrets.token_bytes(32))


def ensure_sealing_key(path: Path) -> None:
    """A file of one key that seals cookies and the tokens of sessions."""
    if not path.exists():
        write_private(path, Fernet.generate_key() + b"\n")


def ensure_secret(path: Path) -> str:
    """A secret as text, for use as a client's password."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32).encode())
    return path.read_text()


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the keys that are missing; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local_stack.keys",
        description="Make the keys that gateway, tracking and registry need of each other. "
        "Keys that are there already are kept.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ensure_service_keys(folder)
    print(
        f"{folder} holds gateway.pem, registry.pem, ledger.pem, their .pub.pem, tokens.pem, "
        "page-tokens, webhooks and web."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
