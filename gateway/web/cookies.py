"""Our two cookies.

`__Host-` makes browsers take them only from this very host, over a secure connection and for all
paths, so that no neighbouring host can set or see them. Lax, not Strict: the answer of a login
comes from the provider's pages, and links to ours stand in mails and chats; Lax sends them along
with such a visit, and with no form or request that somebody else's page makes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SESSION = "__Host-studbook-session"
LOGIN = "__Host-studbook-login"


def read(request: Request, name: str) -> str:
    """A cookie's value; empty when there is none.

    Two of one name are none: nobody could say which of them is ours.
    """
    pairs = [
        pair.strip().partition("=")
        for header in request.headers.getlist("cookie")
        for pair in header.split(";")
    ]
    values = [value for key, _, value in pairs if key == name]
    return values[0] if len(values) == 1 else ""


def put(response: Response, name: str, value: str, lasts_s: int) -> None:
    """Have the browser keep a cookie."""
    response.set_cookie(
        name, value, max_age=lasts_s, path="/", secure=True, httponly=True, samesite="lax"
    )


def drop(response: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
