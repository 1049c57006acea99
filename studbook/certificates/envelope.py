"""DSSE envelopes: bytes of a declared type with a signature over both.

The format is that of https://github.com/secure-systems-lab/dsse, version 1, in the one form that
Studbook writes: JSON with its members in order and without white space, standard base64 with
padding, exactly one signature. Reading accepts that form only, so that a certificate with a single
bit changed, wherever it is, is not a certificate any more.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from studbook.certificates.strict_json import read_strictly
from studbook.exceptions import VerificationFailed

IN_TOTO = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Envelope:
    """What an envelope holds.

    Attributes:
        payload_type: Media type of the payload.
        payload: What is signed.
        key_id: Id of the key that signed.
        signature: The signature over `signed_bytes`.
    """

    payload_type: str
    payload: bytes
    key_id: str
    signature: bytes

    def encode(self) -> bytes:
        """The envelope as JSON, in its one form."""
        members = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": self.key_id, "sig": base64.b64encode(self.signature).decode()}
            ],
        }
        return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a signature covers: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def read_envelope(content: bytes, what: str = "the certificate") -> Envelope:
    """Read an envelope in the form that `Envelope.encode` gives it, and in no other.

    Args:
        content: The envelope.
        what: What it is called in an error.

    Raises:
        VerificationFailed: It has another form; the message says where it departs.
    """
    try:
        envelope = _envelope(read_strictly(content.decode()))
        if envelope.encode() == content:
            return envelope
    except ValueError as error:
        raise malformed(what, str(error)) from error
    why = "it is not written in the canonical form, or something stands before or behind it"
    raise malformed(what, why)


def malformed(what: str, why: str) -> VerificationFailed:
    """The refusal of something that is not as Studbook writes it."""
    return VerificationFailed(
        f"{what[:1].upper()}{what[1:]} is not as a registry of Studbook writes it: {why}.",
        next_step=f"Do not rely on it. Fetch {what} from the registry again.",
    )


def _envelope(value: Any) -> Envelope:
    _check_members(value, "the envelope", {"payload", "payloadType", "signatures"})
    signatures = value["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        message = "there must be exactly one signature"
        raise ValueError(message)
    _check_members(signatures[0], "the signature", {"keyid", "sig"})
    return Envelope(
        payload_type=_text(value["payloadType"], "payloadType"),
        payload=_decoded(value["payload"], "payload"),
        key_id=_text(signatures[0]["keyid"], "keyid"),
        signature=_decoded(signatures[0]["sig"], "sig"),
    )


def _check_members(value: Any, what: str, names: set[str]) -> None:
    if not isinstance(value, dict) or set(value) != names:
        message = f"{what} must have exactly the members {', '.join(sorted(names))}"
        raise ValueError(message)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        message = f"{name} must be a text"
        raise ValueError(message)
    return value


def _decoded(value: Any, name: str) -> bytes:
    try:
        return base64.b64decode(_text(value, name), validate=True)
    except binascii.Error as error:
        message = f"{name} is not base64: {error}"
        raise ValueError(message) from error
