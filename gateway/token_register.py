"""Where it is written down that a token was exchanged: the registry's database and its ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import structlog

from gateway.refusals import service_unavailable, token_spent
from service_chassis.assertion import METADATA_KEY
from service_chassis.caller import Caller
from service_chassis.status_details import error_info
from studbook.registry.v1.token_service_pb2_grpc import TokenServiceStub

if TYPE_CHECKING:
    from gateway.upstreams import Upstreams
    from service_chassis.assertion import AssertionSigner
    from service_chassis.caller import Principal
    from studbook.registry.v1.token_service_pb2 import SpendTokenRequest

_log = structlog.get_logger("studbook.tokens")

_SPEND = "/studbook.registry.v1.TokenService/SpendToken"
_TIMEOUT_S = 10.0


class TokenRegister:
    """Asks the registry to note tokens that are good for one use.

    Args:
        upstreams: Has the connection to the registry.
        signer: Signs the gateway's assertions.
    """

    def __init__(self, upstreams: Upstreams, signer: AssertionSigner) -> None:
        self._tokens = TokenServiceStub(upstreams.channel("registry"))
        self._signer = signer

    async def spend(self, principal: Principal, request: SpendTokenRequest) -> None:
        """Note that a token is exchanged, in the name of the one it speaks for.

        Raises:
            StudbookError: TOKEN_SPENT, when it was before; SERVICE_UNAVAILABLE for all else that
                keeps the registry from a clear yes.
        """
        caller = Caller(principal, {"tokens.spend": (request.resource,)})
        metadata = ((METADATA_KEY, self._signer.sign(caller, _SPEND, "registry")),)
        try:
            await self._tokens.SpendToken(request, timeout=_TIMEOUT_S, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            info = error_info(error)
            if info is not None and info.reason == "TOKEN_SPENT":
                raise token_spent(principal) from error
            _log.warning("token not noted", code=error.code().name, details=error.details())
            raise service_unavailable("registry") from error
