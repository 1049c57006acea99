"""After a login one comes to a page of ours, whatever the link said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.return_path import HOME, own_path


@pytest.mark.parametrize(
    "path",
    [
        "/account",
        "/account?permission=models.read&resource=workspaces%2Fmain",
        "/models/wine-cultivar@1.2.0",
        "/loginless",
        "/a/b/",
    ],
)
def test_own_pages_are_kept(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
        "/\t/evil.example", "\t//evil.example", "/\n/evil.example", " //evil.example",
        "https://evil.example", "https:evil.example", "javascript:alert(1)", "evil.example",
        "/a//evil.example", "/./evil", "/../evil", "/.//evil.example", "/\u2215evil.example",
        "/a\x00", "/a#//evil", "/\uff0fevil.example", "/login", "/login/dev", "/login?next=/login",
        "/callback?code=1", "/logout", "/signed-out", "/" + "a" * 600, "/a b",
    ],
)  # fmt: skip
def test_anything_else_leads_home(text: str) -> None:
    assert own_path(text) == HOME


@given(st.text(max_size=40))
def test_what_is_kept_begins_with_one_slash_and_has_no_trick_in_it(text: str) -> None:
    kept = own_path(text)

    assert kept.startswith("/")
    assert not kept.startswith(("//", "/\\"))
    assert kept.isascii()
    assert kept.isprintable()
