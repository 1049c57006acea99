"""Refusals of moves into Production by promotion policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_chassis.errors import Code, StudbookError, UnmetCondition, failed_precondition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.canonical_json import JsonObject
    from registry_service.policy_evaluation import Verdict
    from registry_service.policy_records import Policy, RuleResult
    from registry_service.records import Version

# gRPC drops all that is said of an error when it is beyond 8 kB. The ledger and ExplainTransition
# have every rule with all its figures.
_BYTES_OF_NAMES = 1000
_BYTES_OF_CONDITIONS = 3000
# As many as a status has room for.
_MOST_CONDITIONS = 20


class PolicyNotMetError(StudbookError):
    """A version that its policies keep out of Production."""

    def __init__(self, version: Version, verdict: Verdict) -> None:
        unmet = verdict.unmet
        rules = "1 rule is" if len(unmet) == 1 else f"{len(unmet)} rules are"
        names = _cut(", ".join(map(_name, unmet)), _BYTES_OF_NAMES)
        super().__init__(
            Code.FAILED_PRECONDITION,
            "POLICY_NOT_MET",
            f"{version.name} may not enter Production: {rules} not met, {names}.",
            metadata={"version": version.name, "rules": names},
            conditions=_conditions(unmet),
        )
        self.verdict = verdict


def break_glass_refused(policy: Policy, reason: str) -> StudbookError:
    """FAILED_PRECONDITION, because a policy does not let itself be passed by, or not like this."""
    least = policy.break_glass.min_reason_length
    why = (
        f"{policy.name} asks for a reason of at least {least} characters, this one has "
        f"{len(reason.strip())}."
        if policy.break_glass.allowed
        else f"{policy.name} does not allow to be passed by."
    )
    return failed_precondition(
        "BREAK_GLASS_REFUSED", policy.name, why, policy=policy.name, min_reason_length=str(least)
    )


def words_in_ledger(refusal: StudbookError) -> str:
    """A refusal as the ledger tells it: without a name, which could not be erased from there."""
    principal = refusal.metadata.get("principal", "")
    return refusal.message.replace(principal, "the caller") if principal else refusal.message


def verdict_in_ledger(verdict: Verdict) -> JsonObject:
    """Policies and rules by which a move was decided, as they stand in the ledger."""
    return {
        "policies": [
            {
                "name": policy.name,
                "revision": policy.revision,
                "digest": f"sha256:{policy.digest}",
            }
            for policy in verdict.policies
        ],
        "rules": [
            {
                "policy": result.policy,
                "rule": result.rule,
                "outcome": result.outcome.name,
                "mode": result.mode.name,
                "figures": dict(result.figures),
                "message": result.message,
            }
            for result in verdict.results
        ],
    }


def _conditions(unmet: Sequence[RuleResult]) -> tuple[UnmetCondition, ...]:
    """All rules that are not met, or as many as there is room for, and how many there are more."""
    shown = unmet if len(unmet) <= _MOST_CONDITIONS else unmet[: _MOST_CONDITIONS - 1]
    room = _BYTES_OF_CONDITIONS // len(shown) if shown else 0
    conditions = [
        UnmetCondition("POLICY_NOT_MET", _name(one), _cut(one.message, room - len(_name(one))))
        for one in shown
    ]
    if len(shown) < len(unmet):
        more = (
            f"{len(unmet) - len(shown)} more rules are not met; explain the transition to see all"
        )
        conditions.append(UnmetCondition("POLICY_NOT_MET", "", more))
    return tuple(conditions)


def _cut(text: str, most: int) -> str:
    """As much of a text as fits in so many bytes."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: max(0, most - len("…".encode()))].decode(errors="ignore") + "…"


def _name(result: RuleResult) -> str:
    return f"{result.policy.rpartition('/')[2]}/{result.rule}"
