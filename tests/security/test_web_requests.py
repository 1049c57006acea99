"""Requests to the pages that no browser of ours would send, and what every answer carries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gateway.web.door import LARGEST_BODY
from tests.security.visitor import status_of

if TYPE_CHECKING:
    from tests.security.visitor import Target, Visitor

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class TestHost:
    """A page elsewhere whose name leads here, or a poisoned link."""

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example", ""],
    )
    def test_another(self, web: Target, host: str) -> None:
        answer = web.raw(f"GET /login HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert status_of(answer) == 421

    def test_none(self, web: Target) -> None:
        assert status_of(web.raw(b"GET /login HTTP/1.1\r\n\r\n")) == 400

    def test_two(self, web: Target) -> None:
        request = f"GET /login HTTP/1.1\r\nHost: {web.host}\r\nHost: evil.example\r\n\r\n"
        assert status_of(web.raw(request.encode())) == 400

    @pytest.mark.parametrize(
        "header", ["x-forwarded-host", "x-host", "forwarded", "x-original-url", "x-rewrite-url"]
    )
    def test_named_by_a_header(self, web: Target, visitor: Visitor, header: str) -> None:
        answer = visitor.get("/login/dev", **{header: "evil.example"})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(web.issuer)
        assert "evil.example" not in str(answer.headers)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/login", 200), ("/account", 303), ("/signed-out", 200), ("/nowhere", 404),
        ("/callback", 400), ("/logout", 405), ("/login/dev", 303), ("/", 303),
    ],
)  # fmt: skip
def test_no_page_can_be_framed_sniffed_or_kept(visitor: Visitor, path: str, status: int) -> None:
    answer = visitor.get(path)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_pages_hold_no_script_and_no_inline_style(ada: Visitor) -> None:
    for path in ("/account", "/login", "/signed-out"):
        text = ada.get(path).text
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", text, re.IGNORECASE)


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "POST"]
)
def test_method(ada: Visitor, method: str) -> None:
    assert ada.send(method, "/account").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/account/", "//account", "/account%2f", "/ACCOUNT", "/static/x/../../../keys/web",
        "/static/x/..%2f..%2fkeys%2fweb", "/static/x/studbook.css/", "/account;x", "/%61ccount/x",
    ],
)  # fmt: skip
def test_path(web: Target, path: str) -> None:
    answer = web.raw(f"GET {path} HTTP/1.1\r\nHost: {web.host}\r\n\r\n".encode())
    # A slash too many leads to the same path without it, which is as closed as ever.
    assert status_of(answer) in {404, 307}
    assert b"evil" not in answer


class TestSize:
    """Much of anything."""

    def test_body_that_says_how_long_it_is(self, ada: Visitor) -> None:
        fields = {"form_token": ada.token(), "session": "x" * LARGEST_BODY}
        assert ada.refused_form("/account/sessions/end", fields) == 413

    def test_body_that_does_not(self, web: Target, ada: Visitor) -> None:
        chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
        head = (
            f"POST /logout HTTP/1.1\r\nHost: {web.host}\r\nOrigin: {web.origin}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert status_of(web.raw(head.encode() + chunk * 5)) == 413

    def test_cookies(self, visitor: Visitor) -> None:
        assert visitor.get("/login", cookie="a=" + "x" * 9000).status_code == 431

    def test_head(self, web: Target) -> None:
        request = f"GET /login HTTP/1.1\r\nHost: {web.host}\r\nx: {'x' * 70_000}\r\n\r\n"
        assert status_of(web.raw(request.encode())) in {400, 431}

    def test_address(self, visitor: Visitor) -> None:
        assert visitor.get("/login?next=" + "x" * 20_000).status_code == 431

    def test_length_that_is_no_number(self, web: Target) -> None:
        request = f"POST /logout HTTP/1.1\r\nHost: {web.host}\r\nContent-Length: 1e9\r\n\r\n"
        assert status_of(web.raw(request.encode())) == 400

    def test_fields(self, ada: Visitor) -> None:
        fields = {"form_token": ada.token()} | {f"f{number}": "" for number in range(30)}
        assert ada.refused_form("/logout", fields) == 403
