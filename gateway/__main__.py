"""Starting the gateway: `python -m gateway`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from gateway.access_checks import AccessFileError
from gateway.access_watch import AccessRulesFile
from gateway.admission import AssertionDesk
from gateway.authentication import Authenticator
from gateway.dev_issuer.config import ConfigError, DevIssuerConfig
from gateway.dev_issuer_server import DevIssuerServer
from gateway.forwarding import Forwarder
from gateway.identity_rpc import IdentityService
from gateway.settings import GatewaySettings
from gateway.signing_keys import SigningKeys
from gateway.token_verifier import TokenVerifier
from gateway.upstreams import Upstreams
from service_chassis.assertion import AssertionSigner
from service_chassis.server import Server, serve_until_stopped
from service_chassis.service_settings import read_settings
from service_chassis.telemetry import configure_logging
from service_chassis.validation import LARGEST_PAGE_SIZE
from studbook.identity.v1.identity_service_pb2 import Limits
from studbook.identity.v1.identity_service_pb2_grpc import add_IdentityServiceServicer_to_server

if TYPE_CHECKING:
    from gateway.access_rules import AccessRules

_AREAS = ("identity", "tracking", "registry")


def _dev_issuer(settings: GatewaySettings) -> DevIssuerServer | None:
    if settings.dev_issuer is None:
        return None
    try:
        return DevIssuerServer(DevIssuerConfig.read(settings.dev_issuer))
    except ConfigError as error:
        raise SystemExit(str(error)) from None


def _signer(settings: GatewaySettings) -> AssertionSigner:
    try:
        return AssertionSigner("gateway", settings.assertion_private_key.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{settings.assertion_private_key} is not a usable Ed25519 key: {error}"
        raise SystemExit(message) from None


def _server(
    settings: GatewaySettings,
    rules: AccessRulesFile,
    keys: SigningKeys,
    upstreams: Upstreams,
) -> Server:
    """The gRPC server with everything it answers, the forwarder last: it takes any method."""
    authenticator = Authenticator(rules, TokenVerifier(keys))
    limits = Limits(
        message_bytes=settings.message_bytes,
        chunk_bytes=settings.chunk_bytes,
        points_per_batch=settings.points_per_batch,
        page_size=LARGEST_PAGE_SIZE,
    )
    identity = IdentityService(
        authenticator, rules, limits, development=settings.dev_issuer is not None
    )
    forwarder = Forwarder(
        authenticator, AssertionDesk(_signer(settings)), upstreams, settings.message_bytes
    )
    server = Server(settings, [], _AREAS, settings.credentials())
    add_IdentityServiceServicer_to_server(identity, server.grpc)
    server.grpc.add_generic_rpc_handlers((forwarder,))
    return server


async def run(settings: GatewaySettings) -> None:
    """Run the gateway until it is told to stop.

    Raises:
        SystemExit: A file that a setting names cannot be used, or an address cannot be bound.
    """
    keys = SigningKeys()
    issuer = _dev_issuer(settings)

    def accept(rules: AccessRules) -> None:
        if issuer is not None:
            issuer.check(rules)
        keys.follow(rules)

    try:
        rules = AccessRulesFile(settings.access_file, accept)
    except AccessFileError as error:
        message = f"The access rules cannot be used:\n{error}"
        raise SystemExit(message) from None
    addresses = {"tracking": settings.tracking_address, "registry": settings.registry_address}
    upstreams = Upstreams(addresses, settings.message_bytes)
    server = _server(settings, rules, keys, upstreams)
    if issuer is not None:
        await issuer.start()
    # An issuer that is down is no reason not to start: its callers are told so.
    await keys.first_fetch()
    watching = asyncio.create_task(rules.watch())
    closers = [upstreams.close, keys.close, *([issuer.stop] if issuer else [])]
    await serve_until_stopped(server, close=closers)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


def main() -> None:
    """Read the settings and run."""
    configure_logging("gateway")
    asyncio.run(run(read_settings(GatewaySettings)))


if __name__ == "__main__":
    main()
