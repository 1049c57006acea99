"""The page for people: whole, escaped, and in need of nothing else."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studbook.certificates.envelope import read_envelope
from studbook.certificates.page import render_page
from studbook.certificates.statement import read_statement
from tests.unit.certificates.made_certificates import FILES, certificate, resigned

# What HTML closes by itself.
_VOID = {"meta", "br"}


class Page(HTMLParser):
    """A page taken apart; complains where tags do not close each other."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.style = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.style += data
        else:
            self.text += data


def rendered(content: bytes) -> str:
    envelope = read_envelope(content)
    return render_page(read_statement(envelope), envelope)


def test_page_tells_all_that_the_certificate_says() -> None:
    page = Page(rendered(certificate()))
    for told in (
        "wine-cultivar@1.2.0",
        *FILES,
        "a & b",
        "</pre><script>alert(1)</script>",
        "Ada <b>Lovelace</b>",
        'say "yes"',
        "<i>better</i>",
        "wine/trainer",
        "gates/accuracy",
        "PASS",
        "looks right",
        "0.97",
        "c" * 40,
        "pandas 2.2",
        "https://hub.example/base",
        "workspaces/main/datasets/wine/versions/1",
    ):
        assert told in page.text, told


def test_page_holds_the_certificate_itself() -> None:
    assert certificate().decode() in Page(rendered(certificate())).text


def test_page_loads_nothing_and_runs_nothing() -> None:
    page = Page(rendered(certificate()))
    assert set(page.tags).isdisjoint({"script", "link", "img", "iframe", "object", "form", "a"})
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        assert name not in {"src", "href", "style", "background"}
        assert "://" not in (value or "")
    assert "url(" not in page.style
    assert "@import" not in page.style
    policies = [value for _, name, value in page.attributes if name == "content"]
    assert any(value and value.startswith("default-src 'none'") for value in policies)


def test_characters_that_turn_the_text_around_are_replaced() -> None:
    text = rendered(certificate())
    assert "\u202e" not in text
    assert "\N{REPLACEMENT CHARACTER}&gt;= 0.96" in text


@given(text=st.text(st.characters(exclude_categories=["Cs"])), place=st.integers(0, 7))
def test_no_text_becomes_markup(text: str, place: int) -> None:
    value = json.loads(read_envelope(certificate()).payload)["predicate"]
    changes = [
        lambda: value["version"].update(description=text, tags={text or "key": text}),
        lambda: value["run"].update(displayName=text, parameters=[{"key": text, "value": text}]),
        lambda: value["stages"][1].update(reason=text, decision={text: [{text: text}, {}]}),
        lambda: value["stages"][1]["by"].update(displayName=text, pipelineClaims={text: text}),
        lambda: value["code"].update(repository=text, branch=text),
        lambda: value["environment"].update(packages={text: text}, accelerators=[text]),
        lambda: value["datasets"][0].update(role=text, source=text, format=text),
        lambda: value.update(parents=[{"version": "", "uri": text, "digest": text}]),
    ]
    changes[place]()
    page = Page(rendered(resigned(**value)))
    plain = Page(rendered(certificate()))
    assert set(page.tags) <= set(plain.tags) | {"ul", "li", "p"}
    assert [a for a in page.attributes if a[0] != "th"] != []
    assert {(tag, name) for tag, name, _ in page.attributes} <= {
        (tag, name) for tag, name, _ in plain.attributes
    } | {("ul", "class"), ("span", "class")}


@pytest.mark.parametrize("member", ["code", "environment"])
def test_what_was_not_recorded_is_said_to_be_missing(member: str) -> None:
    page = Page(rendered(resigned(**{member: None})))
    assert "none" in page.text
