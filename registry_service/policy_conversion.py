"""Promotion policies and results of rules as messages of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from registry_service.policy_records import WEEK_US
from service_chassis.principal_message import principal_message
from service_chassis.timestamps import to_timestamp
from studbook.registry.v1 import policy_pb2 as messages

if TYPE_CHECKING:
    from registry_service.policy_records import Policy, RuleResult


def to_policy(policy: Policy) -> messages.PromotionPolicy:
    """A policy as the contract shows it."""
    completeness = policy.completeness
    made = messages.PromotionPolicy(
        name=policy.name,
        revision=policy.revision,
        digest=f"sha256:{policy.digest}",
        description=policy.description,
        models=policy.models,
        gates=[
            messages.Gate(
                id=gate.id,
                title=gate.title,
                expression=gate.expression,
                mode=messages.GateMode.Value(f"GATE_MODE_{gate.mode.name}"),
                on_missing=messages.OnMissing.Value(f"ON_MISSING_{gate.on_missing.name}"),
            )
            for gate in policy.gates
        ],
        completeness=messages.Completeness(
            clean_commit=completeness.clean_commit,
            dataset_roles=completeness.dataset_roles,
            environment=completeness.environment,
            signature=completeness.signature,
        ),
        approval_rules=[
            messages.ApprovalRule(
                id=rule.id,
                count=rule.count,
                approvers=rule.approvers,
                author_may_approve=rule.author_may_approve,
                requester_may_approve=rule.requester_may_approve,
            )
            for rule in policy.approval_rules
        ],
        freezes=[
            messages.Freeze(
                start_time=to_timestamp(freeze.start_us),
                end_time=to_timestamp(freeze.end_us),
                reason=freeze.reason,
            )
            for freeze in policy.freezes
        ],
        gates_on_rollback=policy.gates_on_rollback,
        break_glass=messages.BreakGlass(
            allowed=policy.break_glass.allowed,
            min_reason_length=policy.break_glass.min_reason_length,
        ),
        update_time=to_timestamp(policy.update_us or None),
        updater=None if policy.updater is None else principal_message(policy.updater),
        etag=policy.etag if policy.revision else "",
    )
    if policy.approval_lifetime_us != WEEK_US:
        made.approval_lifetime.CopyFrom(_duration(policy.approval_lifetime_us))
    if policy.min_time_in_staging_us:
        made.min_time_in_staging.CopyFrom(_duration(policy.min_time_in_staging_us))
    return made


def to_rule_result(result: RuleResult) -> messages.RuleResult:
    """How a rule turned out, as the contract shows it."""
    return messages.RuleResult(
        policy=result.policy,
        revision=result.revision,
        rule=result.rule,
        title=result.title,
        outcome=messages.RuleOutcome.Value(f"RULE_OUTCOME_{result.outcome.name}"),
        mode=messages.GateMode.Value(f"GATE_MODE_{result.mode.name}"),
        figures=result.figures,
        message=result.message,
        blocks=result.blocks,
    )


def _duration(us: int) -> Duration:
    seconds, rest = divmod(us, 1_000_000)
    return Duration(seconds=seconds, nanos=rest * 1000)
