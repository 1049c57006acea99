"""The issuer's clients and people, as Authlib wants to see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin

from gateway.dev_issuer.password_hash import verify_secret
from service_chassis.service_settings import is_loopback_host

if TYPE_CHECKING:
    from gateway.dev_issuer.config import Client, Person

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PRIVATE_KEY = "private_key_jwt"
SCOPES = ("openid", "profile", "email", "groups", "offline_access")


def _without_port(uri: str) -> tuple[str, str, str, str] | None:
    parts = urlsplit(uri)
    if parts.scheme != "http" or parts.username or parts.fragment:
        return None
    if not is_loopback_host(parts.hostname or ""):
        return None
    return parts.scheme, parts.hostname or "", parts.path, parts.query


@dataclass(frozen=True)
class RegisteredClient(ClientMixin):
    """A configured client."""

    config: Client

    @property
    def client_id(self) -> str:
        """The client's identifier."""
        return self.config.client_id

    @property
    def logs_people_in(self) -> bool:
        """Whether it is a public client for people, rather than a service account."""
        return bool(self.config.redirect_uris)

    @property
    def client_metadata(self) -> dict[str, object]:
        """Where the browser may go after a logout."""
        return {"post_logout_redirect_uris": list(self.config.post_logout_redirect_uris)}

    def get_client_id(self) -> str:
        """The client's identifier."""
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """None: every request has to name its redirect URI."""

    def get_allowed_scope(self, scope: str | None) -> str:
        """The part of the scope that there is; service accounts have none."""
        if not scope or not self.logs_people_in:
            return ""
        return " ".join(word for word in scope.split() if word in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Exact comparison, except that a loopback URI may use any port (RFC 8252, 7.3)."""
        if redirect_uri in self.config.redirect_uris:
            return True
        wanted = _without_port(redirect_uri)
        return wanted is not None and any(
            _without_port(registered) == wanted for registered in self.config.redirect_uris
        )

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether this is the secret of the service account."""
        stored = self.config.secret_hash
        return stored is not None and verify_secret(client_secret, stored)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Public clients authenticate by nothing, service accounts by their secret or key."""
        if method == PRIVATE_KEY:
            return self.config.public_keys is not None
        return (method == "none") == self.logs_people_in

    def check_response_type(self, response_type: str) -> bool:
        """Only codes are given out."""
        return self.logs_people_in and response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Logins for public clients, client credentials for service accounts."""
        if self.logs_people_in:
            return grant_type in {"authorization_code", "refresh_token", DEVICE_GRANT}
        return grant_type == "client_credentials"


@dataclass(frozen=True)
class Account:
    """A person who logged in."""

    person: Person

    def get_user_id(self) -> str:
        """The `sub` of the tokens."""
        return self.person.sub

    def claims(self) -> dict[str, object]:
        """What tokens say about the person."""
        claims: dict[str, object] = {"name": self.person.name, "groups": list(self.person.groups)}
        if self.person.email:
            claims |= {"email": self.person.email, "email_verified": True}
        return claims
