"""A certificate as a registry writes it, of a version with a life behind it."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import json_format

from registry_service.canonical_json import canonical_json
from registry_service.certificate_statement import Subject, write_statement
from registry_service.file_selection import digest_files
from registry_service.ledger import SALT_BYTES, Draft, Entry, Head, seal
from registry_service.records import Cause, File, Stage, Stay, Version, VersionState
from registry_service.store.lineage_store import Evidence
from service_chassis.caller import Principal
from studbook.certificates.envelope import IN_TOTO, Envelope, signed_bytes
from studbook.certificates.keys import key_id
from studbook.registry.v1.lineage_pb2 import Lineage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from registry_service.canonical_json import JsonObject

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = {key_id(KEY.public_key()): KEY.public_key()}

MODEL = "workspaces/main/models/wine-cultivar"
FILES: Mapping[str, bytes] = {
    "model.joblib": b"weights",
    "signature.json": b"{}",
    "vocabulary/words.txt": b"red\nwhite\n",
}
ADA = Principal(
    id="user:https://login.example:ada",
    kind="user",
    display_name="Ada <b>Lovelace</b>",
    subject="ada",
)
JOB = Principal(
    id="pipeline:release",
    kind="pipeline",
    display_name="release",
    issuer="https://ci.example",
    subject="job",
    token_id="token-1",
    pipeline_claims={"repository": "wine/trainer", "ref": "refs/heads/main"},
)
LINEAGE = {
    "snapshot_time": "2026-03-01T10:00:00.5Z",
    "run": {
        "name": "workspaces/main/experiments/wine/runs/r1",
        "uid": "run-uid",
        "display_name": "a & b",
        "state": "FINISHED",
        "creator": {"id": ADA.id, "kind": "PRINCIPAL_KIND_USER", "display_name": "Ada"},
        "start_time": "2026-03-01T09:00:00Z",
        "end_time": "2026-03-01T09:30:00Z",
        "params": [
            {"key": "depth", "int_value": 4},
            {"key": "largest", "int_value": 2**62},
            {"key": "rate", "double_value": 0.1},
            {"key": "shuffle", "bool_value": True},
            {"key": "text", "string_value": "</pre><script>alert(1)</script>"},
        ],
        "metrics": [
            {"key": "accuracy", "last": 0.97, "min": 0.1, "max": 0.97, "mean": 0.6, "count": 5},
            {"key": "loss", "last": "NaN", "min": "-Infinity", "max": 1, "mean": 0, "count": 2},
        ],
    },
    "datasets": [
        {
            "name": "workspaces/main/datasets/wine/versions/1",
            "role": "training",
            "digest": f"sha256:{'d' * 64}",
            "format": "studbook.table.v1",
            "row_count": 178,
            "columns": [{"name": "alcohol", "type": "double"}],
        }
    ],
    "code": {"repository": "https://git.example/wine.git", "commit": "c" * 40, "dirty": True},
    "environment": {"python_version": "3.11.7", "packages": {"numpy": "2.0", "pandas": "2.2"}},
    "parents": [
        {"version": f"{MODEL}/versions/0.9.0", "digest": f"sha256:{'e' * 64}"},
        {"uri": "https://hub.example/base", "digest": f"sha256:{'f' * 64}"},
    ],
}
_START_US = 1_772_000_000_000_000
_DECISION: JsonObject = {
    "version_uid": "uid",
    "before": {"stage": "STAGING"},
    "after": {"stage": "PRODUCTION"},
    "cause": "REQUESTED",
    "rules": [
        {"rule": "gates/accuracy", "outcome": "PASS", "message": "0.97 \u202e>= 0.96"},
        {
            "rule": "approvals/two",
            "outcome": "PASS",
            "message": "1 of 1 approved, ledger entry 7.",
            "figures": {"approvals": "1", "wanted": "1", "ledger_positions": "7"},
        },
    ],
}


@cache
def subject() -> Subject:
    """What the registry knows of the version."""
    files = tuple(
        File(path, hashlib.sha256(content).hexdigest(), len(content), "application/octet-stream")
        for path, content in sorted(FILES.items())
    )
    stays = (
        _stay(3, None, Stage.NONE, Cause.REGISTERED, 0, 1),
        _stay(5, Stage.NONE, Stage.STAGING, Cause.REQUESTED, 1, 2, reason='say "yes"'),
        _stay(9, Stage.STAGING, Stage.PRODUCTION, Cause.REQUESTED, 2, None, reason="<i>better</i>"),
    )
    return Subject(
        version=_version(files),
        lineage=json_format.ParseDict(LINEAGE, Lineage()),
        lineage_digest="a" * 64,
        stays=stays,
        evidence={
            stay.position: Evidence(bytes([stay.position]) * 32, canonical_json(_DECISION))
            for stay in stays
        },
        approvals={7: _approval()},
        head=Head(11, b"\x07" * 32, _START_US + 9),
        head_us=_START_US + 9,
    )


def _approval() -> Entry:
    draft = Draft(JOB, "transition.review", f"{MODEL}/versions/1.2.0", {}, "looks right")
    return seal(Head(6, bytes(32), _START_US), draft, _START_US + 1, bytes(SALT_BYTES))


def _version(files: tuple[File, ...]) -> Version:
    return Version(
        uid="uid",
        model_uid="model-uid",
        model=MODEL,
        name=f"{MODEL}/versions/1.2.0",
        number="1.2.0",
        state=VersionState.READY,
        state_reason="",
        stage=Stage.PRODUCTION,
        stage_us=_START_US + 2,
        stage_position=9,
        was_in_production=True,
        source_run="workspaces/main/experiments/wine/runs/r1",
        files=files,
        digest=digest_files(files),
        description="line one\nline two",
        tags={"team": "cellar"},
        creator=ADA,
        create_position=3,
        create_us=_START_US,
        update_us=_START_US + 2,
        change_position=9,
    )


def _stay(
    position: int,
    before: Stage | None,
    after: Stage,
    cause: Cause,
    start: int,
    end: int | None,
    reason: str = "",
) -> Stay:
    return Stay(
        position=position,
        model=MODEL,
        version_uid="uid",
        version=f"{MODEL}/versions/1.2.0",
        from_stage=before,
        to_stage=after,
        cause=cause,
        caused_by=0,
        reason=reason,
        actor=JOB if after is Stage.PRODUCTION else ADA,
        start_us=_START_US + start,
        end_us=None if end is None else _START_US + end,
    )


def sealed(payload: bytes, key: Ed25519PrivateKey = KEY, payload_type: str = IN_TOTO) -> bytes:
    """An envelope around a payload, signed."""
    signature = key.sign(signed_bytes(payload_type, payload))
    return Envelope(payload_type, payload, key_id(key.public_key()), signature).encode()


@cache
def certificate() -> bytes:
    """The certificate of the version."""
    return sealed(write_statement(subject()))


def resigned(**changes: object) -> bytes:
    """A certificate with some members of its predicate changed, signed all the same."""
    statement = json.loads(write_statement(subject()))
    statement["predicate"].update(changes)
    return sealed(json.dumps(statement).encode())


def put_files(folder: Path) -> Path:
    """Write the version's files below a folder."""
    for path, content in FILES.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder
