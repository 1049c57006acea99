"""Requests for promotions as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.model_tables import who
from studbook.cli.references import last_segment, short_version
from studbook.registry.v1.policy_pb2 import RuleOutcome
from studbook.registry.v1.review_service_pb2 import ReviewDecision, TransitionRequestState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.registry.v1.policy_pb2 import RuleResult
    from studbook.registry.v1.review_service_pb2 import Review, TransitionRequest


def print_requests(requests: Iterable[TransitionRequest]) -> None:
    """One line for each request."""
    rows = (
        (
            last_segment(request.name),
            short_version(request.version),
            state_text(request),
            _approved(request),
            output.format_second(request.create_time),
            who(request.requester),
            request.reason or output.MISSING,
        )
        for request in requests
    )
    output.print_table(("REQUEST", "VERSION", "STATE", "APPROVALS", "MADE", "BY", "REASON"), rows)


def print_each(requests: Iterable[TransitionRequest]) -> None:
    """Requests one after the other, with all that is known of them."""
    for request in requests:
        print_request(request)


def print_request(request: TransitionRequest) -> None:
    """A request, its reviews and the rules that they are for."""
    fields = [
        ("Request", last_segment(request.name)),
        ("Version", short_version(request.version)),
        ("State", state_text(request)),
        ("Asked", f"{output.format_time(request.create_time)} by {who(request.requester)}"),
        ("Reason", request.reason),
    ]
    if request.HasField("end_time"):
        fields.append(("Ended", output.format_time(request.end_time)))
    if request.reviewed_digest:
        fields.append(("Digest to review", request.reviewed_digest))
    output.print_fields(fields)
    if request.approvals:
        output.print_heading("Approvals")
        output.print_table(("RULE", "OUTCOME", "WHY"), map(_rule_row, request.approvals))
    if request.reviews:
        output.print_heading("Reviews")
        output.print_table(
            ("WHEN", "BY", "DECISION", "COUNTS FOR", "COMMENT"), map(_review_row, request.reviews)
        )


def state_text(request: TransitionRequest) -> str:
    """How it stands, as one word."""
    name = TransitionRequestState.Name(request.state)
    return name.removeprefix("TRANSITION_REQUEST_STATE_").lower()


def _approved(request: TransitionRequest) -> str:
    passed = sum(rule.outcome == RuleOutcome.RULE_OUTCOME_PASS for rule in request.approvals)
    return f"{passed} of {len(request.approvals)}" if request.approvals else output.MISSING


def _rule_row(rule: RuleResult) -> tuple[str, str, str]:
    outcome = RuleOutcome.Name(rule.outcome).removeprefix("RULE_OUTCOME_").lower()
    return f"{last_segment(rule.policy)}/{last_segment(rule.rule)}", outcome, rule.message


def _review_row(review: Review) -> tuple[str, str, str, str, str]:
    decision = ReviewDecision.Name(review.decision).removeprefix("REVIEW_DECISION_").lower()
    counts = ", ".join(last_segment(rule) for rule in review.counts_for)
    if review.counts_not_because:
        counts = f"nothing: {review.counts_not_because}"
    return (
        output.format_time(review.create_time),
        who(review.reviewer),
        decision,
        counts or output.MISSING,
        review.comment or output.MISSING,
    )
