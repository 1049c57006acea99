"""What a certificate says of a version: an in-toto statement, as canonical JSON.

The members, their order aside, are described in docs/certificates.md and must stay what they are
as long as the predicate type does. Numbers with a fraction are written as texts, in the shortest
decimal form that gives the same double again, because canonical JSON has no place for NaN.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from registry_service.canonical_json import canonical_json
from registry_service.records import Cause
from service_chassis.principal_message import principal_message
from studbook.certificates.statement import PREDICATE_TYPE, STATEMENT_TYPE
from studbook.identity.v1 import principal_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.timestamp_pb2 import Timestamp

    from registry_service.canonical_json import Json, JsonObject
    from registry_service.ledger import Entry, Head
    from registry_service.records import Stay, Version
    from registry_service.store.lineage_store import Evidence
    from studbook.registry.v1 import lineage_pb2


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_NUMBER = 2**53 - 1
# Members of a ledger entry that the statement has elsewhere.
_SAID_ELSEWHERE = frozenset(
    {"version_uid", "version_digest", "cause", "before", "after", "effective_time"}
)


@dataclass(frozen=True, slots=True)
class Subject:
    """All that the registry knows of a version, read in one transaction.

    Attributes:
        lineage_digest: SHA-256 over the stored bytes of the lineage.
        evidence: The ledger entries of the stays, by position.
        approvals: The ledger entries of the approvals that these rest on, by position.
        head: Where the ledger ended.
        head_us: Time of its last entry.
    """

    version: Version
    lineage: lineage_pb2.Lineage
    lineage_digest: str
    stays: tuple[Stay, ...]
    evidence: Mapping[int, Evidence]
    approvals: Mapping[int, Entry]
    head: Head
    head_us: int


def write_statement(subject: Subject) -> bytes:
    """The statement about a version."""
    files = subject.version.files
    statement: JsonObject = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": file.path, "digest": {"sha256": file.digest}} for file in files],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "version": _version(subject.version),
            "run": _run(subject.lineage.run),
            "datasets": [_dataset(dataset) for dataset in subject.lineage.datasets],
            "code": _code(subject.lineage),
            "environment": _environment(subject.lineage),
            "parents": [_parent(parent) for parent in subject.lineage.parents],
            "lineage": {
                "digest": f"sha256:{subject.lineage_digest}",
                "snapshotTime": _timestamp(subject.lineage.snapshot_time),
            },
            "stages": [
                _stay(stay, subject.evidence[stay.position], subject.approvals)
                for stay in subject.stays
            ],
            "ledger": {
                "position": subject.head.position,
                "hash": subject.head.hash.hex(),
                "time": _time(subject.head_us),
            },
        },
    }
    return canonical_json(statement).encode()


def _version(version: Version) -> JsonObject:
    return {
        "name": version.name,
        "uid": version.uid,
        "number": version.number,
        "digest": f"sha256:{version.digest}",
        "description": version.description,
        "tags": version.tags,
        "registeredBy": _principal(principal_message(version.creator)),
        "registrationTime": _time(version.create_us),
        "files": [
            {
                "path": file.path,
                "digest": f"sha256:{file.digest}",
                "sizeBytes": _number(file.size_bytes),
                "mediaType": file.media_type,
            }
            for file in version.files
        ],
    }


def _run(run: lineage_pb2.LineageRun) -> JsonObject:
    return {
        "name": run.name,
        "uid": run.uid,
        "displayName": run.display_name,
        "state": run.state,
        "createdBy": _principal(run.creator),
        "startTime": _timestamp(run.start_time) if run.HasField("start_time") else None,
        "endTime": _timestamp(run.end_time) if run.HasField("end_time") else None,
        "parameters": [_param(param) for param in run.params],
        "metrics": [_metric(metric) for metric in run.metrics],
        "tags": dict(run.tags),
    }


def _param(param: lineage_pb2.LineageParam) -> JsonObject:
    kind = param.WhichOneof("value")
    if kind is None:
        return {"key": param.key, "type": "none", "value": ""}
    value = getattr(param, kind)
    match value:
        case bool():
            text = "true" if value else "false"
        case float():
            text = _double(value)
        case _:
            text = str(value)
    return {"key": param.key, "type": kind.removesuffix("_value"), "value": text}


def _metric(metric: lineage_pb2.LineageMetric) -> JsonObject:
    return {
        "key": metric.key,
        "last": _double(metric.last),
        "min": _double(metric.min),
        "max": _double(metric.max),
        "mean": _double(metric.mean),
        "count": _number(metric.count),
        "lastStep": _number(metric.last_step),
    }


def _dataset(dataset: lineage_pb2.LineageDataset) -> JsonObject:
    return {
        "name": dataset.name,
        "role": dataset.role,
        "digest": dataset.digest,
        "format": dataset.format,
        "source": dataset.source,
        "rowCount": _number(dataset.row_count) if dataset.row_count >= 0 else None,
        "sizeBytes": _number(dataset.size_bytes),
        "columns": [
            {"name": column.name, "type": column.type, "nullCount": _number(column.null_count)}
            for column in dataset.columns
        ],
    }


def _code(lineage: lineage_pb2.Lineage) -> Json:
    if not lineage.HasField("code"):
        return None
    code = lineage.code
    return {
        "repository": code.repository,
        "commit": code.commit,
        "branch": code.branch,
        "dirty": code.dirty,
        "diffDigest": code.diff_digest,
        "entryPoint": code.entry_point,
    }


def _environment(lineage: lineage_pb2.Lineage) -> Json:
    if not lineage.HasField("environment"):
        return None
    environment = lineage.environment
    return {
        "pythonVersion": environment.python_version,
        "platform": environment.platform,
        "machine": environment.machine,
        "packages": dict(environment.packages),
        "accelerators": list(environment.accelerators),
        "containerImageDigest": environment.container_image_digest,
    }


def _parent(parent: lineage_pb2.LineageParent) -> JsonObject:
    return {"version": parent.version, "uri": parent.uri, "digest": parent.digest}


def approvals_in(evidence: Evidence) -> list[int]:
    """Positions of the ledger entries of the approvals that a transition rests on."""
    found: set[int] = set()
    for result in json.loads(evidence.content_json).get("rules", ()):
        if result["rule"].startswith("approvals/"):
            positions = result["figures"].get("ledger_positions", "")
            found.update(int(position) for position in positions.split(", ") if position)
    return sorted(found)


def _stay(stay: Stay, evidence: Evidence, approvals: Mapping[int, Entry]) -> JsonObject:
    """A stay in a stage, with the decision that led to it as the ledger has it."""
    decision: JsonObject = {}
    if stay.cause is not Cause.REGISTERED:
        content = json.loads(evidence.content_json)
        decision = {key: content[key] for key in content.keys() - _SAID_ELSEWHERE}
    return {
        "stage": stay.to_stage.name,
        "startTime": _time(stay.start_us),
        "endTime": None if stay.end_us is None else _time(stay.end_us),
        "cause": stay.cause.name,
        "causedBy": stay.caused_by,
        "reason": stay.reason,
        "by": _principal(principal_message(stay.actor)),
        "decision": decision,
        "approvals": [_approval(approvals[position]) for position in approvals_in(evidence)],
        "ledgerPosition": stay.position,
        "ledgerHash": evidence.hash.hex(),
    }


def _approval(entry: Entry) -> JsonObject:
    return {
        "by": _principal(principal_message(entry.actor)),
        "time": _time(entry.create_us),
        "comment": entry.reason,
        "ledgerPosition": entry.position,
        "ledgerHash": entry.hash.hex(),
    }


def _principal(principal: principal_pb2.Principal) -> JsonObject:
    return {
        "id": principal.id,
        "kind": _kind(principal.kind),
        "displayName": principal.display_name,
        "issuer": principal.issuer,
        "subject": principal.subject,
        "pipelineClaims": dict(principal.pipeline_claims),
    }


def _kind(kind: principal_pb2.PrincipalKind.ValueType) -> str:
    if kind in principal_pb2.PrincipalKind.values():
        return principal_pb2.PrincipalKind.Name(kind).removeprefix("PRINCIPAL_KIND_")
    return str(int(kind))  # written by a newer tracking service


def _timestamp(timestamp: Timestamp) -> str:
    return _time(timestamp.seconds * 1_000_000 + timestamp.nanos // 1000)


def _time(us: int) -> str:
    moment = (_EPOCH + timedelta(microseconds=us)).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='microseconds')}Z"


def _double(value: float) -> str:
    """The shortest digits that give the same double again; what is no number as in proto JSON."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"


def _number(value: int) -> int | str:
    """A number that every reader of JSON can hold, or else its digits."""
    return value if abs(value) <= _LARGEST_NUMBER else str(value)
