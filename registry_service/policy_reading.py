"""A policy as somebody wants to set it: its shape checked, its expressions too.

Each function raises INVALID_ARGUMENT naming the field, its value and the remedy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from registry_service.gate_expressions import ExpressionError, check
from registry_service.policy_records import (
    WEEK_US,
    ApprovalRule,
    BreakGlass,
    Completeness,
    Freeze,
    Gate,
    GateMode,
    OnMissing,
    Policy,
)
from service_chassis.errors import invalid_field, required_field
from service_chassis.resource_names import POLICY
from service_chassis.timestamps import from_timestamp
from service_chassis.validation import LONGEST_DESCRIPTION, check_count, check_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import IntEnum

    from google.protobuf.duration_pb2 import Duration

    from studbook.registry.v1 import policy_pb2

Choice = TypeVar("Choice", bound="IntEnum")

_MOST_PATTERNS = 64
_MOST_GATES = 64
_MOST_ROLES = 16
_MOST_RULES = 16
_MOST_APPROVERS = 64
_MOST_FREEZES = 64
_MOST_PEOPLE = 16
_LONGEST_TITLE = 256
_LONGEST_APPROVER = 512
_LEAST_REASON = 20
_LONGEST_REASON = 4096
_LONGEST_US = 366 * 24 * 3600 * 1_000_000
# Whole numbers in canonical JSON go up to 2**53.
_LATEST_US = 2**53 - 1
_RULE_ID = re.compile(r"[a-z0-9-]{1,63}")
_PATTERN = re.compile(r"[a-z0-9._*-]{1,128}")
_APPROVER = re.compile(r"(group|user):[^:]+:.+")


def read_policy_message(message: policy_pb2.PromotionPolicy) -> Policy:
    """The policy that a message asks for."""
    POLICY.parse(message.name, "policy.name")
    completeness = message.completeness
    check_count(completeness.dataset_roles, "policy.completeness.dataset_roles", _MOST_ROLES)
    for place, role in enumerate(completeness.dataset_roles):
        field = f"policy.completeness.dataset_roles[{place}]"
        check_text(role, field, _LONGEST_TITLE, required=True)
    return Policy(
        name=message.name,
        revision=0,
        digest="",
        models=_patterns(message.models),
        description=check_text(message.description, "policy.description", LONGEST_DESCRIPTION),
        gates=_gates(message.gates),
        completeness=Completeness(
            completeness.clean_commit,
            tuple(completeness.dataset_roles),
            completeness.environment,
            completeness.signature,
        ),
        approval_rules=_approval_rules(message.approval_rules),
        approval_lifetime_us=_length(message.approval_lifetime, "policy.approval_lifetime", least=1)
        if message.HasField("approval_lifetime")
        else WEEK_US,
        freezes=_freezes(message.freezes),
        min_time_in_staging_us=_length(message.min_time_in_staging, "policy.min_time_in_staging"),
        gates_on_rollback=message.gates_on_rollback,
        break_glass=_break_glass(message.break_glass),
    )


def _patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    check_count(patterns, "policy.models", _MOST_PATTERNS, least=1)
    for place, pattern in enumerate(patterns):
        if not _PATTERN.fullmatch(pattern):
            raise invalid_field(
                f"policy.models[{place}]",
                pattern,
                "give the id of a model of this workspace, in which * stands for any characters",
            )
    return tuple(patterns)


def _gates(gates: Sequence[policy_pb2.Gate]) -> tuple[Gate, ...]:
    check_count(gates, "policy.gates", _MOST_GATES)
    _check_ids([gate.id for gate in gates], "policy.gates")
    found = []
    for place, gate in enumerate(gates):
        field = f"policy.gates[{place}]"
        if not gate.expression:
            raise required_field(f"{field}.expression", "give a condition in CEL")
        try:
            check(gate.expression)
        except ExpressionError as error:
            raise invalid_field(
                f"{field}.expression", gate.expression, f"gate {gate.id}: {error}"
            ) from error
        found.append(
            Gate(
                id=gate.id,
                expression=gate.expression,
                title=check_text(gate.title, f"{field}.title", _LONGEST_TITLE),
                mode=_choice(GateMode, gate.mode, f"{field}.mode"),
                on_missing=_choice(OnMissing, gate.on_missing, f"{field}.on_missing"),
            )
        )
    return tuple(found)


def _approval_rules(rules: Sequence[policy_pb2.ApprovalRule]) -> tuple[ApprovalRule, ...]:
    check_count(rules, "policy.approval_rules", _MOST_RULES)
    _check_ids([rule.id for rule in rules], "policy.approval_rules")
    found = []
    for place, rule in enumerate(rules):
        field = f"policy.approval_rules[{place}]"
        if not 1 <= rule.count <= _MOST_PEOPLE:
            raise invalid_field(f"{field}.count", rule.count, f"give 1 to {_MOST_PEOPLE}")
        check_count(rule.approvers, f"{field}.approvers", _MOST_APPROVERS)
        for number, approver in enumerate(rule.approvers):
            if len(approver) > _LONGEST_APPROVER or not _APPROVER.fullmatch(approver):
                raise invalid_field(
                    f"{field}.approvers[{number}]",
                    approver,
                    "give group:ISSUER:NAME or user:ISSUER:SUBJECT, as in access.yaml",
                )
        found.append(
            ApprovalRule(
                id=rule.id,
                count=rule.count,
                approvers=tuple(rule.approvers),
                author_may_approve=rule.author_may_approve,
                requester_may_approve=rule.requester_may_approve,
            )
        )
    return tuple(found)


def _freezes(freezes: Sequence[policy_pb2.Freeze]) -> tuple[Freeze, ...]:
    check_count(freezes, "policy.freezes", _MOST_FREEZES)
    found = []
    for place, freeze in enumerate(freezes):
        field = f"policy.freezes[{place}]"
        for name in ("start_time", "end_time"):
            if not freeze.HasField(name):
                raise required_field(f"{field}.{name}")
        start, end = from_timestamp(freeze.start_time), from_timestamp(freeze.end_time)
        for name, us in (("start_time", start), ("end_time", end)):
            if not 0 <= us <= _LATEST_US:
                raise invalid_field(f"{field}.{name}", us, "give a time in the years 1970 to 2254")
        if end <= start:
            raise invalid_field(f"{field}.end_time", end, "it must be later than start_time")
        reason = check_text(freeze.reason, f"{field}.reason", _LONGEST_TITLE)
        found.append(Freeze(start, end, reason))
    return tuple(found)


def _break_glass(message: policy_pb2.BreakGlass) -> BreakGlass:
    least = message.min_reason_length
    if not 0 <= least <= _LONGEST_REASON:
        raise invalid_field(
            "policy.break_glass.min_reason_length", least, f"give 0 to {_LONGEST_REASON}"
        )
    return BreakGlass(message.allowed, least or _LEAST_REASON)


def _length(duration: Duration, field: str, least: int = 0) -> int:
    us = duration.seconds * 1_000_000 + duration.nanos // 1000
    if not least <= us <= _LONGEST_US:
        raise invalid_field(field, f"{duration.ToJsonString()}", "give a length of up to 366 days")
    return us


def _choice(kind: type[Choice], number: int, field: str) -> Choice:
    try:
        return kind(number or 1)
    except ValueError as error:
        names = ", ".join(one.name for one in kind)
        raise invalid_field(field, number, f"give one of {names}") from error


def _check_ids(ids: Sequence[str], field: str) -> None:
    for place, one in enumerate(ids):
        if not _RULE_ID.fullmatch(one):
            raise invalid_field(f"{field}[{place}].id", one, "give 1 to 63 of a-z, 0-9 and -")
        if one in ids[:place]:
            raise invalid_field(f"{field}[{place}].id", one, "another one has this id already")
