"""Whether a certificate holds: its signature, its claims, and the files it is about.

Needs no network. What a certificate claims about its own parts is checked against them; what it
claims about the world, such as who approved, holds because the registry signed it, and is listed so
that a reader sees what exactly was signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from studbook.certificates.envelope import read_envelope, signed_bytes
from studbook.certificates.file_set import compare_files
from studbook.certificates.statement import read_statement
from studbook.file_digests import digest_of_listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from studbook.certificates.envelope import Envelope
    from studbook.certificates.statement import Statement

_NOT_SIGNED = "the signature does not hold, so nothing that the certificate says does"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        kind: `signature`, `claim` or `file`.
        subject: Which one.
        holds: Whether it holds.
        detail: What it says, or what is wrong with it.
    """

    kind: str
    subject: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Verification:
    """What came out.

    Attributes:
        statement: What the certificate says; to be relied on only when `holds`.
        findings: Signature, claims and files, in this order.
    """

    statement: Statement
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether everything holds."""
        return all(finding.holds for finding in self.findings)


def verify_certificate(
    content: bytes,
    keys: Mapping[str, Ed25519PublicKey],
    files: Sequence[Path] = (),
    *,
    ignored: Collection[Path] = (),
    partial: bool = False,
) -> Verification:
    """Verify a certificate, and files against it.

    Args:
        content: The certificate, as the registry gave it.
        keys: Public keys of the registry, by key id; from `studbook.certificates.keys`.
        files: Files, and folders that hold the version as a whole.
        ignored: Files that may lie in a folder without being the version's.
        partial: Whether files of the version may be absent. Without any files none are compared.

    Raises:
        VerificationFailed: It is no certificate, so that nothing can be said of its parts.
        InvalidArgument: A file does not exist.
        OSError: A file cannot be read.
    """
    envelope = read_envelope(content)
    statement = read_statement(envelope)
    signature = _check_signature(envelope, keys)
    findings = [signature, *_claims(statement)]
    if files:
        compared = compare_files(statement.files, files, ignored=ignored, partial=partial)
        findings += [_file(finding.path, finding.problem, statement) for finding in compared]
    if not signature.holds:
        findings[1:] = [
            Finding(finding.kind, finding.subject, holds=False, detail=_NOT_SIGNED)
            for finding in findings[1:]
        ]
    return Verification(statement, tuple(findings))


def _check_signature(envelope: Envelope, keys: Mapping[str, Ed25519PublicKey]) -> Finding:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - takes its time

    key = keys.get(envelope.key_id)
    if key is None:
        known = ", ".join(keys)
        detail = f"it is by the key {envelope.key_id}, and given is {known}"
        return Finding("signature", envelope.key_id, holds=False, detail=detail)
    try:
        key.verify(envelope.signature, signed_bytes(envelope.payload_type, envelope.payload))
    except InvalidSignature:
        detail = "it does not fit what the certificate says"
        return Finding("signature", envelope.key_id, holds=False, detail=detail)
    return Finding("signature", envelope.key_id, holds=True, detail="made with the key given")


def _file(path: str, problem: str, statement: Statement) -> Finding:
    digest = f"sha256:{statement.files.get(path, '')}"
    return Finding("file", path, holds=not problem, detail=problem or digest)


def _claims(statement: Statement) -> Iterator[Finding]:
    for subject, check in _CHECKS.items():
        try:
            detail = check(statement)
        except _ClaimError as error:
            yield Finding("claim", subject, holds=False, detail=str(error))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            yield Finding("claim", subject, holds=False, detail=f"it is incomplete: {error!r}")
        else:
            yield Finding("claim", subject, holds=True, detail=detail)


class _ClaimError(Exception):
    pass


def _version(statement: Statement) -> str:
    version = statement.version
    listed = {file["path"]: file["digest"] for file in version["files"]}
    if listed != {path: f"sha256:{digest}" for path, digest in statement.files.items()}:
        message = "its files are not those that the certificate is about"
        raise _ClaimError(message)
    actual = digest_of_listing(listed.items())
    if actual != version["digest"]:
        message = f"its files add up to {actual}, not to its digest {version['digest']}"
        raise _ClaimError(message)
    return f"{version['name']}, {version['digest']}"


def _run(statement: Statement) -> str:
    run = statement.predicate["run"]
    parameters, metrics = len(run["parameters"]), len(run["metrics"])
    return f"{run['name']}, {parameters} parameters, {metrics} metrics"


def _datasets(statement: Statement) -> str:
    used = statement.predicate["datasets"]
    return "; ".join(f"{one['role']}: {one['name']}, {one['digest']}" for one in used) or "none"


def _code(statement: Statement) -> str:
    code = statement.predicate["code"]
    if code is None:
        return "not recorded"
    state = "with uncommitted changes" if code["dirty"] else "clean"
    return f"{code['repository'] or 'no repository'}, commit {code['commit'] or 'none'}, {state}"


def _environment(statement: Statement) -> str:
    environment = statement.predicate["environment"]
    if environment is None:
        return "not recorded"
    return f"Python {environment['pythonVersion']}, {len(environment['packages'])} packages"


def _parents(statement: Statement) -> str:
    parents = statement.predicate["parents"]
    named = [f"{one['version'] or one['uri']}, {one['digest']}" for one in parents]
    return "; ".join(named) or "none"


def _stages(statement: Statement) -> str:
    stays: list[Any] = statement.predicate["stages"]
    if not stays or stays[0]["cause"] != "REGISTERED":
        message = "they do not begin with the registration"
        raise _ClaimError(message)
    for before, after in pairwise(stays):
        if before["endTime"] != after["startTime"]:
            message = f"{before['stage']} ends at {before['endTime']}, {after['stage']} begins at "
            raise _ClaimError(message + str(after["startTime"]))
        if before["ledgerPosition"] >= after["ledgerPosition"]:
            message = f"{after['stage']} is entered in the ledger before {before['stage']} is"
            raise _ClaimError(message)
    last = stays[-1]
    if last["endTime"] is not None or last["startTime"] < stays[0]["startTime"]:
        message = "the last one is over"
        raise _ClaimError(message)
    count = sum(stay["stage"] == "PRODUCTION" for stay in stays)
    stood = f"{count} {'stay' if count == 1 else 'stays'} in PRODUCTION"
    return f"{last['stage']} since {last['startTime']}; {stood}"


def _ledger(statement: Statement) -> str:
    ledger, stays = statement.predicate["ledger"], statement.predicate["stages"]
    if any(stay["ledgerPosition"] > ledger["position"] for stay in stays):
        message = f"a stage was entered behind position {ledger['position']}, where it ends"
        raise _ClaimError(message)
    return f"position {ledger['position']} of {ledger['time']}, hash {ledger['hash']}"


_CHECKS = {
    "version": _version,
    "run": _run,
    "datasets": _datasets,
    "code": _code,
    "environment": _environment,
    "parents": _parents,
    "stages": _stages,
    "ledger": _ledger,
}
