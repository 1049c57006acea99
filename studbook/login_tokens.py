"""The tokens of a stored login, renewed as long as the login provider allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.exceptions import Unauthenticated, Unavailable
from studbook.fork_gate import importing
from studbook.stored_logins import StoredLogins

if TYPE_CHECKING:
    from studbook.stored_logins import Login


class StoredLogin:
    """The login that `studbook login` made.

    Args:
        address: The server.
        logins: Where logins are kept.
    """

    def __init__(self, address: str, logins: StoredLogins | None = None) -> None:
        self._address = address
        self._logins = logins if logins is not None else StoredLogins()

    def token(self) -> str | None:
        """The present token, or the next one shortly before it expires."""
        return self._present(lasting=False)

    def lasting_token(self) -> str | None:
        """The same with at least half of its life before it."""
        return self._present(lasting=True)

    def is_renewable(self) -> bool:
        """Whether there is a login that gets a next token by itself."""
        login = self._logins.find(self._address)
        return login is not None and bool(login.refresh_token)

    def _present(self, *, lasting: bool) -> str | None:
        login = self._logins.find(self._address)
        if login is None:
            return None
        if login.refresh_token and login.is_due(lasting=lasting):
            login = self._renewed(lasting=lasting)
        if login.is_expired():
            raise self._over()
        return login.access_token

    def _renewed(self, *, lasting: bool) -> Login:
        """Use the refresh token, which is good for one use: one process at a time."""
        with self._logins.locked():
            login = self._logins.find(self._address)
            if login is None:
                raise self._over()
            if not login.refresh_token or not login.is_due(lasting=lasting):
                return login
            with importing():
                from studbook import login_provider  # noqa: PLC0415 - loads the OAuth library

            try:
                renewed = login_provider.refresh(login)
            except Unavailable:
                if login.is_expired():
                    raise
                return login
            except Unauthenticated as error:
                # Anything else that a provider refuses may be put right, there or here.
                if error.metadata.get("error") != "invalid_grant":
                    raise
                self._logins.remove(self._address)
                raise self._over() from error
            self._logins.save(self._address, renewed)
            return renewed

    def _over(self) -> Unauthenticated:
        return Unauthenticated(f"The login at {self._address} has expired.", reason="TOKEN_EXPIRED")
