"""Where the token that goes with each call comes from.

Importing this module loads no HTTP or OAuth library; the sources that need one load it when they
first talk to the login provider.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, runtime_checkable

from studbook import job_tokens, service_account
from studbook.exceptions import InvalidArgument
from studbook.login_tokens import StoredLogin


class TokenSource(Protocol):
    """Knows a token that is valid now."""

    def token(self) -> str | None:
        """The token for a call that is about to be made; None to call without one.

        Raises:
            StudbookError: There should be a token, but it cannot be had.
        """


@runtime_checkable
class LastingTokenSource(TokenSource, Protocol):
    """Can renew its token long before it has to.

    The server ends a stream when the token that opened it expires.
    """

    def lasting_token(self) -> str | None:
        """A token with at least half of its life before it, for a call that may take long.

        Raises:
            StudbookError: As `token`.
        """


class NoToken:
    """Calls without a token."""

    def token(self) -> str | None:
        """None."""
        return None


class FixedToken:
    """One token for all calls, for example one that a CI system gave its job.

    Args:
        token: The token.
        source: Where it is from, for messages.
    """

    def __init__(self, token: str, source: str = "The token") -> None:
        self._token = check_token(token, source)

    def token(self) -> str | None:
        """The token."""
        return self._token


class FileToken:
    """A token in a file that somebody else renews, such as a Kubernetes projected token."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self) -> str | None:
        """What the file holds now."""
        text = service_account.read_secret(self._path, "STUDBOOK_TOKEN_FILE")
        return check_token(text, f"What {self._path} holds")


def check_token(text: str, source: str = "The token") -> str:
    """The token, when it can be one at all.

    Args:
        text: What is to be one.
        source: What it is called in the message when it is none.

    Raises:
        InvalidArgument: It is empty or holds what no token holds. The text is not repeated.
    """
    token = text.strip()
    if not token or not token.isascii() or any(not "!" <= letter <= "~" for letter in token):
        message = f"{source} is empty or holds characters that no token holds."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return token


def default_token_source(address: str) -> TokenSource:
    """What to use when nothing else was said.

    In this order: STUDBOOK_TOKEN; STUDBOOK_TOKEN_FILE; STUDBOOK_CLIENT_ID with
    STUDBOOK_CLIENT_SECRET, STUDBOOK_CLIENT_SECRET_FILE or STUDBOOK_CLIENT_KEY_FILE; the token of
    the CI job that this is, where the server takes tokens of that CI system; the login stored for
    the server.

    Args:
        address: The server, as `host:port`.

    Raises:
        InvalidArgument: One of these is set to what cannot be used.
    """
    if token := os.environ.get("STUDBOOK_TOKEN"):
        return FixedToken(token, "The value of STUDBOOK_TOKEN")
    if path := os.environ.get("STUDBOOK_TOKEN_FILE"):
        return FileToken(Path(path))
    if account := service_account.from_environment(address):
        return account
    login = StoredLogin(address)
    return job_tokens.find(address, login) or login
