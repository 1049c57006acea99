"""A gRPC server with the identity service alone, for the tests of logging in."""

# ruff: noqa: N802 - the contract names its methods

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.refusals import TokenRefusedError
from service_chassis.status_details import DETAILS_KEY, rpc_status
from studbook.identity.v1 import identity_service_pb2 as messages
from studbook.identity.v1 import identity_service_pb2_grpc
from studbook.identity.v1.principal_pb2 import Principal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.dev_issuer.signing_key import SigningKey


class Identity(identity_service_pb2_grpc.IdentityServiceServicer):
    """Names the given login providers, and believes tokens signed with the given key."""

    def __init__(self, providers: list[messages.LoginProvider], key: SigningKey) -> None:
        self.providers = providers
        self.job_token_issuers: list[messages.JobTokenIssuer] = []
        self.spent: list[str] = []
        self.exchanges: list[messages.ExchangeTokenRequest] = []
        self.lifetime_s = 900
        self.available = True
        # What WhoAmI says besides what it learns from the token.
        self.who = messages.WhoAmIResponse()
        self._key = key

    def GetServerInfo(
        self, request: messages.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> messages.GetServerInfoResponse:
        return messages.GetServerInfoResponse(
            login_providers=self.providers, job_token_issuers=self.job_token_issuers
        )

    def WhoAmI(
        self, request: messages.WhoAmIRequest, context: grpc.ServicerContext
    ) -> messages.WhoAmIResponse:
        metadata = dict(context.invocation_metadata())
        token = str(metadata.get("authorization", "")).removeprefix("Bearer ")
        claims = self._key.verified_claims(token, "at+jwt")
        if claims is None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "not ours")
        principal = Principal(id=f"user:dev:{claims['sub']}", display_name=claims["name"])
        answer = messages.WhoAmIResponse(principal=principal)
        answer.MergeFrom(self.who)
        return answer

    def ExchangeToken(
        self, request: messages.ExchangeTokenRequest, context: grpc.ServicerContext
    ) -> messages.ExchangeTokenResponse:
        """Answers with the token that was given up, marked, once for each."""
        if not self.available:
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        given = dict(context.invocation_metadata())["authorization"]
        token = str(given).removeprefix("Bearer ")
        if token in self.spent:
            error = TokenRefusedError("TOKEN_SPENT", "exchanged before")
            status = rpc_status(error, "").SerializeToString()
            context.set_trailing_metadata(((DETAILS_KEY, status),))
            context.abort(grpc.StatusCode.UNAUTHENTICATED, error.message)
        self.spent.append(token)
        self.exchanges.append(request)
        lifetime = min(request.lifetime.seconds or self.lifetime_s, self.lifetime_s)
        expires = Timestamp(seconds=int(time.time()) + lifetime)
        return messages.ExchangeTokenResponse(
            access_token=f"exchanged-{len(self.spent)}", expire_time=expires
        )

    def TestAccess(
        self, request: messages.TestAccessRequest, context: grpc.ServicerContext
    ) -> messages.TestAccessResponse:
        allowed = request.resource.startswith("workspaces/main/")
        return messages.TestAccessResponse(
            allowed=allowed, explanation=f"{allowed}: {request.permission} on {request.resource}"
        )


@contextmanager
def serving(identity: Identity) -> Iterator[str]:
    """Serve it; yields the address."""
    server = grpc.server(ThreadPoolExecutor(4))
    identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(identity, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
