"""The few pieces of HTML that a certificate's page is made of; whatever comes in is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, NewType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Text that is HTML already.
Html = NewType("Html", str)

_NOTHING = Html('<span class="none">none</span>')
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def text(value: object) -> Html:
    """Any text, escaped. What drives a terminal or turns the direction of writing is replaced."""
    clean = "".join(
        character if character.isprintable() or character == "\n" else _REPLACEMENT
        for character in str(value)
    )
    return Html(escape(clean).replace("\n", "<br>"))


def code(value: object) -> Html:
    """A digest, a name, anything that is compared letter by letter."""
    return Html(f"<code>{text(value)}</code>") if value else _NOTHING


def section(title: str, *parts: Html) -> Html:
    """A part of the page under a heading."""
    return Html(f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>")


def fields(rows: Iterable[tuple[str, Html]]) -> Html:
    """Labels and values, one below the other."""
    body = "".join(
        f"<tr><th scope=row>{text(label)}</th><td>{value or _NOTHING}</td></tr>"
        for label, value in rows
    )
    return Html(f'<table class="fields"><tbody>{body}</tbody></table>')


def table(headings: Sequence[str], rows: Sequence[Sequence[Html]]) -> Html:
    """Rows under headings; says so when there are none."""
    if not rows:
        return Html(f"<p>{_NOTHING}</p>")
    head = "".join(f"<th scope=col>{text(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return Html(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def value_of(value: Any) -> Html:
    """A value of JSON, as far as it goes: objects line by line, lists of objects as tables."""
    if isinstance(value, dict):
        return _members(value)
    if isinstance(value, list):
        return _list(value)
    if value is None or value == "":
        return _NOTHING
    return text({True: "yes", False: "no"}[value] if isinstance(value, bool) else value)


def words(key: str) -> str:
    """A name of JSON as a label: `Policy revision` for `policy_revision`."""
    return key.replace("_", " ").capitalize()


def _members(value: Mapping[str, Any]) -> Html:
    """Close together, since they may stand in a cell of a table."""
    lines = "".join(
        f'<li><span class="key">{text(key)}</span> {value_of(value[key])}</li>'
        for key in sorted(value)
    )
    return Html(f'<ul class="members">{lines}</ul>') if lines else _NOTHING


def _list(values: Sequence[Any]) -> Html:
    if not values:
        return _NOTHING
    if all(isinstance(value, dict) for value in values):
        return _objects(values)
    return Html(f"<ul>{''.join(f'<li>{value_of(value)}</li>' for value in values)}</ul>")


def _objects(values: Sequence[Mapping[str, Any]]) -> Html:
    headings = sorted({key for value in values for key in value})
    return table(
        list(map(words, headings)),
        [[value_of(value.get(key)) for key in headings] for value in values],
    )
