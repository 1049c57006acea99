"""AliasService: aliases of versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from registry_service.alias_names import parse_alias_name
from registry_service.aliases import delete_alias, record_refusal, set_alias
from registry_service.moments import settled_read
from registry_service.names import parse_version_name
from registry_service.promotion_rpc import LONGEST_REASON
from registry_service.proto_conversion import to_alias
from service_chassis.caller import current_caller
from service_chassis.errors import StudbookError, invalid_field, not_found
from service_chassis.listing import PageRequest
from service_chassis.resource_names import MODEL
from service_chassis.timestamps import now_us
from service_chassis.validation import check_text
from studbook.registry.v1 import alias_service_pb2 as messages
from studbook.registry.v1.alias_service_pb2_grpc import AliasServiceServicer

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpc.aio import ServicerContext

    from registry_service.alias_names import AliasName
    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore
    from service_chassis.caller import Caller
    from service_chassis.page_tokens import PageTokens

Response = TypeVar("Response", bound=Message)


class AliasService(AliasServiceServicer):
    """Makes aliases name versions.

    Args:
        database: The registry's database.
        tokens: Seals page tokens.
        clock: The present moment in microseconds.
    """

    def __init__(
        self,
        database: RegistryDatabase,
        tokens: PageTokens,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock

    async def SetAlias(
        self,
        request: messages.SetAliasRequest,
        _context: ServicerContext[messages.SetAliasRequest, messages.SetAliasResponse],
    ) -> messages.SetAliasResponse:
        """Make an alias name a version."""
        name = parse_alias_name(request.name)
        version = parse_version_name(request.version, "version")
        if version.model != name.model:
            raise invalid_field("version", request.version, f"it must be a version of {name.model}")
        reason = check_text(request.reason, "reason", LONGEST_REASON)
        caller = current_caller()

        def work(store: RegistryStore) -> messages.SetAliasResponse:
            found = set_alias(
                store,
                caller,
                name,
                str(version),
                reason=reason,
                etag=request.etag,
                validate_only=request.validate_only,
            )
            return messages.SetAliasResponse(
                alias=to_alias(found.stay, is_protected=found.is_protected),
                former_version=found.former,
                unchanged=found.unchanged,
            )

        return await self._change(
            caller, request, messages.SetAliasResponse, work, name, str(version)
        )

    async def DeleteAlias(
        self,
        request: messages.DeleteAliasRequest,
        _context: ServicerContext[messages.DeleteAliasRequest, messages.DeleteAliasResponse],
    ) -> messages.DeleteAliasResponse:
        """Take an alias from its version."""
        name = parse_alias_name(request.name)
        reason = check_text(request.reason, "reason", LONGEST_REASON)
        caller = current_caller()

        def work(store: RegistryStore) -> messages.DeleteAliasResponse:
            delete_alias(
                store,
                caller,
                name,
                reason=reason,
                etag=request.etag,
                validate_only=request.validate_only,
            )
            return messages.DeleteAliasResponse()

        return await self._change(caller, request, messages.DeleteAliasResponse, work, name, "")

    async def ListAliases(
        self,
        request: messages.ListAliasesRequest,
        _context: ServicerContext[messages.ListAliasesRequest, messages.ListAliasesResponse],
    ) -> messages.ListAliasesResponse:
        """List what the aliases of a model name, named at a moment, or ever named."""
        MODEL.parse(request.parent, "parent")
        if request.show_past and request.HasField("at"):
            raise invalid_field("show_past", "true", "leave it out, or leave out at")
        order = "start_time desc" if request.show_past else "alias"
        page = PageRequest.read(request, default_order=order, tokens=self._tokens)

        def work(store: RegistryStore, at_us: int | None) -> messages.ListAliasesResponse:
            model = store.models.find(request.parent)
            if model is None:
                raise not_found(request.parent)
            stays, token = store.aliases.page(
                model.uid, page, at_us=at_us, show_past=request.show_past
            )
            protected = set(model.protected_aliases)
            return messages.ListAliasesResponse(
                aliases=[to_alias(stay, is_protected=stay.alias in protected) for stay in stays],
                next_page_token=token,
            )

        if request.HasField("at"):
            return await settled_read(self._database, request.at, work, self._clock)
        return await self._database.read(lambda store: work(store, None))

    async def _change(
        self,
        caller: Caller,
        request: messages.SetAliasRequest | messages.DeleteAliasRequest,
        response_type: type[Response],
        work: Callable[[RegistryStore], Response],
        name: AliasName,
        version: str,
    ) -> Response:
        """Make a change, and enter it in the ledger when it is refused for want of permission."""
        try:
            return await self._database.write_once(caller, request, response_type, work)
        except StudbookError as refusal:
            if refusal.reason == "PERMISSION_MISSING":
                error = refusal
                await self._database.write(
                    lambda store: record_refusal(store, caller, name, version, error)
                )
            raise
