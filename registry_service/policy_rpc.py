"""PolicyService: promotion policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.policies import delete_policy, set_policy
from registry_service.policy_conversion import to_policy
from registry_service.policy_reading import read_policy_message
from service_chassis.caller import current_caller
from service_chassis.errors import not_found
from service_chassis.etags import check_etag
from service_chassis.listing import PageRequest
from service_chassis.resource_names import POLICY, WORKSPACE
from service_chassis.validation import check_not_negative
from studbook.registry.v1 import policy_service_pb2 as messages
from studbook.registry.v1.policy_service_pb2_grpc import PolicyServiceServicer

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from registry_service.policy_records import Policy
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from service_chassis.page_tokens import PageTokens


class PolicyService(PolicyServiceServicer):
    """Sets and reads promotion policies.

    Args:
        database: The registry's database.
        tokens: Seals page tokens.
    """

    def __init__(self, database: RegistryDatabase, tokens: PageTokens) -> None:
        self._database = database
        self._tokens = tokens

    async def SetPromotionPolicy(
        self,
        request: messages.SetPromotionPolicyRequest,
        _context: ServicerContext[
            messages.SetPromotionPolicyRequest, messages.SetPromotionPolicyResponse
        ],
    ) -> messages.SetPromotionPolicyResponse:
        """Put a policy in force."""
        wanted = read_policy_message(request.policy)
        etag = request.policy.etag
        if request.validate_only:
            present = await self._database.read(lambda store: store.policies.find(wanted.name))
            check_etag(etag, "" if present is None else present.etag, wanted.name)
            return messages.SetPromotionPolicyResponse(policy=to_policy(wanted))
        caller = current_caller()
        return await self._database.write_once(
            caller,
            request,
            messages.SetPromotionPolicyResponse,
            lambda store: messages.SetPromotionPolicyResponse(
                policy=to_policy(set_policy(store, caller, wanted, etag))
            ),
        )

    async def GetPromotionPolicy(
        self,
        request: messages.GetPromotionPolicyRequest,
        _context: ServicerContext[
            messages.GetPromotionPolicyRequest, messages.GetPromotionPolicyResponse
        ],
    ) -> messages.GetPromotionPolicyResponse:
        """Read a policy."""
        POLICY.parse(request.name)
        revision = check_not_negative(request.revision, "revision")
        found = await self._database.read(lambda store: store.policies.find(request.name, revision))
        if found is None:
            raise not_found(request.name)
        return messages.GetPromotionPolicyResponse(policy=to_policy(found))

    async def ListPromotionPolicies(
        self,
        request: messages.ListPromotionPoliciesRequest,
        _context: ServicerContext[
            messages.ListPromotionPoliciesRequest, messages.ListPromotionPoliciesResponse
        ],
    ) -> messages.ListPromotionPoliciesResponse:
        """List the policies in force."""
        workspace = WORKSPACE.parse(request.parent, "parent")["workspace"]
        page = PageRequest.read(request, default_order="name", tokens=self._tokens)
        found, token = await self._database.read(lambda store: store.policies.page(workspace, page))
        return messages.ListPromotionPoliciesResponse(
            policies=map(to_policy, found), next_page_token=token
        )

    async def ListPromotionPolicyRevisions(
        self,
        request: messages.ListPromotionPolicyRevisionsRequest,
        _context: ServicerContext[
            messages.ListPromotionPolicyRevisionsRequest,
            messages.ListPromotionPolicyRevisionsResponse,
        ],
    ) -> messages.ListPromotionPolicyRevisionsResponse:
        """List the revisions of a policy, the latest first."""
        POLICY.parse(request.name)
        page = PageRequest.read(request, default_order="revision desc", tokens=self._tokens)

        def work(store: RegistryStore) -> tuple[list[Policy], str]:
            if not store.policies.last_revision(request.name):
                raise not_found(request.name)
            return store.policies.revisions(request.name, page)

        found, token = await self._database.read(work)
        return messages.ListPromotionPolicyRevisionsResponse(
            policies=map(to_policy, found), next_page_token=token
        )

    async def DeletePromotionPolicy(
        self,
        request: messages.DeletePromotionPolicyRequest,
        _context: ServicerContext[
            messages.DeletePromotionPolicyRequest, messages.DeletePromotionPolicyResponse
        ],
    ) -> messages.DeletePromotionPolicyResponse:
        """Put a policy out of force."""
        POLICY.parse(request.name)
        caller = current_caller()

        def work(store: RegistryStore) -> messages.DeletePromotionPolicyResponse:
            delete_policy(store, caller, request.name, request.etag)
            return messages.DeletePromotionPolicyResponse()

        return await self._database.write_once(
            caller, request, messages.DeletePromotionPolicyResponse, work
        )
