"""How a page is made one: who sees it, what a form must bring, and how a refusal looks.

A page of a signed-in person is a function of a `Visit`, put into the site's routes with `page`, or
with `form` when it changes something. No page looks at cookies or tokens itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.refusals import TokenRefusedError
from gateway.web import cookies
from gateway.web.door import RECORD
from gateway.web.forms import check_source, check_token, read_form
from service_chassis.security_log import record_refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.authentication import Authenticated
    from gateway.turnstile import Turnstile
    from gateway.web.sessions import Session, Sessions


@dataclass(frozen=True)
class Visit:
    """A signed-in person's request.

    Attributes:
        request: The request.
        session: The session, with the caller and what it may do.
        form: The fields of the form, checked to be one of ours; empty for a page.
    """

    request: Request
    session: Session
    form: dict[str, str]

    @property
    def caller(self) -> Authenticated:
        """Who it is, decided as for a gRPC call."""
        return self.session.caller


Page = Callable[[Visit], Awaitable[Response]]


def note(request: Request, **more: str) -> None:
    """Add to the request's one line in the log."""
    request.scope[RECORD].update(more)


class Site:
    """Lets the signed-in see pages and send forms, and sends others to sign in.

    Args:
        origin: Scheme and host as browsers have them.
        sessions: The sessions.
        turnstile: Keeps count of everybody's calls.
    """

    def __init__(self, origin: str, sessions: Sessions, turnstile: Turnstile) -> None:
        self.origin = origin
        self._sessions = sessions
        self._turnstile = turnstile

    def page(self, path: str, show: Page) -> Route:
        """A page for those who are signed in. It changes nothing."""

        async def answer(request: Request) -> Response:
            session = await self.session(request)
            if session is None:
                return _to_login(request)
            return await show(Visit(request, session, {}))

        return Route(path, answer, methods=["GET"])

    def form(self, path: str, act: Page) -> Route:
        """Where a form of such a page is sent."""

        async def answer(request: Request) -> Response:
            check_source(request, self.origin)
            form = await read_form(request)
            session = await self.session(request)
            if session is None:
                return RedirectResponse("/login", 303)
            check_token(form, session.id)
            return await act(Visit(request, session, form))

        return Route(path, answer, methods=["POST"])

    async def session(self, request: Request) -> Session | None:
        """The session of a request, counted as one of the person's calls; None without one.

        Raises:
            StudbookError: RATE_LIMITED; or that provider or database cannot be reached.
        """
        cookie = cookies.read(request, cookies.SESSION)
        if not cookie:
            return None
        try:
            session = await self._sessions.find(cookie)
        except TokenRefusedError as refusal:
            # The session is over, which the person is told by being asked to sign in again.
            note(request, **record_refusal(refusal, None))
            return None
        if session is not None:
            principal = session.caller.identity.principal
            note(request, principal=principal.id)
            self._turnstile.count(principal)
        return session


def _to_login(request: Request) -> Response:
    path = request.url.path
    asked = f"{path}?{request.url.query}" if request.url.query else path
    return RedirectResponse(f"/login?{urlencode({'next': asked})}", 303)
