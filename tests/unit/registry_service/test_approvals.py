"""Which approvals count: of whom, for what, until when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_service.approvals import LAPSED, STALE, standing
from registry_service.ledger import ERASED
from registry_service.policy_records import ApprovalRule, Policy, RuleOutcome
from registry_service.transition_request_records import Decision, Review, TransitionRequest
from service_chassis.caller import Principal

NOW = 1_770_000_000_000_000
DAY = 24 * 3600 * 1_000_000
DIGEST = "sha256:now"
POLICY = "workspaces/main/policies/production"


def person(name: str) -> Principal:
    return Principal(id=f"user:corp:{name}", kind="user", display_name=name.title())


def approval(name: str, *groups: str, at: int = NOW - 1000, digest: str = DIGEST) -> Review:
    members = tuple(f"group:corp:{group}" for group in groups)
    position = 10 + at % 97 + len(name)
    return Review(position, person(name), members, Decision.APPROVE, "", digest, at)


def request(*reviews: Review) -> TransitionRequest:
    return TransitionRequest(
        position=1,
        model="workspaces/main/models/wine",
        version_uid="v",
        version="workspaces/main/models/wine/versions/1.0.0",
        requester=person("requester"),
        reason="",
        create_us=NOW - DAY,
        every_review=reviews,
    )


def policy(*rules: ApprovalRule, lifetime_us: int = DAY) -> Policy:
    return Policy(POLICY, 1, "d", ("*",), approval_rules=rules, approval_lifetime_us=lifetime_us)


def rule(count: int = 1, *groups: str, name: str = "quality") -> ApprovalRule:
    return ApprovalRule(name, count, tuple(f"group:corp:{group}" for group in groups))


def met(*reviews: Review, rules: tuple[ApprovalRule, ...] = (rule(),), now: int = NOW) -> bool:
    return standing(
        request(*reviews), [policy(*rules)], author="user:corp:author", digest=DIGEST, now_us=now
    ).suffices


def test_without_a_request_nothing_is_approved() -> None:
    found = standing(None, [policy(rule(2))], author="", digest=DIGEST, now_us=NOW)
    assert not found.suffices
    assert found.rules[0].result.outcome is RuleOutcome.FAIL
    assert "0 of 2" in found.rules[0].result.message


def test_a_result_names_entries_of_the_ledger_and_no_people() -> None:
    # It is entered in the ledger, where names could not be erased.
    found = standing(
        request(approval("brunhilde"), approval("casimir")),
        [policy(rule(2))],
        author="",
        digest=DIGEST,
        now_us=NOW,
    )
    result = found.rules[0].result
    positions = [str(review.position) for review in found.rules[0].by]
    assert result.figures["ledger_positions"] == ", ".join(positions)
    assert not any(name in str(result).lower() for name in ("brunhilde", "casimir"))


def test_without_a_rule_nothing_is_asked() -> None:
    assert standing(None, [policy()], author="", digest=DIGEST, now_us=NOW).suffices


def test_distinct_people_are_counted() -> None:
    assert not met(approval("bo"), approval("bo", at=NOW - 1), rules=(rule(2),))
    assert met(approval("bo"), approval("cy"), rules=(rule(2),))


@pytest.mark.parametrize("name", ["author", "requester"])
def test_neither_author_nor_requester_counts_unless_a_rule_says_so(name: str) -> None:
    assert not met(approval(name))
    allowed = replace(rule(), author_may_approve=True, requester_may_approve=True)
    assert met(approval(name), rules=(allowed,))


def test_only_members_of_the_named_groups_count() -> None:
    assert not met(approval("bo", "sales"), rules=(rule(1, "security", "quality"),))
    assert met(approval("bo", "quality"), rules=(rule(1, "security", "quality"),))
    assert met(approval("bo"), rules=(ApprovalRule("r", 1, ("user:corp:bo",)),))


def test_somebody_in_two_groups_fills_the_place_that_nobody_else_can() -> None:
    rules = (rule(1, "quality", name="a"), rule(1, "security", name="b"))
    both, quality = approval("bo", "quality", "security"), approval("cy", "quality")
    assert met(both, quality, rules=rules)
    assert met(quality, both, rules=rules)
    assert not met(both, rules=rules)


def test_an_approval_of_something_else_is_stale() -> None:
    found = standing(
        request(approval("bo", digest="sha256:then")),
        [policy(rule())],
        author="",
        digest=DIGEST,
        now_us=NOW,
    )
    assert not found.suffices
    assert found.lost_to(STALE)
    assert found.approvals[0].not_because == STALE


def test_an_approval_lapses_to_the_microsecond() -> None:
    given = approval("bo", at=NOW)
    assert met(given, now=NOW + DAY - 1)
    assert not met(given, now=NOW + DAY)
    late = standing(request(given), [policy(rule())], author="", digest=DIGEST, now_us=NOW + DAY)
    assert late.lost_to(LAPSED)


def test_the_latest_review_of_a_person_is_what_counts() -> None:
    stale = approval("bo", digest="sha256:then", at=NOW - 500)
    assert met(replace(stale, position=5), replace(approval("bo"), position=6))
    assert not met(replace(approval("bo"), position=5), replace(stale, position=6))


def test_the_approval_of_an_erased_person_no_longer_counts() -> None:
    assert not met(replace(approval("bo"), reviewer=ERASED))


def test_each_policy_is_met_by_itself() -> None:
    other = replace(policy(rule(1, name="owners")), name="workspaces/main/policies/owners")
    found = standing(
        request(approval("bo")), [policy(rule()), other], author="", digest=DIGEST, now_us=NOW
    )
    assert found.suffices
    assert found.approvals[0].counts_for == (f"{POLICY}/quality", f"{other.name}/owners")
