"""The gateway put together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from gateway.access_checks import AccessFileError
from gateway.access_file import PipelineIssuer
from gateway.access_watch import AccessRulesFile
from gateway.admission import AssertionDesk
from gateway.authentication import Authenticator
from gateway.dev_issuer.config import ConfigError, DevIssuerConfig
from gateway.dev_issuer_server import DevIssuerServer
from gateway.forwarding import Forwarder
from gateway.identity_rpc import IdentityService
from gateway.issuer_files import check_issuer_files
from gateway.mounting import AuthenticatedCallers
from gateway.refusal_pace import RefusalPace
from gateway.signing_keys import SigningKeys
from gateway.token_exchange import TokenExchange
from gateway.token_keys import TokenKeys
from gateway.token_register import TokenRegister
from gateway.token_verifier import TokenVerifier
from gateway.turnstile import Turnstile
from gateway.untaken_answers import UntakenAnswers
from gateway.upstreams import Upstreams
from gateway.web.application import Web
from service_chassis.behind_gateway import followed_signer
from service_chassis.call_pipeline import CallPipeline, Door
from service_chassis.request_message import for_anybody
from service_chassis.server import Server
from service_chassis.validation import LARGEST_PAGE_SIZE
from studbook.identity.v1.identity_service_pb2 import Limits
from studbook.identity.v1.identity_service_pb2_grpc import add_IdentityServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import grpc

    from gateway.access_rules import AccessRules
    from gateway.settings import GatewaySettings

_AREAS = ("identity", "tracking", "registry")


class Gateway:
    """Everything that runs in a process of the gateway.

    Must be made inside an event loop.

    Args:
        settings: Where things are, and limits.
        mounted: Services that are answered in this process: what adds them to a server, by area.
            Those that are not mounted are asked over the network.

    Raises:
        SystemExit: A file that a setting names cannot be used.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        mounted: Mapping[str, Callable[[grpc.aio.Server], None]] | None = None,
    ) -> None:
        self._keys = SigningKeys(settings.key_fetch_pause_seconds)
        self._issuer = _dev_issuer(settings)
        self._own_keys = _token_keys(settings)
        self._rules = _rules(settings, self._accept)
        self._watching: list[asyncio.Task[None]] = []
        services = mounted or {}
        addresses = {"tracking": settings.tracking_address, "registry": settings.registry_address}
        certificate = settings.client_certificate()
        self._upstreams = Upstreams(
            {area: address for area, address in addresses.items() if area not in services},
            settings.message_bytes,
            certificate,
        )
        # The registry has its own port also where it is mounted.
        self._register = Upstreams(
            {"registry": settings.registry_address}, settings.message_bytes, certificate
        )
        self._verifier = TokenVerifier(self._keys, own_keys=self._own_keys)
        self._signer, key_file = followed_signer("gateway", settings.assertion_private_key)
        authenticator = Authenticator(
            self._rules,
            self._verifier,
            limits=settings.metadata_limits(),
            pace=RefusalPace(settings.refusals_per_second),
        )
        self._authenticator = authenticator
        self._turnstile = Turnstile(authenticator, settings.identity_limits())
        callers = AuthenticatedCallers(authenticator, self._turnstile)
        pace = settings.stream_pace()
        door = Door(frozenset(services), settings.message_bytes, pace, callers.under_way)
        pipeline = CallPipeline(callers, door)
        self._untaken = UntakenAnswers(
            settings.stalled_stream_seconds, settings.concurrent_calls, lambda: self.server.port
        )
        interceptors = [self._untaken, *([pipeline] if services else [])]
        followed = [key_file, *([certificate.files] if certificate else [])]
        self.server = Server(settings, interceptors, _AREAS, followed)
        self._serve_identity(settings, authenticator)
        for add_to in services.values():
            add_to(self.server.grpc)
        self._web: Web | None = None
        if settings.web_listen:
            self._web = Web(settings, authenticator, self._keys, self._rules, self._turnstile)
        # The last one: it takes any method.
        desk = AssertionDesk(self._signer, settings.service_metadata_bytes)
        forwarder = Forwarder(
            authenticator, self._turnstile, desk, self._upstreams, settings.message_bytes, pace
        )
        self.server.grpc.add_generic_rpc_handlers((forwarder,))

    def _accept(self, rules: AccessRules) -> None:
        if self._issuer is not None:
            self._issuer.check(rules)
        if self._own_keys is None:
            _check_no_exchange(rules)
        check_issuer_files(rules)
        self._keys.follow(rules)

    def _serve_identity(self, settings: GatewaySettings, authenticator: Authenticator) -> None:
        limits = Limits(
            message_bytes=settings.message_bytes,
            chunk_bytes=settings.chunk_bytes,
            points_per_batch=settings.points_per_batch,
            page_size=LARGEST_PAGE_SIZE,
        )
        development = settings.dev_issuer is not None
        identity = IdentityService(
            authenticator,
            self._turnstile,
            self._rules,
            limits,
            exchange=self._exchange(settings.exchanged_token_seconds),
            development=development,
        )
        server = for_anybody(self.server.grpc, settings.public_message_seconds)
        add_IdentityServiceServicer_to_server(identity, server)

    def _exchange(self, lifetime_s: int) -> TokenExchange | None:
        if self._own_keys is None:
            return None
        register = TokenRegister(self._register, self._signer)
        return TokenExchange(self._verifier, self._own_keys, register, lifetime_s)

    async def prepare(self) -> None:
        """Do what has to be done before the first call, and begin what goes on beside them."""
        if self._issuer is not None:
            await self._issuer.start()
        # An issuer that is down is no reason not to start: its callers are told so.
        await self._keys.first_fetch()
        if self._web is not None:
            await self._web.start()
        self._watching = [
            asyncio.create_task(self._rules.watch()),
            asyncio.create_task(self._turnstile.watch()),
            asyncio.create_task(self._untaken.watch()),
        ]

    async def close(self) -> None:
        """End background work and close all connections."""
        if self._web is not None:
            await self._web.close()
        await self._upstreams.close()
        await self._register.close()
        await self._authenticator.close()
        await self._keys.close()
        if self._issuer is not None:
            await self._issuer.stop()
        for watching in self._watching:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


def _dev_issuer(settings: GatewaySettings) -> DevIssuerServer | None:
    if settings.dev_issuer is None:
        return None
    try:
        return DevIssuerServer(DevIssuerConfig.read(settings.dev_issuer))
    except ConfigError as error:
        raise SystemExit(str(error)) from None


def _rules(settings: GatewaySettings, accept: Callable[[AccessRules], None]) -> AccessRulesFile:
    try:
        return AccessRulesFile(settings.access_file, accept)
    except AccessFileError as error:
        message = f"The access rules cannot be used:\n{error}"
        raise SystemExit(message) from None


def _token_keys(settings: GatewaySettings) -> TokenKeys | None:
    if settings.token_keys is None:
        return None
    try:
        return TokenKeys(settings.token_keys.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{settings.token_keys} is of no use: {error}"
        raise SystemExit(message) from None


def _check_no_exchange(rules: AccessRules) -> None:
    """Make sure that no CI system's tokens have to be exchanged, where that cannot be done."""
    for name, issuer in rules.file.issuers.items():
        if isinstance(issuer, PipelineIssuer) and issuer.exchange == "required":
            message = (
                f"issuers.{name}.exchange: tokens have to be exchanged, for which the gateway has "
                "no key; set STUDBOOK_GATEWAY_TOKEN_KEYS (`python -m local_stack.keys` makes the "
                "file), or write exchange: optional"
            )
            raise AccessFileError(message)
