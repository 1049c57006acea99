"""TokenService: tokens that are good for one use, for the gateway only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.spent_tokens import Exchange, exchange
from service_chassis.caller import current_caller
from service_chassis.errors import permission_missing, required_field
from service_chassis.timestamps import from_timestamp
from service_chassis.validation import check_count, check_digest, check_text
from studbook.registry.v1 import token_service_pb2 as messages
from studbook.registry.v1.token_service_pb2_grpc import TokenServiceServicer

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from registry_service.registry_database import RegistryDatabase

_LONGEST_TEXT = 512
_MOST_RESOURCES = 20


class TokenService(TokenServiceServicer):
    """Notes which tokens were used.

    Args:
        database: The registry's database.
    """

    def __init__(self, database: RegistryDatabase) -> None:
        self._database = database

    async def SpendToken(
        self,
        request: messages.SpendTokenRequest,
        _context: ServicerContext[messages.SpendTokenRequest, messages.SpendTokenResponse],
    ) -> messages.SpendTokenResponse:
        """Note that a token was exchanged."""
        caller = current_caller()
        if caller.via != "gateway":
            raise permission_missing("tokens.spend", request.resource, caller.principal.id)
        wanted = _exchange(request)
        position = await self._database.write(lambda store: exchange(store, caller, wanted))
        return messages.SpendTokenResponse(ledger_position=position)


def _exchange(request: messages.SpendTokenRequest) -> Exchange:
    for field in ("expire_time", "exchanged_expire_time"):
        if not request.HasField(field):
            raise required_field(field)
    check_count(request.resources, "resources", _MOST_RESOURCES)
    return Exchange(
        resource=request.resource,
        issuer=check_text(request.issuer, "issuer", _LONGEST_TEXT, required=True),
        digest=check_digest(request.digest, "digest"),
        expire_us=from_timestamp(request.expire_time),
        token_id=check_text(
            request.exchanged_token_id, "exchanged_token_id", _LONGEST_TEXT, required=True
        ),
        resources=tuple(
            check_text(pattern, "resources", _LONGEST_TEXT) for pattern in request.resources
        ),
        token_expire_us=from_timestamp(request.exchanged_expire_time),
    )
