"""Whether a version may enter Production, by all policies that cover its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.approvals import reviewed_digest, standing
from registry_service.gate_facts import NO_VERSION, facts_of
from registry_service.gates import Sides, evaluate_gate
from registry_service.policy_rules import (
    completeness_results,
    freeze_results,
    staging_result,
)
from registry_service.records import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.approvals import Standing
    from registry_service.gate_facts import Facts
    from registry_service.policy_records import Policy, RuleResult
    from registry_service.records import Version
    from registry_service.store import RegistryStore


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policies say of a move into Production."""

    policies: Sequence[Policy] = ()
    results: Sequence[RuleResult] = ()

    @property
    def unmet(self) -> list[RuleResult]:
        """The rules that keep the version out."""
        return [result for result in self.results if result.blocks]


NO_POLICY = Verdict()


def evaluate(
    store: RegistryStore, candidate: Version, production: Version | None, cause: Cause
) -> Verdict:
    """How all rules turn out for a move into Production.

    Args:
        store: The tables, in the transaction that makes the move.
        candidate: The version that is to enter.
        production: The version that is there.
        cause: A ROLLBACK must meet gates alone, and only those of policies that want it.
    """
    policies = store.policies.covering(candidate.model)
    if cause is Cause.ROLLBACK:
        policies = [policy for policy in policies if policy.gates_on_rollback]
    if not policies:
        return NO_POLICY
    seen = facts_of(candidate, store.versions.lineage(candidate))
    present = (
        NO_VERSION
        if production is None
        else facts_of(production, store.versions.lineage(production)).values
    )
    sides = Sides(seen.values, present)
    results = [evaluate_gate(policy, gate, sides) for policy in policies for gate in policy.gates]
    if cause is not Cause.ROLLBACK:
        results += _beside_gates(store, seen, policies)
        if any(policy.approval_rules for policy in policies):
            stands, _ = approvals(store, seen, production, policies)
            results += [rule.result for rule in stands.rules]
    return Verdict(policies, results)


def approvals(
    store: RegistryStore, seen: Facts, production: Version | None, policies: Sequence[Policy]
) -> tuple[Standing, str]:
    """How the approvals of a version stand, and the digest of what they are about.

    Args:
        store: The tables.
        seen: The version.
        production: The version that is in Production.
        policies: Those that cover the model.
    """
    digest = reviewed_digest(seen, production, policies)
    stands = standing(
        store.requests.open_of(seen.version.uid),
        policies,
        author=seen.author,
        digest=digest,
        now_us=store.now_us(),
    )
    return stands, digest


def _beside_gates(
    store: RegistryStore, seen: Facts, policies: Sequence[Policy]
) -> list[RuleResult]:
    now = store.now_us()
    return [
        result
        for policy in policies
        for found in (
            completeness_results(policy, seen),
            freeze_results(policy, now),
            staging_result(policy, seen, now),
        )
        for result in found
    ]
