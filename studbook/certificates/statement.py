"""The statement in a certificate: an in-toto statement about a model version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studbook.certificates.envelope import IN_TOTO, malformed
from studbook.certificates.strict_json import read_strictly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studbook.certificates.envelope import Envelope

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://studbook.dev/certificate/v1"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEMBERS: Mapping[str, tuple[type, ...]] = {
    "version": (dict,),
    "run": (dict,),
    "datasets": (list,),
    "code": (dict, type(None)),
    "environment": (dict, type(None)),
    "parents": (list,),
    "lineage": (dict,),
    "stages": (list,),
    "ledger": (dict,),
}


@dataclass(frozen=True)
class Statement:
    """What a certificate says.

    Attributes:
        files: Hexadecimal SHA-256 of each file, by path.
        predicate: All else, as docs/certificates.md describes it.
    """

    files: Mapping[str, str]
    predicate: Mapping[str, Any]

    @property
    def version(self) -> Mapping[str, Any]:
        """The version."""
        found: Mapping[str, Any] = self.predicate["version"]
        return found


def read_statement(envelope: Envelope) -> Statement:
    """Read what an envelope holds. Says nothing about its signature.

    Raises:
        VerificationFailed: It holds something else than a statement about a model version.
    """
    if envelope.payload_type != IN_TOTO:
        raise malformed("the certificate", f"its payload is {envelope.payload_type!r}")
    try:
        value = read_strictly(envelope.payload.decode())
        return _statement(value)
    except (ValueError, KeyError, TypeError) as error:
        raise malformed("the statement in the certificate", str(error)) from error


def _statement(value: Any) -> Statement:
    kind, predicate_type = value["_type"], value["predicateType"]
    if (kind, predicate_type) != (STATEMENT_TYPE, PREDICATE_TYPE):
        message = f"it is a {kind!r} with a {predicate_type!r}, not one with a {PREDICATE_TYPE}"
        raise ValueError(message)
    files: dict[str, str] = {}
    for subject in value["subject"]:
        path, digest = subject["name"], subject["digest"]["sha256"]
        if not isinstance(path, str) or not _SHA256.fullmatch(digest) or path in files:
            message = f"the subject {path!r} has no SHA-256, or occurs twice"
            raise ValueError(message)
        files[path] = digest
    predicate = value["predicate"]
    for name, kinds in _MEMBERS.items():
        if not isinstance(predicate[name], kinds):
            message = f"its {name} is not what it should be"
            raise ValueError(message)
    return Statement(files, predicate)
