"""Service accounts that prove by a private key who they are (RFC 7523)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.dev_issuer.clients import PRIVATE_KEY

if TYPE_CHECKING:
    from gateway.dev_issuer.clients import RegisteredClient

ASSERTION_ALGORITHMS = ("RS256", "ES256")
# Longer ones would have to be remembered for longer.
_LONGEST_LIFETIME_S = 3600


class ClientAssertion(JWTBearerClientAssertion):
    """Checks the assertions of service accounts; each is good once.

    Args:
        issuer: The issuer that assertions are made out to, by its own name or its token endpoint.
    """

    CLIENT_AUTH_METHOD = PRIVATE_KEY

    def __init__(self, issuer: str) -> None:
        super().__init__()
        self._audiences = [issuer, f"{issuer}/token"]
        self._used: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def get_audiences(self) -> list[str]:
        """Whom an assertion may be made out to."""
        return self._audiences

    def resolve_client_public_key(self, client: RegisteredClient) -> KeySet:
        """The keys of a service account; none of anybody else's fits."""
        if client.config.public_keys is None:
            raise InvalidClientError(description="The client has no public keys.")
        return KeySet.import_key_set(client.config.public_keys)  # type: ignore[arg-type] # checked when it was read

    def process_assertion_claims(self, assertion: str, resolve_key: KeySet) -> dict[str, Any]:
        """The claims of an assertion that verifies."""
        try:
            token = jwt.decode(assertion, resolve_key, algorithms=list(ASSERTION_ALGORITHMS))
        except (JoseError, ValueError) as error:
            raise InvalidClientError(description="The assertion does not verify.") from error
        self.verify_claims(token.claims)
        return dict(token.claims)

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        """Whether this is the assertion's first use, and it ends soon."""
        now, until = int(time.time()), int(claims["exp"]) + self.leeway
        if until > now + _LONGEST_LIFETIME_S:
            return False
        with self._lock:
            self._used = {key: end for key, end in self._used.items() if end > now}
            first = (claims["sub"], jti) not in self._used
            self._used[claims["sub"], jti] = until
        return first
