"""Where a device asks to be logged in, and the page on which somebody does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from gateway.dev_issuer.login_page import MISMATCH, STALE, device_code_page, notice_page
from gateway.dev_issuer.provider import FormRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gateway.dev_issuer.device_logins import DeviceLogin
    from gateway.dev_issuer.login_page import LoginForms
    from gateway.dev_issuer.provider import Provider

_OVER = "There is no login with this code, or no longer. Please look at the device again."


class DeviceEndpoints:
    """The endpoint for devices, and the page for people.

    Whoever opens the page logs in anew for each code and sees which one it is: somebody who is
    merely sent the address by a stranger cannot log the stranger's device in by a careless click
    on a page that says nothing (RFC 8628, section 5.4).
    """

    def __init__(self, provider: Provider, forms: LoginForms) -> None:
        self._provider = provider
        self._forms = forms

    def routes(self, path: str) -> list[Route]:
        """The routes below the path of the issuer's URL."""
        return [
            Route(f"{path}/device_authorization", self.begin, methods=["POST"]),
            Route(f"{path}/device", self.page, methods=["GET", "POST"]),
        ]

    async def begin(self, request: Request) -> Response:
        """Codes for a device that wants to log in."""
        oauth = await FormRequest.read(request)
        return await run_in_threadpool(
            self._provider.create_endpoint_response, "device_authorization", oauth
        )

    async def page(self, request: Request) -> Response:
        """The page: first for the code, then for the login."""
        oauth = await FormRequest.read(request)
        return await run_in_threadpool(self._page, request, oauth.form)

    def _page(self, request: Request, form: dict[str, str]) -> Response:
        typed = request.query_params.get("user_code", "")
        if not typed:
            return device_code_page()
        login = self._provider.device_logins.pending(typed)
        if login is None:
            return device_code_page(_OVER)
        if request.method == "GET":
            return self._ask(request, login)
        return self._answer(request, login, form)

    def _ask(self, request: Request, login: DeviceLogin, error: str = "") -> Response:
        people = self._provider.config.people
        return self._forms.page(request, people, error, device_code=login.user_code)

    def _answer(self, request: Request, login: DeviceLogin, form: dict[str, str]) -> Response:
        if not self._forms.is_genuine(request, form.get("proof", "")):
            return self._ask(request, login, STALE)
        account = None if "refuse" in form else self._provider.log_in(form)
        if account is None and "refuse" not in form:
            return self._ask(request, login, MISMATCH)
        if not self._provider.device_logins.answer(login, account):
            return device_code_page(_OVER)
        if account is None:
            return notice_page("Refused", "The device was not logged in.")
        return notice_page("Logged in", "Go back to your device. You can close this window.")
