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

MISMATCH = "User name and password do not match."
STALE = "This page was out of date; please try again."

_DEVICE_TITLE = "Log a device in to Studbook"
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
  .code { font: 1.6rem/1.2 ui-monospace, monospace; letter-spacing: .1em; text-align: center }
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


_CODE_FORM = """<form method="get">
<label>The code that your device shows<input name="user_code" autocomplete="off"
autocapitalize="characters" spellcheck="false" required autofocus></label>
<button>Go on</button></form>"""

_COMPARE = Template("""<p>A device wants to be logged in. Go on only if it shows this code, and you
have just asked it to:</p><p class="code">$code</p>""")


class LoginForms:
    """The login page and the proof that a form came from it."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def page(
        self, request: Request, people: Iterable[Person], error: str = "", device_code: str = ""
    ) -> Response:
        """The page for one request: a button for each demo person, or a form.

        Args:
            request: What leads here.
            people: Who there is.
            error: What went wrong with the form that was sent.
            device_code: The code of the device that is to be logged in, to be compared and, if
                it is somebody else's, to be refused.
        """
        cookie = request.cookies.get(_COOKIE) or secrets.token_urlsafe(24)
        proof = self._proof(cookie, request.url.query)
        rows = [_alert(error)] if error else []
        rows += [_COMPARE.substitute(code=escape(device_code))] if device_code else []
        listed = list(people)
        rows += [_button(person, proof) for person in listed if person.auto_login]
        if any(person.password_hash for person in listed):
            rows.append(_password_form(proof))
        rows += [_refusal(proof)] if device_code else []
        title = _DEVICE_TITLE if device_code else "Log in to Studbook"
        html = _PAGE.substitute(title=title, body="\n".join(rows))
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


def _alert(message: str) -> str:
    return f'<p class="error" role="alert">{escape(message)}</p>'


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


def _refusal(proof: str) -> str:
    return (
        f'<form method="post">{_hidden(proof)}'
        '<button name="refuse" value="yes">This was not me: do not log it in</button></form>'
    )


def _hidden(proof: str) -> str:
    return f'<input type="hidden" name="proof" value="{escape(proof)}">'


def error_page(message: str) -> Response:
    """For requests that must not be redirected, as nobody vouches for where they would go."""
    html = _PAGE.substitute(title="This login request cannot be answered", body=_alert(message))
    return HTMLResponse(html, 400, headers=_HEADERS)


def device_code_page(error: str = "") -> Response:
    """Where the code is typed that a device shows."""
    body = _alert(error) + _CODE_FORM if error else _CODE_FORM
    html = _PAGE.substitute(title=_DEVICE_TITLE, body=body)
    return HTMLResponse(html, 400 if error else 200, headers=_HEADERS)


def notice_page(title: str, message: str) -> Response:
    """Something is done; there is nothing to click."""
    html = _PAGE.substitute(title=escape(title), body=f"<p>{escape(message)}</p>")
    return HTMLResponse(html, headers=_HEADERS)
