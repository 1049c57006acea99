"""Signing in and out: the choice of a provider, the way there and back, and the end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.web import cookies
from gateway.web.id_token import proven_login
from gateway.web.logins import LOGIN_S, PendingLogin
from gateway.web.pages import page
from gateway.web.refusals import LoginRefusedError
from gateway.web.return_path import own_path
from gateway.web.site import Visit, note
from service_chassis.errors import StudbookError
from service_chassis.security_log import bearer_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from gateway.authentication import RulesSource
    from gateway.signing_keys import SigningKeys
    from gateway.web.provider import Provider, Providers, Tokens
    from gateway.web.sealing import Sealer
    from gateway.web.session_store import SessionRow
    from gateway.web.sessions import Sessions
    from gateway.web.site import Site


class LoginPages:
    """The pages of signing in and out.

    Args:
        site: What they are part of.
        sessions: Begins and ends sessions.
        providers: Where people log in.
        sealer: Seals the cookie of a login under way.
        keys: The issuers' keys.
        rules: The access rules in force.
    """

    def __init__(
        self,
        site: Site,
        sessions: Sessions,
        providers: Providers,
        sealer: Sealer,
        keys: SigningKeys,
        rules: RulesSource,
    ) -> None:
        self._site = site
        self._sessions = sessions
        self._providers = providers
        self._sealer = sealer
        self._keys = keys
        self._rules = rules
        self._redirect_uri = f"{site.origin}/callback"

    def routes(self) -> list[BaseRoute]:
        """Where they are."""
        return [
            Route("/login", self.choose, methods=["GET"]),
            Route("/login/{provider}", self.start, methods=["GET"]),
            Route("/callback", self.finish, methods=["GET"]),
            Route("/signed-out", self.signed_out, methods=["GET"]),
            self._site.form("/logout", self.sign_out),
            self._site.form("/account/sessions/end", self.end_one),
            self._site.form("/account/sessions/end-all", self.end_all),
        ]

    async def choose(self, request: Request) -> Response:
        """Where would you like to sign in?"""
        return_to = own_path(request.query_params.get("next", ""))
        if await self._site.session(request) is not None:
            return RedirectResponse(return_to, 303)
        response = page(
            "login.html",
            providers=self._providers.names(self._rules.current),
            query=urlencode({"next": return_to}),
        )
        if cookies.read(request, cookies.SESSION):
            # It leads nowhere any more.
            cookies.drop(response, cookies.SESSION)
        return response

    async def start(self, request: Request) -> Response:
        """Send the browser to a provider."""
        return_to = own_path(request.query_params.get("next", ""))
        elsewhere = request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        provider = await self._provider(request.path_params["provider"])
        if provider is None or elsewhere:
            # Somebody else's page does not sign people in: they see first what they are asked.
            return RedirectResponse(f"/login?{urlencode({'next': return_to})}", 303)
        pending = PendingLogin(provider.name, return_to)
        url = provider.authorization_url(
            self._redirect_uri,
            state=pending.state,
            nonce=pending.nonce,
            verifier=pending.verifier,
        )
        response = RedirectResponse(url, 303)
        cookies.put(response, cookies.LOGIN, pending.seal(self._sealer), LOGIN_S)
        return response

    async def _provider(self, name: str) -> Provider | None:
        return await self._providers.get(name, self._rules.current)

    async def finish(self, request: Request) -> Response:
        """Take the provider's answer and begin a session."""
        cookie = cookies.read(request, cookies.LOGIN)
        pending = PendingLogin.opened(self._sealer, cookie)
        provider = await self._provider(pending.provider)
        items = request.query_params.multi_items()
        if provider is None or len(dict(items)) != len(items):
            raise LoginRefusedError("STATE_INVALID", "a parameter twice, or provider gone")
        code = pending.code(dict(items), provider)
        tokens = await provider.redeem(code, self._redirect_uri, pending.verifier)
        login = await proven_login(tokens, provider, pending.nonce, self._keys)
        value, caller = await self._sessions.begin(
            tokens,
            provider,
            login=login,
            state=pending.state,
            device=request.headers.get("user-agent", ""),
        )
        await self._end_former(request)
        note(request, principal=caller.identity.principal.id)
        response = RedirectResponse(pending.return_to, 303)
        cookies.put(response, cookies.SESSION, value, self._sessions.lasts_s)
        cookies.drop(response, cookies.LOGIN)
        return response

    async def _end_former(self, request: Request) -> None:
        """End the session that this browser had; one that cannot be looked at ends by itself."""
        with contextlib.suppress(StudbookError):
            former = await self._sessions.find(cookies.read(request, cookies.SESSION))
            if former is not None:
                await self._sessions.end(former, former.row.digest)

    async def sign_out(self, visit: Visit) -> Response:
        """End this session, and the one at the provider."""
        digest = visit.session.row.digest
        ended = await self._end(visit, digest)
        own = next((pair for pair in ended if pair[0].digest == digest), None)
        return await self._goodbye(own, "You are signed out.")

    async def end_one(self, visit: Visit) -> Response:
        """End one of the person's sessions, chosen in the list."""
        digest = visit.form.get("session", "")
        if digest == visit.session.row.digest:
            return await self.sign_out(visit)
        if digest:
            await self._end(visit, digest)
        return RedirectResponse("/account#sessions", 303)

    async def end_all(self, visit: Visit) -> Response:
        """End all of them."""
        ended = await self._end(visit, "")
        own = next((pair for pair in ended if pair[0].digest == visit.session.row.digest), None)
        many = "one session" if len(ended) == 1 else f"{len(ended)} sessions"
        return await self._goodbye(own, f"You are signed out everywhere: {many} ended.")

    async def _end(self, visit: Visit, digest: str) -> list[tuple[SessionRow, Tokens]]:
        ended = await self._sessions.end(visit.session, digest)
        who = bearer_of(visit.caller.identity.principal)
        note(visit.request, security="logout", sessions=str(len(ended)), **who)
        return ended

    async def _goodbye(self, ended: tuple[SessionRow, Tokens] | None, words: str) -> Response:
        """Tell so, and let the browser end the provider's own session too.

        Not by a redirect: browsers hold what a form leads to against `form-action`, which names
        nobody but us.
        """
        leave = ""
        if ended is not None:
            with contextlib.suppress(StudbookError):
                provider = await self._provider(ended[0].provider)
                if provider is not None:
                    leave = provider.end_session_url(ended[1], f"{self._site.origin}/signed-out")
        response = page("signed_out.html", words=words, leave=leave)
        cookies.drop(response, cookies.SESSION)
        return response

    async def signed_out(self, _request: Request) -> Response:
        """Where the provider sends the browser after that."""
        return page("signed_out.html", words="You are signed out.", leave="")
