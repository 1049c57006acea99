"""ReviewService: requests for transitions and their reviews."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service import transition_requests
from registry_service.names import parse_version_name
from registry_service.promotion_rpc import LONGEST_REASON
from registry_service.review_conversion import to_request
from registry_service.transition_request_records import Decision
from service_chassis.caller import current_caller
from service_chassis.errors import invalid_field, not_found, required_field
from service_chassis.listing import PageRequest
from service_chassis.resource_names import MODEL
from service_chassis.validation import check_text
from studbook.registry.v1 import review_service_pb2 as messages
from studbook.registry.v1.review_service_pb2_grpc import ReviewServiceServicer

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from service_chassis.page_tokens import PageTokens


class ReviewService(ReviewServiceServicer):
    """Takes requests for transitions, and reviews of them.

    Args:
        database: The registry's database.
        tokens: Seals page tokens.
    """

    def __init__(self, database: RegistryDatabase, tokens: PageTokens) -> None:
        self._database = database
        self._tokens = tokens

    async def RequestTransition(
        self,
        request: messages.RequestTransitionRequest,
        _context: ServicerContext[
            messages.RequestTransitionRequest, messages.RequestTransitionResponse
        ],
    ) -> messages.RequestTransitionResponse:
        """Ask that a version enter Production."""
        version = str(parse_version_name(request.version, "version"))
        reason = check_text(request.reason, "reason", LONGEST_REASON)
        caller = current_caller()
        return await self._database.write_once(
            caller,
            request,
            messages.RequestTransitionResponse,
            lambda store: messages.RequestTransitionResponse(
                request=to_request(transition_requests.ask(store, caller, version, reason))
            ),
        )

    async def GetTransitionRequest(
        self,
        request: messages.GetTransitionRequestRequest,
        _context: ServicerContext[
            messages.GetTransitionRequestRequest, messages.GetTransitionRequestResponse
        ],
    ) -> messages.GetTransitionRequestResponse:
        """Read a request."""

        def work(store: RegistryStore) -> messages.TransitionRequest:
            found = transition_requests.find(store, request.name)
            return to_request(transition_requests.look(store, found))

        return messages.GetTransitionRequestResponse(request=await self._database.read(work))

    async def ListTransitionRequests(
        self,
        request: messages.ListTransitionRequestsRequest,
        _context: ServicerContext[
            messages.ListTransitionRequestsRequest, messages.ListTransitionRequestsResponse
        ],
    ) -> messages.ListTransitionRequestsResponse:
        """List the requests of a model."""
        MODEL.parse(request.parent, "parent")
        page = PageRequest.read(request, default_order="create_time desc", tokens=self._tokens)

        def work(store: RegistryStore) -> messages.ListTransitionRequestsResponse:
            uid = store.models.uid(request.parent)
            if uid is None:
                raise not_found(request.parent)
            found, token = store.requests.page(uid, page)
            views = [transition_requests.look(store, one) for one in found]
            return messages.ListTransitionRequestsResponse(
                requests=map(to_request, views), next_page_token=token
            )

        return await self._database.read(work)

    async def ReviewTransition(
        self,
        request: messages.ReviewTransitionRequest,
        _context: ServicerContext[
            messages.ReviewTransitionRequest, messages.ReviewTransitionResponse
        ],
    ) -> messages.ReviewTransitionResponse:
        """Approve or reject."""
        decision = _decision(request.decision)
        comment = check_text(request.comment, "comment", LONGEST_REASON)
        if decision is Decision.APPROVE and not request.reviewed_digest:
            raise required_field("reviewed_digest", "give the request's, as you looked at it")
        caller = current_caller()
        return await self._database.write_once(
            caller,
            request,
            messages.ReviewTransitionResponse,
            lambda store: messages.ReviewTransitionResponse(
                request=to_request(
                    transition_requests.review(
                        store, caller, request.name, decision, comment, request.reviewed_digest
                    )
                )
            ),
        )

    async def CancelTransitionRequest(
        self,
        request: messages.CancelTransitionRequestRequest,
        _context: ServicerContext[
            messages.CancelTransitionRequestRequest, messages.CancelTransitionRequestResponse
        ],
    ) -> messages.CancelTransitionRequestResponse:
        """Take a request back."""
        reason = check_text(request.reason, "reason", LONGEST_REASON)
        caller = current_caller()
        return await self._database.write_once(
            caller,
            request,
            messages.CancelTransitionRequestResponse,
            lambda store: messages.CancelTransitionRequestResponse(
                request=to_request(transition_requests.cancel(store, caller, request.name, reason))
            ),
        )


def _decision(number: int) -> Decision:
    remedy = f"give one of {', '.join(one.name for one in Decision)}"
    if number == messages.REVIEW_DECISION_UNSPECIFIED:
        raise required_field("decision", remedy)
    try:
        return Decision(number)
    except ValueError as error:
        raise invalid_field("decision", number, remedy) from error
