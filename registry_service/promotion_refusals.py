"""Refusals of moves into Production by promotion policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_chassis.errors import Code, StudbookError, UnmetCondition, failed_precondition

if TYPE_CHECKING:
    from registry_service.canonical_json import JsonObject
    from registry_service.policy_evaluation import Verdict
    from registry_service.policy_records import Policy, RuleResult
    from registry_service.records import Version

# gRPC drops messages beyond a few kilobytes; the violations have all rules.
_LONGEST_LIST = 1000


class PolicyNotMetError(StudbookError):
    """A version that its policies keep out of Production."""

    def __init__(self, version: Version, verdict: Verdict) -> None:
        unmet = verdict.unmet
        rules = "1 rule is" if len(unmet) == 1 else f"{len(unmet)} rules are"
        names = ", ".join(map(_name, unmet))[:_LONGEST_LIST]
        super().__init__(
            Code.FAILED_PRECONDITION,
            "POLICY_NOT_MET",
            f"{version.name} may not enter Production: {rules} not met, {names}.",
            metadata={"version": version.name, "rules": names},
            conditions=tuple(
                UnmetCondition("POLICY_NOT_MET", _name(one), one.message) for one in unmet
            ),
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


def _name(result: RuleResult) -> str:
    return f"{result.policy.rpartition('/')[2]}/{result.rule}"
