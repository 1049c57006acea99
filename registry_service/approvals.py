"""Approvals: which reviews of a request count, and whether they suffice.

People approve an exact version beside what is in Production, under the policies of that moment. A
digest over all of that is kept with each review, and a review counts only while the digest is
still the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from registry_service.approval_matching import assign
from registry_service.canonical_json import canonical_json
from registry_service.policy_records import RuleOutcome, RuleResult
from registry_service.transition_request_records import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry_service.gate_facts import Facts
    from registry_service.policy_records import ApprovalRule, Policy
    from registry_service.records import Version
    from registry_service.transition_request_records import Review, TransitionRequest

PERSON = "user"
STALE = "candidate, policy or Production changed since"
LAPSED = "it has lapsed"
_ERASED = "who gave it was erased"


@dataclass(frozen=True, slots=True)
class Approval:
    """How one review turned out.

    Attributes:
        counts_for: The rules it is counted for, `{policy}/{rule}`.
        not_because: Why it counts for nothing; empty when it counts.
    """

    review: Review
    counts_for: tuple[str, ...]
    not_because: str


@dataclass(frozen=True, slots=True)
class RuleMet:
    """How one approval rule stands: who counts for it, and what is known of the others."""

    policy: Policy
    rule: ApprovalRule
    by: tuple[Review, ...]

    @property
    def met(self) -> bool:
        """Whether enough people approved."""
        return len(self.by) >= self.rule.count

    @property
    def result(self) -> RuleResult:
        """How the rule turned out, as all rules of a policy do."""
        # By position: people can be erased, and what stands in the ledger cannot be changed.
        where = ", ".join(str(review.position) for review in self.by)
        given = f"{len(self.by)} of {self.rule.count} approved"
        given += f", ledger {'entry' if len(self.by) == 1 else 'entries'} {where}" if where else ""
        may = f" May approve: {', '.join(self.rule.approvers)}." if self.rule.approvers else ""
        return RuleResult(
            policy=self.policy.name,
            revision=self.policy.revision,
            rule=f"approvals/{self.rule.id}",
            title=f"approval by {_people(self.rule.count)}",
            outcome=RuleOutcome.PASS if self.met else RuleOutcome.FAIL,
            message=f"{given}." + ("" if self.met else may),
            figures={
                "approvals": str(len(self.by)),
                "wanted": str(self.rule.count),
                "ledger_positions": where,
            },
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """How the approvals of a version stand."""

    rules: tuple[RuleMet, ...]
    approvals: tuple[Approval, ...] = field(default=())

    @property
    def suffices(self) -> bool:
        """Whether every rule is met."""
        return all(rule.met for rule in self.rules)

    def lost_to(self, why: str) -> bool:
        """Whether an approval counts for nothing, for this reason."""
        return any(approval.not_because == why for approval in self.approvals)


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def reviewed_digest(
    candidate: Facts, production: Version | None, policies: Sequence[Policy]
) -> str:
    """Digest of what a review is about, `sha256:{hex}`."""
    text = canonical_json(
        {
            "lineage": candidate.lineage_digest,
            "policies": {policy.name: policy.digest for policy in policies},
            "production": "" if production is None else production.uid,
            "tags": dict(candidate.version.tags),
            "version": candidate.version.uid,
            "version_digest": candidate.version.digest,
        }
    )
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def standing(
    request: TransitionRequest | None,
    policies: Sequence[Policy],
    *,
    author: str,
    digest: str,
    now_us: int,
) -> Standing:
    """Which reviews of a request count for which rules.

    Args:
        request: The open request of the version, if there is one.
        policies: Those that cover the model.
        author: Id of the principal who made the run.
        digest: `reviewed_digest` of the present.
        now_us: The present moment.
    """
    reviews = () if request is None else request.reviews
    approving = [review for review in reviews if review.decision is Decision.APPROVE]
    requester = "" if request is None else request.requester.id
    rules: list[RuleMet] = []
    counts: dict[str, list[str]] = {}
    reasons: dict[str, set[str]] = {review.reviewer.id: set() for review in approving}
    by_id = {review.reviewer.id: review for review in approving}
    for policy in policies:
        eligible: dict[str, list[str]] = {}
        for rule in policy.approval_rules:
            eligible[rule.id] = []
            for review in approving:
                lapsed = now_us >= review.create_us + policy.approval_lifetime_us
                why = _not_because(review, rule, digest, author, requester, lapsed=lapsed)
                if why:
                    reasons[review.reviewer.id].add(why)
                else:
                    eligible[rule.id].append(review.reviewer.id)
        wanted = {rule.id: rule.count for rule in policy.approval_rules}
        found = assign(wanted, eligible)
        for rule in policy.approval_rules:
            rules.append(RuleMet(policy, rule, tuple(by_id[one] for one in found[rule.id])))
            for person in found[rule.id]:
                counts.setdefault(person, []).append(f"{policy.name}/{rule.id}")
    return Standing(tuple(rules), _approvals(approving, counts, reasons))


def _approvals(
    approving: Sequence[Review],
    counts: Mapping[str, Sequence[str]],
    reasons: Mapping[str, set[str]],
) -> tuple[Approval, ...]:
    found = []
    for review in approving:
        person = review.reviewer.id
        counted = tuple(counts.get(person, ()))
        why = "; ".join(sorted(reasons[person])) or "no rule needs it"
        found.append(Approval(review, counted, "" if counted else why))
    return tuple(found)


def _not_because(
    review: Review, rule: ApprovalRule, digest: str, author: str, requester: str, *, lapsed: bool
) -> str:
    """Why a review does not count for a rule; empty when it does."""
    person = review.reviewer.id
    members = {person, *review.groups}
    checks = (
        (review.reviewer.kind.lower() != PERSON, _ERASED),
        (review.reviewed_digest != digest, STALE),
        (lapsed, LAPSED),
        (person == author and not rule.author_may_approve, "the reviewer made the run"),
        (
            person == requester and not rule.requester_may_approve,
            "the reviewer asked for the transition",
        ),
        (
            bool(rule.approvers) and members.isdisjoint(rule.approvers),
            f"the reviewer is none of {', '.join(rule.approvers)}",
        ),
    )
    return next((why for holds, why in checks if holds), "")
