"""The gateway's pages put together."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.http_server import HttpServer
from gateway.web import cookies
from gateway.web.account_page import AccountPage
from gateway.web.backchannel_logout import BackchannelLogout
from gateway.web.door import BodyRefusedError, Door
from gateway.web.login_pages import LoginPages
from gateway.web.pages import icon, page, style
from gateway.web.provider import Providers
from gateway.web.refusals import LoginRefusedError, PageRefusedError
from gateway.web.return_path import HOME
from gateway.web.sealing import Sealer, read_keys
from gateway.web.session_store import SessionStore
from gateway.web.sessions import Sessions
from gateway.web.site import Site, note
from service_chassis.database import Database
from service_chassis.errors import Code, StudbookError
from service_chassis.security_log import record_denial, record_refusal

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import HTTPExceptionHandler

    from gateway.authentication import Authenticator, RulesSource
    from gateway.settings import GatewaySettings
    from gateway.signing_keys import SigningKeys
    from gateway.turnstile import Turnstile

_log = structlog.get_logger("studbook.web")

_STATUSES = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
_WORDS = {
    HTTPStatus.NOT_FOUND: "There is no such page.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This page cannot be asked in that way.",
}


async def _home(_request: Request) -> Response:
    return RedirectResponse(HOME, 303)


async def _not_served(_request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    response = page("refused.html", status=status, words=_WORDS.get(status, status.phrase + "."))
    response.headers.update(getattr(error, "headers", None) or {})
    return response


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, PageRefusedError)  # noqa: S101 - what the handler is registered for
    note(request, **record_denial(error.code, error.reason, **error.for_log))
    response = page("refused.html", status=error.status, words=error.words)
    if isinstance(error, LoginRefusedError) and error.reason != "STATE_INVALID":
        # The login is over. One of another page's making does not end the one under way.
        cookies.drop(response, cookies.LOGIN)
    return response


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, StudbookError)  # noqa: S101 - as above
    note(request, **record_refusal(error, None))
    status = _STATUSES.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    response = page("refused.html", status=status, words=error.message)
    if error.retry_after_s:
        response.headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    return response


async def _body_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, BodyRefusedError)  # noqa: S101 - as above
    response = page("refused.html", status=error.status, words=f"{error.status.phrase}.")
    response.headers["connection"] = "close"
    return response


async def _defect(request: Request, error: Exception) -> Response:
    _log.error("defect", path=request.url.path[:256], exc_info=error)
    return page("refused.html", status=500, words="Something went wrong here; it was noted down.")


class Web:
    """The pages, their database and their server.

    Args:
        settings: Where they are served, and limits.
        authenticator: Says whose a token is; the same that admits calls.
        keys: The issuers' keys.
        rules: The access rules in force.
        turnstile: Keeps count of everybody's calls.

    Raises:
        SystemExit: The file of keys cannot be used.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        authenticator: Authenticator,
        keys: SigningKeys,
        rules: RulesSource,
        turnstile: Turnstile,
    ) -> None:
        assert settings.web_key_file is not None  # noqa: S101 - the settings see to it
        sealer = Sealer(read_keys(settings.web_key_file))
        self._database = Database(settings.web_database_url, "gateway", pool_size=2)
        providers = Providers()
        sessions = Sessions(
            SessionStore(self._database),
            sealer,
            authenticator,
            providers,
            rules,
            lasts_s=int(settings.web_session_hours * 3600),
        )
        site = Site(settings.web_public_url, sessions, turnstile)
        login = LoginPages(site, sessions, providers, sealer, keys, rules)
        routes = [
            Route("/", _home, methods=["GET"]),
            *login.routes(),
            BackchannelLogout(sessions, keys, rules).route(),
            site.page(HOME, AccountPage(sessions).show),
            Route("/static/{version}/studbook.css", style, methods=["GET"]),
            Route("/static/{version}/studbook.svg", icon, methods=["GET"]),
        ]
        handlers: dict[type[Exception], HTTPExceptionHandler] = {
            HTTPException: _not_served,
            PageRefusedError: _refused,
            StudbookError: _failed,
            BodyRefusedError: _body_refused,
            Exception: _defect,
        }
        # Round everything, so that not even a defect is answered without its headers.
        app = Door(Starlette(routes=routes, exception_handlers=handlers), site.origin)
        host, _, port = settings.web_listen.rpartition(":")
        self._server = HttpServer(
            app, "The web server", host.strip("[]"), int(port), settings.web_certificate()
        )
        self.origin = site.origin

    async def start(self) -> None:
        """Bring the database up to date and serve.

        Raises:
            SystemExit: The address cannot be bound.
        """
        self._database.migrate()
        await self._server.start()
        _log.info("serving pages", url=self.origin)

    async def close(self) -> None:
        """Stop serving."""
        await self._server.stop()
        self._database.close()
