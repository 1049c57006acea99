"""Tokens for a service account: client credentials with a secret, or with a private key.

Importing this module loads no HTTP or OAuth library.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument, Unauthenticated, Unavailable
from studbook.fork_gate import importing

if TYPE_CHECKING:
    from collections.abc import Callable

    from studbook.client_key import ClientKey
    from studbook.login_provider import Provider
    from studbook.stored_logins import Login

_ID = "STUDBOOK_CLIENT_ID"
_SECRET = "STUDBOOK_CLIENT_SECRET"  # noqa: S105 - the name of a variable
_SECRET_FILE = "STUDBOOK_CLIENT_SECRET_FILE"  # noqa: S105 - as above
_KEY_FILE = "STUDBOOK_CLIENT_KEY_FILE"
_KEY_ID = "STUDBOOK_CLIENT_KEY_ID"
_PROVIDER = "STUDBOOK_LOGIN_PROVIDER"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class ClientCredentials:
    """Tokens for a service account, from the server's login provider.

    Args:
        address: The server, which knows its login provider.
        client_id: The service account.
        proof: Its secret or private key; asked for before each token, so that either may be
            exchanged while this runs.
        provider_name: Which login provider, where the server has several.
    """

    def __init__(
        self,
        address: str,
        client_id: str,
        proof: Callable[[], str | ClientKey],
        provider_name: str = "",
    ) -> None:
        self._address = address
        self._provider_name = provider_name
        self._client_id = client_id
        self._proof = proof
        self._login: Login | None = None
        # Whom assertions are made out to: what the provider took last time.
        self._audience = ""
        self._lock = threading.Lock()

    def token(self) -> str | None:
        """The present token, or the next one shortly before it expires."""
        return self._present(lasting=False)

    def lasting_token(self) -> str | None:
        """The same with at least half of its life before it."""
        return self._present(lasting=True)

    def _present(self, *, lasting: bool) -> str:
        with self._lock:
            if self._login is None or self._login.is_due(lasting=lasting):
                self._login = self._next(self._login)
            return self._login.access_token

    def _next(self, present: Login | None) -> Login:
        with importing():
            from studbook import login_provider  # noqa: PLC0415 - loads the OAuth library

        try:
            provider = login_provider.discover(self._address, self._provider_name)
            proof = self._proof()
            if isinstance(proof, str):
                return login_provider.client_credentials(provider, self._client_id, proof)
            return self._with_key(provider, proof)
        except Unavailable:
            if present is not None and not present.is_expired():
                return present
            raise
        except Unauthenticated as error:
            raise Unauthenticated(
                error.message,
                reason=error.reason,
                metadata=error.metadata,
                next_step=f"Check {_ID} and {_SECRET} (or its _FILE), or {_KEY_FILE}.",
            ) from None

    def _with_key(self, provider: Provider, key: ClientKey) -> Login:
        """Providers differ in whom an assertion has to name: their issuer or the endpoint."""
        with importing():
            from studbook import login_provider  # noqa: PLC0415 - loads the OAuth library

        audiences = [provider.issuer, provider.token_endpoint]
        audiences.sort(key=lambda audience: audience != self._audience)
        for audience in audiences:
            assertion = key.assertion(self._client_id, audience)
            try:
                login = login_provider.client_credentials(
                    provider,
                    self._client_id,
                    client_assertion_type=_ASSERTION,
                    client_assertion=assertion,
                )
            except Unauthenticated:
                if audience == audiences[-1]:
                    raise
            else:
                self._audience = audience
                return login
        raise AssertionError


def from_environment(address: str) -> ClientCredentials | None:
    """The service account that the environment names; None when it names none.

    Raises:
        InvalidArgument: It names one without a usable secret or key, or with both.
    """
    client_id = os.environ.get(_ID)
    if not client_id:
        return None
    given = [name for name in (_SECRET, _SECRET_FILE, _KEY_FILE) if os.environ.get(name)]
    if len(given) != 1:
        which = f"both {given[0]} and {given[1]} are" if given else "neither a secret nor a key is"
        message = f"{_ID} is set, but {which}. Set one of {_SECRET}, {_SECRET_FILE}, {_KEY_FILE}."
        raise InvalidArgument(message, reason="FIELD_INVALID" if given else "FIELD_REQUIRED")
    proof = _PROOFS[given[0]]
    proof()
    return ClientCredentials(address, client_id, proof, os.environ.get(_PROVIDER, ""))


def read_secret(path: Path, variable: str) -> str:
    """What a file holds that a variable names.

    Raises:
        InvalidArgument: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{variable} names {path}, which cannot be read: {error}."
        raise InvalidArgument(message, reason="FIELD_INVALID") from error


def _key() -> ClientKey:
    with importing():
        from studbook.client_key import read_client_key  # noqa: PLC0415 - loads the OAuth library

    return read_client_key(Path(os.environ[_KEY_FILE]), os.environ.get(_KEY_ID, ""))


_PROOFS: dict[str, Callable[[], str | ClientKey]] = {
    _SECRET: lambda: os.environ[_SECRET],
    _SECRET_FILE: lambda: read_secret(Path(os.environ[_SECRET_FILE]), _SECRET_FILE),
    _KEY_FILE: _key,
}
