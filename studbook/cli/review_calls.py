"""Calls behind the commands by which people ask for a promotion and approve it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from studbook.cli.paging import collect
from studbook.cli.references import names_version, numbered_version
from studbook.exceptions import NotFound
from studbook.model_reference import parse_reference
from studbook.registry.v1 import review_service_pb2 as messages
from studbook.registry.v1.promotion_service_pb2 import ExplainTransitionRequest

if TYPE_CHECKING:
    from studbook.client import Client
    from studbook.registry.v1.promotion_service_pb2 import ExplainTransitionResponse


def ask(client: Client, version: str, reason: str) -> messages.TransitionRequest:
    """Make a request for a version as typed."""
    request = messages.RequestTransitionRequest(
        version=_version_name(client, version), reason=reason, request_id=str(uuid.uuid4())
    )
    return client.reviews.RequestTransition(request).request


def explain(client: Client, version: str) -> ExplainTransitionResponse:
    """What the rules would do to a promotion of a version."""
    request = ExplainTransitionRequest(name=_version_name(client, version))
    return client.promotions.ExplainTransition(request)


def review(
    client: Client, version: str, decision: str, comment: str, seen: str
) -> messages.TransitionRequest:
    """Review the open request of a version.

    Args:
        client: Connection.
        version: As typed.
        decision: APPROVE or REJECT.
        comment: In the reviewer's words.
        seen: Digest of what was reviewed; empty: of what it is now.
    """
    present = open_request(client, version)
    request = messages.ReviewTransitionRequest(
        name=present.name,
        decision=messages.ReviewDecision.Value(f"REVIEW_DECISION_{decision}"),
        comment=comment,
        reviewed_digest=seen or present.reviewed_digest,
        request_id=str(uuid.uuid4()),
    )
    return client.reviews.ReviewTransition(request).request


def cancel(client: Client, version: str, reason: str) -> messages.TransitionRequest:
    """Take the open request of a version back."""
    request = messages.CancelTransitionRequestRequest(
        name=open_request(client, version).name, reason=reason, request_id=str(uuid.uuid4())
    )
    return client.reviews.CancelTransitionRequest(request).request


def open_request(client: Client, version: str) -> messages.TransitionRequest:
    """The open request of a version.

    Raises:
        NotFound: It has none.
    """
    found = list_requests(client, version, 1, ended=False)
    if not found:
        name = _version_name(client, version)
        message = f"{name} has no open request; make one with `studbook model request {version}`."
        raise NotFound(message, reason="NOT_FOUND", metadata={"resource": name})
    return found[0]


def list_requests(
    client: Client, name: str, limit: int, *, ended: bool
) -> list[messages.TransitionRequest]:
    """The requests of a model or of one version, newest first, up to a limit."""
    model = parse_reference(name).model_name(client.workspace)
    conditions = []
    if names_version(name):
        conditions.append(f'version = "{_version_name(client, name)}"')
    if not ended:
        conditions.append("ended = false")
    request = messages.ListTransitionRequestsRequest(parent=model, filter=" AND ".join(conditions))
    return collect(
        client.reviews.ListTransitionRequests, request, lambda page: page.requests, limit
    )


def _version_name(client: Client, version: str) -> str:
    reference = numbered_version(version)
    return f"{reference.model_name(client.workspace)}/versions/{reference.version}"
