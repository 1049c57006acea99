"""Checkpoints of a ledger: statements of where it ended, signed by the registry.

A checkpoint is a DSSE envelope on one line. Its payload is canonical JSON:

    {"hash":"<hex>","ledger":"<uuid>","position":12,"time":"2026-03-03T14:05:00.000000Z"}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from studbook.certificates.envelope import Envelope, malformed, read_envelope, signed_bytes
from studbook.certificates.strict_json import read_strictly
from studbook.exceptions import VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.studbook.checkpoint+json"
_WHAT = "the checkpoint"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MEMBERS = {"hash": str, "ledger": str, "position": int, "time": str}
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a ledger ended.

    Attributes:
        ledger: UUID of the ledger.
        position: Position of the last entry.
        hash: Hash of that entry.
        time_us: Microseconds since 1970-01-01 UTC. No entry behind has this time or an earlier one.
    """

    ledger: str
    position: int
    hash: bytes
    time_us: int

    @property
    def payload(self) -> bytes:
        """Canonical JSON."""
        moment = (_EPOCH + timedelta(microseconds=self.time_us)).replace(tzinfo=None)
        members = {
            "hash": self.hash.hex(),
            "ledger": self.ledger,
            "position": self.position,
            "time": f"{moment.isoformat(timespec='microseconds')}Z",
        }
        return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        return signed_bytes(PAYLOAD_TYPE, self.payload)

    def seal(self, key_id: str, signature: bytes) -> bytes:
        """The checkpoint with its signature, as it is kept."""
        return Envelope(PAYLOAD_TYPE, self.payload, key_id, signature).encode()


def read_checkpoint(content: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Checkpoint:
    """Read a checkpoint and verify its signature.

    Args:
        content: The envelope.
        keys: The keys that are trusted, by id.

    Raises:
        VerificationFailed: It is not as a registry writes it, is signed with a key that is not
            trusted, or the signature does not fit.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - takes its time

    envelope = read_envelope(content, _WHAT)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise malformed(_WHAT, f"its payload is {envelope.payload_type!r}")
    key = keys.get(envelope.key_id)
    if key is None:
        raise VerificationFailed(
            f"The checkpoint is signed with the key {envelope.key_id[:64]}, which is not trusted.",
            next_step="Trust it only if you know from elsewhere that it is a key of the registry.",
        )
    try:
        key.verify(envelope.signature, signed_bytes(PAYLOAD_TYPE, envelope.payload))
    except InvalidSignature as error:
        raise VerificationFailed(
            f"The signature of the checkpoint does not fit its content and the key "
            f"{envelope.key_id}.",
        ) from error
    return _checkpoint(envelope.payload)


def read_envelopes(path: Path) -> list[bytes]:
    """The checkpoints in a file, one a line, yet to be read.

    Raises:
        VerificationFailed: There is none.
        OSError: The file cannot be read.
    """
    lines = [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
    if not lines:
        raise VerificationFailed(f"{path} holds no checkpoint.")
    return lines


def check_ledger(checkpoint: Checkpoint, ledger: str) -> None:
    """Make sure that a checkpoint is about a ledger.

    Raises:
        VerificationFailed: It is about another one.
    """
    if checkpoint.ledger != ledger:
        raise VerificationFailed(
            f"The checkpoint at {checkpoint.position} is about the ledger {checkpoint.ledger}, "
            f"not {ledger}.",
            next_step="Take the checkpoints of this registry.",
        )


def _checkpoint(payload: bytes) -> Checkpoint:
    try:
        members = read_strictly(payload.decode())
        checkpoint = _read(members)
    except (ValueError, OverflowError) as error:
        raise malformed(_WHAT, str(error)) from error
    if checkpoint.payload != payload:
        raise malformed(_WHAT, "its payload is not written in the canonical form")
    return checkpoint


def _read(members: Any) -> Checkpoint:
    if not isinstance(members, dict) or set(members) != set(_MEMBERS):
        message = f"its payload must have exactly the members {', '.join(_MEMBERS)}"
        raise ValueError(message)
    for name, kind in _MEMBERS.items():
        if type(members[name]) is not kind:
            message = f"{name} must be {'a number' if kind is int else 'a text'}"
            raise ValueError(message)
    digest = bytes.fromhex(members["hash"])
    if len(digest) != _HASH_BYTES:
        message = "hash must have 64 hexadecimal digits"
        raise ValueError(message)
    moment = datetime.fromisoformat(members["time"])
    if moment.tzinfo is None:
        message = "time must be in UTC"
        raise ValueError(message)
    return Checkpoint(
        ledger=members["ledger"],
        position=members["position"],
        hash=digest,
        time_us=(moment - _EPOCH) // timedelta(microseconds=1),
    )
