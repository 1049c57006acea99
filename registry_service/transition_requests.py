"""Asking that a version enter Production, and reviewing that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from registry_service.approvals import PERSON, Standing
from registry_service.gate_facts import facts_of
from registry_service.ledger import Draft
from registry_service.policy_evaluation import approvals
from registry_service.promotion import PROMOTE, check_move
from registry_service.records import Stage
from registry_service.transition_request_records import (
    Decision,
    Ending,
    Review,
    TransitionRequest,
)
from service_chassis.errors import Code, StudbookError, failed_precondition, not_found
from service_chassis.resource_names import TRANSITION_REQUEST

if TYPE_CHECKING:
    from registry_service.canonical_json import JsonObject
    from registry_service.ledger import Entry
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller

# Digits of the largest position that a database can hold.
_LONGEST_POSITION = 18


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request and how its approvals stand; nothing stands when it has ended.

    Attributes:
        digest: What a review is about now.
    """

    request: TransitionRequest
    standing: Standing | None = None
    digest: str = ""


def ask(store: RegistryStore, caller: Caller, version_name: str, reason: str) -> RequestView:
    """Make a request that a version enter Production.

    Raises:
        StudbookError: NOT_FOUND, ALREADY_EXISTS, TRANSITION_NOT_ALLOWED or VERSION_NOT_READY.
    """
    store.models.hold(version_name.rsplit("/versions/", 1)[0])
    version = store.versions.find(version_name)
    if version is None:
        raise not_found(version_name)
    check_move(version, Stage.PRODUCTION)
    present = store.requests.open_of(version.uid)
    if present is not None:
        raise StudbookError(
            Code.ALREADY_EXISTS,
            "ALREADY_EXISTS",
            f"{version.name} has the open request {present.name}; review or cancel that one.",
            metadata={"resource": present.name},
            resource=present.name,
        )
    entry = store.ledger.append(
        Draft(caller.principal, "transition.request", version.name, {}, reason)
    )
    request = TransitionRequest(
        position=entry.position,
        model=version.model,
        version_uid=version.uid,
        version=version.name,
        requester=caller.principal,
        reason=reason,
        create_us=entry.create_us,
    )
    store.requests.add(request, version.model_uid)
    return look(store, request)


def find(store: RegistryStore, name: str) -> TransitionRequest:
    """The request of a name.

    Raises:
        StudbookError: NOT_FOUND.
    """
    ids = TRANSITION_REQUEST.parse(name)
    model = name.rsplit("/requests/", 1)[0]
    number = ids["request"]
    is_position = number.isdecimal() and len(number) <= _LONGEST_POSITION
    request = store.requests.find(model, int(number)) if is_position else None
    if request is None or request.name != name:
        raise not_found(name)
    return request


def look(store: RegistryStore, request: TransitionRequest) -> RequestView:
    """How a request stands now."""
    version = store.versions.find(request.version)
    if request.ending is not None or version is None:
        return RequestView(request)
    production = store.versions.latest_in(version.model_uid, Stage.PRODUCTION)
    policies = store.policies.covering(version.model)
    seen = facts_of(version, store.versions.lineage(version))
    stands, digest = approvals(store, seen, production, policies)
    return RequestView(request, stands, digest)


def review(
    store: RegistryStore,
    caller: Caller,
    name: str,
    decision: Decision,
    comment: str,
    seen_digest: str,
) -> RequestView:
    """Add a person's review to an open request.

    Raises:
        StudbookError: NOT_FOUND, REQUEST_NOT_OPEN, REVIEWER_NOT_A_PERSON or REVIEW_OUTDATED.
    """
    request = _open(store, name)
    if caller.principal.kind != PERSON:
        raise failed_precondition(
            "REVIEWER_NOT_A_PERSON",
            name,
            f"{caller.principal.id} is not a person; only people review.",
            principal=caller.principal.id,
        )
    view = look(store, request)
    if seen_digest != view.digest and (seen_digest or decision is Decision.APPROVE):
        raise _outdated(name, seen_digest, view.digest)
    groups = _groups_that_count(caller, view.standing)
    content: JsonObject = {
        "decision": decision.name,
        "groups": list(groups),
        "request": request.position,
        "reviewed_digest": view.digest,
    }
    entry = store.ledger.append(
        Draft(caller.principal, "transition.review", request.version, content, comment)
    )
    made = Review(
        position=entry.position,
        reviewer=caller.principal,
        groups=groups,
        decision=decision,
        comment=comment,
        reviewed_digest=view.digest,
        create_us=entry.create_us,
    )
    store.requests.add_review(request, made)
    reviewed = replace(request, every_review=(*request.every_review, made))
    if decision is Decision.REJECT:
        reviewed = _end(store, reviewed, Ending.REJECTED, entry)
    return look(store, reviewed)


def _outdated(name: str, seen_digest: str, digest: str) -> StudbookError:
    return StudbookError(
        Code.ABORTED,
        "REVIEW_OUTDATED",
        f"What {name} is about is not, or no longer, {seen_digest or '(nothing given)'}; look "
        "at it again and give its present reviewed_digest.",
        metadata={"resource": name, "reviewed_digest": digest},
    )


def _groups_that_count(caller: Caller, standing: Standing | None) -> tuple[str, ...]:
    """Of the reviewer's groups, which may be many, those that a rule asks for."""
    named = {one for rule in standing.rules for one in rule.rule.approvers} if standing else set()
    return tuple(group for group in caller.groups if group in named)


def cancel(store: RegistryStore, caller: Caller, name: str, reason: str) -> RequestView:
    """Take a request back.

    Raises:
        StudbookError: NOT_FOUND, REQUEST_NOT_OPEN; PERMISSION_MISSING for somebody else who may not
            promote.
    """
    request = _open(store, name)
    if caller.principal.id != request.requester.id:
        caller.require(PROMOTE, request.version)
    content: JsonObject = {"request": request.position}
    entry = store.ledger.append(
        Draft(caller.principal, "transition.cancel", request.version, content, reason)
    )
    return RequestView(_end(store, request, Ending.CANCELLED, entry))


def _open(store: RegistryStore, name: str) -> TransitionRequest:
    request = find(store, name)
    # Nothing that a review is about may change while it is looked at.
    store.models.hold(request.model)
    request = find(store, name)
    if request.ending is not None:
        raise failed_precondition(
            "REQUEST_NOT_OPEN",
            name,
            f"{name} has ended, it is {request.ending.name}; make a new request.",
            resource=name,
            state=request.ending.name,
        )
    return request


def _end(
    store: RegistryStore, request: TransitionRequest, ending: Ending, entry: Entry
) -> TransitionRequest:
    ended = request.ended(ending, entry)
    store.requests.end(ended)
    return ended
