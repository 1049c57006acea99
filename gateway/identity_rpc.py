"""IdentityService, which the gateway answers itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.access_checks import member_problem
from gateway.access_file import PeopleIssuer, PipelineIssuer
from gateway.access_question import check_question
from gateway.admission import admit
from gateway.calls import Call, conduct
from gateway.holdings_message import denial_message, grant_message, verdict_message
from gateway.refusals import token_not_exchangeable
from service_chassis.errors import invalid_field
from service_chassis.method_access import method_table
from service_chassis.principal_message import principal_message
from service_chassis.timestamps import to_timestamp
from studbook._version import __version__
from studbook.identity.v1 import identity_service_pb2 as messages
from studbook.identity.v1.identity_service_pb2_grpc import IdentityServiceServicer

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpc.aio import ServicerContext

    from gateway.access_file import Login
    from gateway.authentication import Authenticated, Authenticator, RulesSource
    from gateway.holdings import Holdings
    from gateway.token_exchange import TokenExchange
    from gateway.turnstile import Turnstile

_TEST_OTHERS = "access.test"
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
        now: The wall clock in seconds; tests pass their own.
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
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
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
            return messages.WhoAmIResponse(
                principal=principal_message(caller.identity.principal),
                groups=caller.identity.groups,
                grants=map(grant_message, caller.holdings.grants),
                denials=map(denial_message, caller.holdings.denials),
                token_expire_time=to_timestamp(int(caller.expires_at * 1_000_000)),
            )

        return await conduct(call, answer())

    async def TestAccess(
        self,
        request: messages.TestAccessRequest,
        context: ServicerContext[messages.TestAccessRequest, messages.TestAccessResponse],
    ) -> messages.TestAccessResponse:
        """Whether the caller, or another, would be allowed something, and by which rule."""
        call = Call(_SERVICE + "TestAccess", "identity", context)

        async def answer() -> messages.TestAccessResponse:
            caller = await self._caller(call)
            check_question(request.permission, request.resource)
            name, holdings = self._subject(call, caller, request)
            verdict = caller.rules.explain(name, holdings, request.permission, request.resource)
            return verdict_message(verdict)

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

    def _subject(
        self, call: Call, caller: Authenticated, request: messages.TestAccessRequest
    ) -> tuple[str, Holdings]:
        """Whom a question is about, in words, and what that one holds."""
        if not request.members:
            return caller.identity.principal.id, caller.holdings
        admit(method_table()[call.path], caller).require(_TEST_OTHERS, request.resource)
        for member in request.members:
            if problem := member_problem(caller.rules.file, member):
                raise invalid_field("members", member, problem)
        return " with ".join(request.members), caller.rules.holdings(
            "", request.members, self._now()
        )

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
        client_secret=login.client_secret,
        redirect_uri=login.redirect_uri,
        audience_parameter="" if parameter == "none" else parameter,
        service_scope=login.service_scope,
        id_tokens=issuer.bearer == "id_token",
    )
