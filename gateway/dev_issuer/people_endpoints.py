"""The endpoints of the issuer for people and service accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import AccessDeniedError, OAuth2Error, ResourceProtector
from authlib.oidc import discovery, rpinitiated
from authlib.oidc.core.errors import LoginRequiredError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.dev_issuer.access_tokens import AccessTokenValidator
from gateway.dev_issuer.client_assertion import ASSERTION_ALGORITHMS
from gateway.dev_issuer.clients import DEVICE_GRANT, PRIVATE_KEY, SCOPES
from gateway.dev_issuer.device_endpoints import DeviceEndpoints
from gateway.dev_issuer.grants import user_info
from gateway.dev_issuer.login_page import MISMATCH, STALE, LoginForms, error_page, notice_page
from gateway.dev_issuer.provider import FormRequest, Provider

if TYPE_CHECKING:
    from starlette.requests import Request


_CLIENT_AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post")


class PeopleEndpoints:
    """Discovery, keys, login, tokens, userinfo and logout."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._config = provider.config
        self._forms = LoginForms()
        self._devices = DeviceEndpoints(provider, self._forms)
        self._protector = ResourceProtector()
        self._protector.register_token_validator(AccessTokenValidator(provider))
        self._metadata = self._describe()

    def routes(self, path: str) -> list[Route]:
        """The routes below the path of the issuer's URL."""
        return [
            Route(f"{path}/.well-known/openid-configuration", self.discovery),
            Route(f"{path}/jwks", self.keys),
            Route(f"{path}/authorize", self.authorize, methods=["GET", "POST"]),
            Route(f"{path}/token", self.token, methods=["POST"]),
            Route(f"{path}/userinfo", self.userinfo, methods=["GET", "POST"]),
            Route(f"{path}/revoke", self.revoke, methods=["POST"]),
            Route(f"{path}/logout", self.logout, methods=["GET", "POST"]),
            *self._devices.routes(path),
        ]

    def _describe(self) -> dict[str, Any]:
        issuer = self._config.issuer
        metadata = discovery.OpenIDProviderMetadata(
            issuer=issuer,
            authorization_endpoint=f"{issuer}/authorize",
            token_endpoint=f"{issuer}/token",
            device_authorization_endpoint=f"{issuer}/device_authorization",
            userinfo_endpoint=f"{issuer}/userinfo",
            revocation_endpoint=f"{issuer}/revoke",
            end_session_endpoint=f"{issuer}/logout",
            jwks_uri=f"{issuer}/jwks",
            scopes_supported=list(SCOPES),
            response_types_supported=["code"],
            response_modes_supported=["query"],
            grant_types_supported=[
                "authorization_code",
                "refresh_token",
                "client_credentials",
                DEVICE_GRANT,
            ],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=sorted({self._provider.key.algorithm, "RS256"}),
            token_endpoint_auth_methods_supported=[*_CLIENT_AUTH_METHODS, PRIVATE_KEY],
            token_endpoint_auth_signing_alg_values_supported=list(ASSERTION_ALGORITHMS),
            revocation_endpoint_auth_methods_supported=list(_CLIENT_AUTH_METHODS),
            code_challenge_methods_supported=["S256"],
            authorization_response_iss_parameter_supported=True,
            prompt_values_supported=["none", "login"],
            claims_supported=["sub", "name", "email", "email_verified", "groups"],
        )
        metadata.validate(metadata_classes=[rpinitiated.OpenIDProviderMetadata])
        return dict(metadata)

    async def discovery(self, _request: Request) -> Response:
        """The issuer's description of itself."""
        return JSONResponse(self._metadata)

    async def keys(self, _request: Request) -> Response:
        """The public keys."""
        return JSONResponse(self._provider.key.public_keys())

    async def authorize(self, request: Request) -> Response:
        """Log somebody in and send a code to the client."""
        oauth = await FormRequest.read(request)
        return await run_in_threadpool(self._authorize, request, oauth)

    def _authorize(self, request: Request, oauth: FormRequest) -> Response:
        try:
            grant = self._provider.get_consent_grant(oauth, end_user=None)
        except LoginRequiredError as error:
            return self._without_a_page(request, oauth, error)
        except OAuth2Error as error:
            return self._refuse(error)
        if request.method == "GET":
            return self._forms.page(request, self._config.people)
        if not self._forms.is_genuine(request, oauth.form.get("proof", "")):
            return self._forms.page(request, self._config.people, STALE)
        account = self._provider.log_in(oauth.form)
        if account is None:
            return self._forms.page(request, self._config.people, MISMATCH)
        response: Response = self._provider.create_authorization_response(oauth, account, grant)
        return response

    def _without_a_page(
        self, request: Request, oauth: FormRequest, required: LoginRequiredError
    ) -> Response:
        """Answer `prompt=none`: at once for people with auto_login, which a terminal asks for.

        Not when a web page of somebody else sent the browser here; browsers say so.
        """
        required.state = oauth.payload.state
        account = self._provider.account(oauth.payload.data.get("login_hint", ""))
        elsewhere = request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        if account is None or not account.person.auto_login or elsewhere:
            return self._refuse(required)
        try:
            grant = self._provider.get_consent_grant(oauth, end_user=account)
        except OAuth2Error as error:
            return self._refuse(error)
        response: Response = self._provider.create_authorization_response(oauth, account, grant)
        return response

    def _refuse(self, error: OAuth2Error) -> Response:
        if not error.redirect_uri:
            return error_page(error.description or error.error or "The request is invalid.")
        response: Response = self._provider.handle_error_response(None, error)
        self._provider.name_issuer(response)
        return response

    async def token(self, request: Request) -> Response:
        """Exchange a code, a refresh token or client credentials for tokens."""
        oauth = await FormRequest.read(request)
        return await run_in_threadpool(self._provider.create_token_response, oauth)

    async def revoke(self, request: Request) -> Response:
        """Take a token back."""
        oauth = await FormRequest.read(request)
        return await run_in_threadpool(self._provider.create_endpoint_response, "revocation", oauth)

    async def logout(self, request: Request) -> Response:
        """End a login on behalf of a client, and send the browser back to it if it may be."""
        oauth = await FormRequest.read(request)
        return await run_in_threadpool(self._log_out, oauth)

    def _log_out(self, oauth: FormRequest) -> Response:
        try:
            asked = self._provider.validate_endpoint_request("end_session", oauth)
        except OAuth2Error as error:
            return self._refuse(error)
        back: Response | None = self._provider.create_endpoint_response("end_session", asked)
        return back or notice_page("Logged out", "You can close this window.")

    async def userinfo(self, request: Request) -> Response:
        """What the bearer's scope lets a client know about the person."""
        try:
            token = self._protector.validate_request(["openid"], request)
            account = self._provider.account(token.sub)
            if account is None:
                raise AccessDeniedError
        except OAuth2Error as error:
            status, body, headers = error()
            return JSONResponse(body, status, headers=dict(headers))
        return JSONResponse(user_info(account, token.get_scope()))
