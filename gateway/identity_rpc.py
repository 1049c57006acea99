"""IdentityService, which the gateway answers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.access_file import PeopleIssuer, PipelineIssuer
from gateway.access_question import check_question
from gateway.admission import admit
from gateway.calls import Call, conduct
from gateway.refusals import token_not_exchangeable
from service_chassis.method_access import method_table
from service_chassis.principal_message import to_message
from service_chassis.timestamps import to_timestamp
from studbook._version import __version__
from studbook.identity.v1 import identity_service_pb2 as messages
from studbook.identity.v1.identity_service_pb2_grpc import IdentityServiceServicer

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from gateway.access_file import Login
    from gateway.access_rules import Grant
    from gateway.authentication import Authenticated, Authenticator, RulesSource
    from gateway.token_exchange import TokenExchange
    from gateway.turnstile import Turnstile

_SERVICE = "/studbook.identity.v1.IdentityService/"


class IdentityService(IdentityServiceServicer):
    """Who am I, what may I do, and how do I log in.

    Args:
        authenticator: Tells who calls.
        turnstile: Keeps count of everybody's calls.
        rules: The access rules in force.
        limits: The limits in force, as they are announced.
        exchange: Gives tokens in exchange; None when the gateway has no key for them.
        development: Whether the issuers are those of the embedded development issuer.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        turnstile: Turnstile,
        rules: RulesSource,
        limits: messages.Limits,
        *,
        exchange: TokenExchange | None = None,
        development: bool = False,
    ) -> None:
        self._authenticator = authenticator
        self._turnstile = turnstile
        self._rules = rules
        self._limits = limits
        self._exchange = exchange
        self._development = development

    async def GetServerInfo(
        self,
        request: messages.GetServerInfoRequest,
        context: ServicerContext[messages.GetServerInfoRequest, messages.GetServerInfoResponse],
    ) -> messages.GetServerInfoResponse:
        """How to log in, and the limits."""
        call = Call(_SERVICE + "GetServerInfo", "identity", context)

        async def answer() -> messages.GetServerInfoResponse:
            return messages.GetServerInfoResponse(
                server_version=__version__,
                login_providers=self._login_providers(),
                limits=self._limits,
                job_token_issuers=self._job_token_issuers(),
            )

        return await conduct(call, answer())

    def _job_token_issuers(self) -> list[messages.JobTokenIssuer]:
        return [
            messages.JobTokenIssuer(
                name=name,
                issuer=issuer.url,
                audience=issuer.audience,
                exchange_required=issuer.exchange == "required",
            )
            for name, issuer in self._rules.current.file.issuers.items()
            if isinstance(issuer, PipelineIssuer)
        ]

    def _login_providers(self) -> list[messages.LoginProvider]:
        return [
            _provider_message(name, issuer, issuer.login, development=self._development)
            for name, issuer in self._rules.current.file.issuers.items()
            if isinstance(issuer, PeopleIssuer) and issuer.login is not None
        ]

    async def WhoAmI(
        self,
        request: messages.WhoAmIRequest,
        context: ServicerContext[messages.WhoAmIRequest, messages.WhoAmIResponse],
    ) -> messages.WhoAmIResponse:
        """The caller and its grants."""
        call = Call(_SERVICE + "WhoAmI", "identity", context)

        async def answer() -> messages.WhoAmIResponse:
            caller = await self._caller(call)
            identity = caller.identity
            grants = caller.rules.grants(identity.principal.id, identity.groups, identity.resources)
            return messages.WhoAmIResponse(
                principal=to_message(identity.principal),
                groups=identity.groups,
                grants=[_grant_message(grant) for grant in grants],
                token_expire_time=to_timestamp(int(caller.expires_at * 1_000_000)),
            )

        return await conduct(call, answer())

    async def TestAccess(
        self,
        request: messages.TestAccessRequest,
        context: ServicerContext[messages.TestAccessRequest, messages.TestAccessResponse],
    ) -> messages.TestAccessResponse:
        """Whether the caller would be allowed something, and by which binding."""
        call = Call(_SERVICE + "TestAccess", "identity", context)

        async def answer() -> messages.TestAccessResponse:
            caller = await self._caller(call)
            check_question(request.permission, request.resource)
            verdict = caller.rules.explain(
                caller.identity.principal.id,
                caller.identity.groups,
                request.permission,
                request.resource,
                caller.identity.resources,
            )
            return messages.TestAccessResponse(
                allowed=verdict.allowed,
                grant=_grant_message(verdict.grant) if verdict.grant else None,
                explanation=verdict.explanation,
            )

        return await conduct(call, answer())

    async def ExchangeToken(
        self,
        request: messages.ExchangeTokenRequest,
        context: ServicerContext[messages.ExchangeTokenRequest, messages.ExchangeTokenResponse],
    ) -> messages.ExchangeTokenResponse:
        """A token of the gateway's own, for one of a CI system."""
        call = Call(_SERVICE + "ExchangeToken", "identity", context)

        async def answer() -> messages.ExchangeTokenResponse:
            caller = await self._caller(call)
            if self._exchange is None:
                raise token_not_exchangeable(
                    caller.identity.principal.id,
                    "This server gives no tokens in exchange; use this one as it is.",
                )
            return await self._exchange.exchange(caller, call.metadata, request)

        return await conduct(call, answer())

    async def _caller(self, call: Call) -> Authenticated:
        """Who calls: the same way in as for calls that are passed on."""
        authenticated = await self._authenticator.authenticate(call.metadata, call.path)
        call.principal = authenticated.identity.principal
        self._turnstile.count(call.principal)
        admit(method_table()[call.path], authenticated)
        return authenticated


def _provider_message(
    name: str, issuer: PeopleIssuer, login: Login, *, development: bool
) -> messages.LoginProvider:
    parameter = login.audience_parameter
    return messages.LoginProvider(
        name=name,
        issuer=issuer.url,
        client_id=login.client_id,
        scope=login.scope,
        audience=issuer.audience,
        development=development,
        prompt=login.prompt,
        redirect_uri=login.redirect_uri,
        audience_parameter="" if parameter == "none" else parameter,
        service_scope=login.service_scope,
        id_tokens=issuer.bearer == "id_token",
    )


def _grant_message(grant: Grant) -> messages.Grant:
    return messages.Grant(
        role=grant.role,
        member=grant.member,
        resource=grant.resource,
        permissions=grant.permissions,
    )
