"""The page that people log in on."""

from __future__ import annotations

import hmac
import secrets
from html import escape
from string import Template
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from gateway.dev_issuer.config import Person

_COOKIE = "studbook_dev_login"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  :root { color-scheme: light dark }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto }
  body { padding: 0 1rem }
  h1 { font-size: 1.4rem; margin-bottom: .25rem }
  .note { opacity: .75; font-size: .9rem }
  .error { border-left: 4px solid #c00; padding-left: .75rem }
  form { margin: .75rem 0 }
  button, input { font: inherit; padding: .6rem .8rem; border: 1px solid #8886; border-radius: 8px }
  button { width: 100%; text-align: left; cursor: pointer }
  input { width: 100%; box-sizing: border-box; margin-bottom: .5rem }
  small { display: block; opacity: .75 }
</style>
</head>
<body>
<h1>$title</h1>
$body
<p class="note">Development issuer: for trying Studbook on one machine, never for production.</p>
</body>
</html>
"""
)


class LoginForms:
    """The login page and the proof that a form came from it."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def page(self, request: Request, people: Iterable[Person], error: str = "") -> Response:
        """The page for one authorisation request: a button for each demo person, or a form."""
        cookie = request.cookies.get(_COOKIE) or secrets.token_urlsafe(24)
        proof = self._proof(cookie, request.url.query)
        rows = [f'<p class="error" role="alert">{escape(error)}</p>'] if error else []
        listed = list(people)
        rows += [_button(person, proof) for person in listed if person.auto_login]
        if any(person.password_hash for person in listed):
            rows.append(_password_form(proof))
        html = _PAGE.substitute(title="Log in to Studbook", body="\n".join(rows))
        response = HTMLResponse(html, 401 if error else 200, headers=_HEADERS)
        response.set_cookie(_COOKIE, cookie, httponly=True, samesite="strict", max_age=600)
        return response

    def is_genuine(self, request: Request, proof: str) -> bool:
        """Whether a submitted form came from our page, for this very authorisation request."""
        cookie = request.cookies.get(_COOKIE, "")
        return bool(cookie) and hmac.compare_digest(
            proof.encode(), self._proof(cookie, request.url.query).encode()
        )

    def _proof(self, cookie: str, query: str) -> str:
        return hmac.new(self._key, f"{cookie}\n{query}".encode(), "sha256").hexdigest()


def _button(person: Person, proof: str) -> str:
    groups = f"<small>{escape(', '.join(person.groups))}</small>" if person.groups else ""
    return (
        f'<form method="post">{_hidden(proof)}'
        f'<button name="sub" value="{escape(person.sub)}">{escape(person.name)}{groups}</button>'
        "</form>"
    )


def _password_form(proof: str) -> str:
    return (
        f'<form method="post">{_hidden(proof)}'
        '<label>User name<input name="sub" autocomplete="username" required></label>'
        '<label>Password<input name="password" type="password" autocomplete="current-password" '
        "required></label><button>Log in</button></form>"
    )


def _hidden(proof: str) -> str:
    return f'<input type="hidden" name="proof" value="{escape(proof)}">'


def error_page(message: str) -> Response:
    """For requests that must not be redirected, as nobody vouches for where they would go."""
    body = f'<p class="error" role="alert">{escape(message)}</p>'
    html = _PAGE.substitute(title="This login request cannot be answered", body=body)
    return HTMLResponse(html, 400, headers=_HEADERS)
