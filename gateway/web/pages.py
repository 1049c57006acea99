"""Making pages from templates: whatever is put into them is escaped."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from gateway.web.sessions import form_token

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.web.sessions import Session

_STATIC = resources.files("gateway.web") / "static"
_STYLE = (_STATIC / "studbook.css").read_bytes()
_ICON = (_STATIC / "studbook.svg").read_bytes()
# In its URL, so that browsers may keep it for ever and still get a new one.
_STYLE_VERSION = hashlib.sha256(_STYLE).hexdigest()[:12]
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}


def _moment(seconds: float) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _iso(seconds: float) -> str:
    """The same for programs."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_templates = Environment(
    loader=PackageLoader("gateway.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(moment=_moment, iso=_iso)
_templates.globals["style_version"] = _STYLE_VERSION


def page(
    template: str, session: Session | None = None, *, status: int = 200, **content: Any
) -> Response:
    """A page.

    Args:
        template: Its file in `templates`.
        session: Who is signed in, for the head of the page and the tokens of its forms.
        status: HTTP status.
        content: What the template shows.
    """
    signed_in = None
    if session is not None:
        principal = session.caller.identity.principal
        signed_in = {
            "name": principal.display_name or principal.subject,
            "form_token": form_token(session.id),
        }
    html = _templates.get_template(template).render(signed_in=signed_in, **content)
    return HTMLResponse(html, status)


async def style(_request: Request) -> Response:
    """The one stylesheet."""
    return Response(_STYLE, media_type="text/css", headers=_FOR_EVER)


async def icon(_request: Request) -> Response:
    """The icon in the browser's tab."""
    return Response(_ICON, media_type="image/svg+xml", headers=_FOR_EVER)
