"""Forms that change something: only those of our own pages, in the session they were made for.

Two independent checks, either of which would do: what the browser says of where the form comes
from, and a token that only a page of this session holds.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.web.refusals import FormRefusedError
from gateway.web.sessions import form_token

if TYPE_CHECKING:
    from starlette.requests import Request

FIELD = "form_token"
_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 20


def check_source(request: Request, origin: str) -> None:
    """Refuse a request that did not come from a page of ours.

    Raises:
        FormRefusedError: The browser names another origin, or says nothing of it at all.
    """
    named = request.headers.getlist("origin")
    site = request.headers.getlist("sec-fetch-site")
    if not named and not site:
        raise FormRefusedError("neither Origin nor Sec-Fetch-Site")
    if named and named != [origin]:
        raise FormRefusedError("Origin")
    if site and site != ["same-origin"]:
        raise FormRefusedError("Sec-Fetch-Site")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once.

    Raises:
        FormRefusedError: It is of another type, or says something twice.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise FormRefusedError("content type")
    try:
        text = (await request.body()).decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise FormRefusedError("not a form") from None
    if len(dict(pairs)) != len(pairs):
        raise FormRefusedError("a field twice")
    return dict(pairs)


def check_token(form: dict[str, str], session_id: str) -> None:
    """Refuse a form that was not made for this session.

    Raises:
        FormRefusedError: Its token is missing or another session's.
    """
    given = form.get(FIELD, "").encode()
    if not hmac.compare_digest(given, form_token(session_id).encode()):
        raise FormRefusedError("form token")
