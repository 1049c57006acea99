"""What a caller holds, as the contract has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_chassis.timestamps import to_timestamp
from studbook.identity.v1 import identity_service_pb2 as messages

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from gateway.holdings import Denial, Grant, Verdict


def grant_message(grant: Grant) -> messages.Grant:
    """A grant."""
    return messages.Grant(
        role=grant.role,
        member=grant.member,
        resource=grant.resource,
        permissions=grant.permissions,
        expire_time=_end(grant),
    )


def denial_message(denial: Denial) -> messages.Denial:
    """A denial."""
    return messages.Denial(
        member=denial.member,
        resource=denial.resource,
        permissions=denial.permissions,
        expire_time=_end(denial),
    )


def verdict_message(verdict: Verdict) -> messages.TestAccessResponse:
    """An answer to the question whether something is allowed."""
    return messages.TestAccessResponse(
        allowed=verdict.allowed,
        grant=grant_message(verdict.grant) if verdict.grant else None,
        denial=denial_message(verdict.denial) if verdict.denial else None,
        explanation=verdict.explanation,
    )


def _end(entry: Grant | Denial) -> Timestamp | None:
    return to_timestamp(int(entry.until_s * 1_000_000)) if entry.ends else None
