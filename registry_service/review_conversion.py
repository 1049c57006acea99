"""Requests for transitions as messages of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.approvals import LAPSED, STALE
from registry_service.policy_conversion import to_rule_result
from service_chassis.principal_message import principal_message
from service_chassis.timestamps import to_timestamp
from studbook.registry.v1 import review_service_pb2 as messages

if TYPE_CHECKING:
    from registry_service.approvals import Approval
    from registry_service.transition_request_records import Review
    from registry_service.transition_requests import RequestView

State = messages.TransitionRequestState


def to_request(view: RequestView) -> messages.TransitionRequest:
    """A request as the contract shows it."""
    request, standing = view.request, view.standing
    judged = {} if standing is None else {one.review: one for one in standing.approvals}
    return messages.TransitionRequest(
        name=request.name,
        version=request.version,
        reason=request.reason,
        requester=principal_message(request.requester),
        state=_state(view),
        reviews=[_review(review, judged.get(review)) for review in request.reviews],
        approvals=[]
        if standing is None
        else [to_rule_result(rule.result) for rule in standing.rules],
        reviewed_digest=view.digest,
        create_time=to_timestamp(request.create_us),
        end_time=to_timestamp(request.end_us),
        end_position=request.end_position,
    )


def _state(view: RequestView) -> State.ValueType:
    standing = view.standing
    if view.request.ending is not None:
        return State.Value(f"TRANSITION_REQUEST_STATE_{view.request.ending.name}")
    if standing is None:
        return messages.TRANSITION_REQUEST_STATE_OPEN
    if standing.suffices:
        return messages.TRANSITION_REQUEST_STATE_APPROVED
    if standing.lost_to(STALE):
        return messages.TRANSITION_REQUEST_STATE_STALE
    if standing.lost_to(LAPSED):
        return messages.TRANSITION_REQUEST_STATE_EXPIRED
    return messages.TRANSITION_REQUEST_STATE_OPEN


def _review(review: Review, approval: Approval | None) -> messages.Review:
    return messages.Review(
        reviewer=principal_message(review.reviewer),
        decision=messages.ReviewDecision.Value(f"REVIEW_DECISION_{review.decision.name}"),
        comment=review.comment,
        reviewed_digest=review.reviewed_digest,
        create_time=to_timestamp(review.create_us),
        counts_for=[] if approval is None else approval.counts_for,
        counts_not_because="" if approval is None else approval.not_because,
        ledger_position=review.position,
    )
