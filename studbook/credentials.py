"""Where the token that goes with each call comes from.

Importing this module loads no HTTP or OAuth library; the sources that need one load it when they
first talk to the login provider.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Protocol

from studbook import job_tokens
from studbook.exceptions import InvalidArgument, Unauthenticated, Unavailable
from studbook.stored_logins import Login, StoredLogins

# Tokens are renewed this long before they expire: longer than a call and clock differences take.
_RENEW_BEFORE_S = 60.0


class TokenSource(Protocol):
    """Knows a token that is valid now."""

    def token(self) -> str | None:
        """The token for a call that is about to be made; None to call without one.

        Raises:
            StudbookError: There should be a token, but it cannot be had.
        """


class NoToken:
    """Calls without a token."""

    def token(self) -> str | None:
        """None."""
        return None


class FixedToken:
    """One token for all calls, for example one that a CI system gave its job."""

    def __init__(self, token: str) -> None:
        self._token = check_token(token)

    def token(self) -> str | None:
        """The token."""
        return self._token


class FileToken:
    """A token in a file that somebody else renews, such as a Kubernetes projected token."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self) -> str | None:
        """What the file holds now."""
        return check_token(_read_secret(self._path, "STUDBOOK_TOKEN_FILE"))


class ClientCredentials:
    """Tokens for a service account, from the server's login provider.

    Args:
        address: The server, which knows its login provider.
        client_id: The service account.
        client_secret: Its secret.
        provider_name: Which login provider, where the server has several.
    """

    def __init__(
        self, address: str, client_id: str, client_secret: str, provider_name: str = ""
    ) -> None:
        self._address = address
        self._provider_name = provider_name
        self._client_id = client_id
        self._client_secret = client_secret
        self._login: Login | None = None
        self._lock = threading.Lock()

    def token(self) -> str | None:
        """The present token, or the next one shortly before it expires."""
        with self._lock:
            if self._login is None or _due(self._login):
                self._login = self._next(self._login)
            return self._login.access_token

    def _next(self, present: Login | None) -> Login:
        from studbook import login_provider  # noqa: PLC0415 - loads the OAuth library

        try:
            provider = login_provider.discover(self._address, self._provider_name)
            return login_provider.client_credentials(provider, self._client_id, self._client_secret)
        except Unavailable:
            if present is not None and not _expired(present):
                return present
            raise
        except Unauthenticated as error:
            raise Unauthenticated(
                error.message,
                reason=error.reason,
                metadata=error.metadata,
                next_step="Check STUDBOOK_CLIENT_ID and STUDBOOK_CLIENT_SECRET (or its _FILE).",
            ) from None


class StoredLogin:
    """The login that `studbook login` made, renewed as long as the login provider allows.

    Args:
        address: The server.
        logins: Where logins are kept.
    """

    def __init__(self, address: str, logins: StoredLogins | None = None) -> None:
        self._address = address
        self._logins = logins if logins is not None else StoredLogins()

    def token(self) -> str | None:
        """The present token, or the next one shortly before it expires."""
        login = self._logins.find(self._address)
        if login is None:
            return None
        if not _due(login):
            return login.access_token
        if login.refresh_token:
            login = self._renewed()
        elif _expired(login):
            raise self._over()
        return login.access_token

    def _renewed(self) -> Login:
        """Use the refresh token, which is good for one use: one process at a time."""
        with self._logins.locked():
            login = self._logins.find(self._address)
            if login is None:
                raise self._over()
            if not _due(login) or not login.refresh_token:
                return login
            from studbook import login_provider  # noqa: PLC0415 - loads the OAuth library

            try:
                renewed = login_provider.refresh(login)
            except Unavailable:
                if _expired(login):
                    raise
                return login
            except Unauthenticated as error:
                self._logins.remove(self._address)
                raise self._over() from error
            self._logins.save(self._address, renewed)
            return renewed

    def _over(self) -> Unauthenticated:
        return Unauthenticated(f"The login at {self._address} has expired.", reason="TOKEN_EXPIRED")


def _due(login: Login) -> bool:
    return login.expires_at is not None and time.time() > login.expires_at - _RENEW_BEFORE_S


def _expired(login: Login) -> bool:
    return login.expires_at is not None and time.time() > login.expires_at


def check_token(text: str) -> str:
    """The token, when it can be one at all.

    Raises:
        InvalidArgument: It is empty or holds what no token holds. The text is not repeated.
    """
    token = text.strip()
    if not token or not token.isascii() or any(not "!" <= letter <= "~" for letter in token):
        message = "The token is empty or holds characters that no token holds."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return token


def _read_secret(path: Path, variable: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{variable} names {path}, which cannot be read: {error}."
        raise InvalidArgument(message, reason="FIELD_INVALID") from error


def _client_secret() -> str:
    if path := os.environ.get("STUDBOOK_CLIENT_SECRET_FILE"):
        return _read_secret(Path(path), "STUDBOOK_CLIENT_SECRET_FILE")
    secret = os.environ.get("STUDBOOK_CLIENT_SECRET", "")
    if not secret:
        message = "STUDBOOK_CLIENT_ID is set, but neither STUDBOOK_CLIENT_SECRET nor its _FILE is."
        raise InvalidArgument(message, reason="FIELD_REQUIRED")
    return secret


def default_token_source(address: str) -> TokenSource:
    """What to use when nothing else was said.

    In this order: STUDBOOK_TOKEN; STUDBOOK_TOKEN_FILE; STUDBOOK_CLIENT_ID with
    STUDBOOK_CLIENT_SECRET or STUDBOOK_CLIENT_SECRET_FILE; the token of the CI job that this is,
    where the server takes tokens of that CI system; the login stored for the server.

    Args:
        address: The server, as `host:port`.

    Raises:
        InvalidArgument: One of these is set to what cannot be used.
    """
    if token := os.environ.get("STUDBOOK_TOKEN"):
        return FixedToken(token)
    if path := os.environ.get("STUDBOOK_TOKEN_FILE"):
        return FileToken(Path(path))
    if client_id := os.environ.get("STUDBOOK_CLIENT_ID"):
        provider = os.environ.get("STUDBOOK_LOGIN_PROVIDER", "")
        return ClientCredentials(address, client_id, _client_secret(), provider)
    login = StoredLogin(address)
    return job_tokens.find(address, login) or login
