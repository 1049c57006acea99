"""The device grant (RFC 8628): logging in on a machine that has no browser."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import UnauthorizedClientError
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant

from gateway.dev_issuer.clients import DEVICE_GRANT
from gateway.dev_issuer.device_logins import LIFETIME_S, DeviceLogin
from gateway.dev_issuer.grants import check_resource

if TYPE_CHECKING:
    from authlib.oauth2.rfc6749 import OAuth2Request

    from gateway.dev_issuer.clients import Account, RegisteredClient
    from gateway.dev_issuer.provider import Provider


class DeviceAuthorization(DeviceAuthorizationEndpoint):
    """Begins a login: gives the device a code of its own, and one for the person to type."""

    server: Provider
    CLIENT_AUTH_METHODS = ["none"]  # noqa: RUF012 - Authlib declares it as a plain list
    EXPIRES_IN = LIFETIME_S

    def __init__(self, server: Provider) -> None:
        super().__init__(server)
        self.INTERVAL = server.config.device_interval_s

    def authenticate_client(self, request: OAuth2Request) -> RegisteredClient:
        """The client, when it may log people in and asks for tokens that are issued here."""
        client: RegisteredClient = super().authenticate_client(request)
        if not client.check_grant_type(DEVICE_GRANT):
            raise UnauthorizedClientError
        check_resource(self.server, request)
        return client

    def get_verification_uri(self) -> str:
        """Where people enter the code."""
        return f"{self.server.config.issuer}/device"

    def save_device_credential(self, client_id: str, scope: str | None, data: Any) -> None:
        """Remember what was asked for until somebody answers."""
        login = DeviceLogin(
            client_id=client_id,
            scope=scope or "",
            user_code=data["user_code"],
            interval_s=self.INTERVAL,
            expires_at=time.time() + self.EXPIRES_IN,
        )
        self.server.device_logins.add(data["device_code"], login)


class DeviceGrant(DeviceCodeGrant):
    """Gives the device its tokens, once somebody has confirmed the login."""

    server: Provider
    GRANT_TYPE = DEVICE_GRANT
    TOKEN_ENDPOINT_AUTH_METHODS = ["none"]  # noqa: RUF012 - Authlib declares it as a plain list

    def query_device_credential(self, device_code: str) -> DeviceLogin | None:
        """The login that the device began."""
        return self.server.device_logins.find(device_code)

    def query_user_grant(self, user_code: str) -> tuple[Account | None, bool] | None:
        """Who has confirmed it, or that somebody refused it."""
        return self.server.device_logins.take_answer(user_code)

    def should_slow_down(self, credential: DeviceLogin) -> bool:
        """Whether the device has asked sooner than it may."""
        return self.server.device_logins.asks_too_often(credential)
