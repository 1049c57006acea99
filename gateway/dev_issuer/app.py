"""The development issuer as an ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, Response

from gateway.dev_issuer.ci_endpoints import CiEndpoints
from gateway.dev_issuer.config import DevIssuerConfig
from gateway.dev_issuer.people_endpoints import PeopleEndpoints
from gateway.dev_issuer.provider import BodyTooLargeError, Provider

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import HTTPExceptionHandler

__all__ = ["DevIssuerConfig", "create_app"]

_log = structlog.get_logger("studbook.dev_issuer")


async def _too_large(_request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 413)


async def _not_oauth(_request: Request, error: Exception) -> Response:
    # Authlib refuses URLs that are neither https nor on loopback while it reads the request.
    return PlainTextResponse(str(error), 400)


def create_app(config: DevIssuerConfig) -> Starlette:
    """The application: people and service accounts, and the CI when one is configured.

    It has to be served at exactly the host and port of its issuer URL, on loopback.

    Raises:
        ConfigError: A signing key cannot be used.
    """
    _log.warning(
        "DEVELOPMENT ISSUER: it logs people in without asking who they are. "
        "Never use it for anything but trying Studbook on your own machine.",
        issuer=config.issuer,
        logs_in_unasked=[person.sub for person in config.people if person.auto_login],
    )
    address = urlsplit(config.issuer)
    routes = PeopleEndpoints(Provider(config)).routes(address.path)
    if config.ci is not None:
        routes += CiEndpoints(config.ci).routes(urlsplit(config.ci.issuer).path)
    handlers: dict[type[Exception], HTTPExceptionHandler] = {
        BodyTooLargeError: _too_large,
        OAuth2Error: _not_oauth,
    }
    # Only the issuer's own host name: a web page elsewhere whose name resolves to loopback must
    # not be able to read what is served here.
    host = Middleware(
        TrustedHostMiddleware, allowed_hosts=[address.hostname or ""], www_redirect=False
    )
    return Starlette(routes=routes, middleware=[host], exception_handlers=handlers)
