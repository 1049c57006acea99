"""Logging out: here, at the login provider, and in the browser."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studbook import login_provider
from studbook.exceptions import FailedPrecondition, StudbookError
from studbook.stored_logins import StoredLogins

if TYPE_CHECKING:
    from collections.abc import Callable

    from studbook.stored_logins import Login


@dataclass(frozen=True)
class LoggedOut:
    """What has become of a login.

    Attributes:
        was_logged_in: Whether there was one.
        left_undone: What could not be done at the login provider, one sentence each.
        session_url: Where a browser ends the session at the provider, fit to be shown; empty when
            there is none, or it is to be left alone.
        opened: Whether a browser was sent there.
    """

    was_logged_in: bool
    left_undone: tuple[str, ...] = ()
    session_url: str = ""
    opened: bool = False


def log_out(
    address: str,
    *,
    session: bool = True,
    logins: StoredLogins | None = None,
    open_browser: Callable[[str], bool] = webbrowser.open,
) -> LoggedOut:
    """Forget the login at a server, then end it at the login provider.

    What is stored is removed first: it is gone whatever becomes of the rest.

    Args:
        address: The server.
        session: Whether to end the session at the login provider as well.
        logins: Where logins are kept.
        open_browser: Opens a URL.
    """
    store = logins if logins is not None else StoredLogins()
    with store.locked():
        login = store.find(address)
        store.remove(address)
    if login is None:
        return LoggedOut(was_logged_in=False)
    undone = _revoke(login)
    url = login_provider.end_session_url(login, hint=False) if session else ""
    opened = False
    if url and login.in_browser:
        opened = open_browser(login_provider.end_session_url(login, hint=True))
    return LoggedOut(was_logged_in=True, left_undone=undone, session_url=url, opened=opened)


def _revoke(login: Login) -> tuple[str, ...]:
    try:
        login_provider.revoke(login)
    except FailedPrecondition as error:
        return (f"{error.message} They end by themselves.",)
    except StudbookError as error:
        return (f"The tokens were not taken back, and end by themselves: {error.message}",)
    return ()
