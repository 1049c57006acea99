"""Filters select the rows that a plain reading of AIP-160 selects, on both databases."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from service_chassis.errors import StudbookError
from service_chassis.filter_grammar import parse_filter
from service_chassis.filter_sql import compile_filter
from tests.store.service_chassis.cellar import (
    BOTTLES,
    FIELDS,
    FILLED,
    LABELS,
    METADATA,
    SCORES,
    TAG_VALUES,
    YEARS,
    Bottle,
    bottles,
    insert,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = bottles()
ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

# A filter and what it is to mean.
Meaning = tuple[str, "Callable[[Bottle], bool]"]


@pytest.fixture(scope="module")
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    METADATA.create_all(engine)
    with engine.connect() as connection:
        insert(connection, ROWS)
        yield connection


def selected(connection: sa.Connection, text: str) -> set[str]:
    parsed = parse_filter(text)
    assert parsed is not None
    conditions = [each.at(None) for each in compile_filter(parsed, FIELDS)]
    return set(connection.scalars(sa.select(BOTTLES.c.uid).where(*conditions)))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*") + '"'


def compared(name: str, comparator: str, literal: str, value: object, read: Any) -> Meaning:
    def holds(row: Bottle) -> bool:
        found = read(row)
        return found is not None and bool(ORDERED[comparator](found, value))

    return f"{name} {comparator} {literal}", holds


comparators = st.sampled_from(sorted(ORDERED))
equalities = st.sampled_from(["=", "!="])
labels = st.sampled_from([label for label in LABELS if label is not None])


@st.composite
def text_terms(draw: st.DrawFn) -> Meaning:
    name, read = draw(
        st.sampled_from([("label", lambda row: row.label), ("uid", lambda row: row.uid)])
    )
    value = draw(labels)
    return compared(name, draw(comparators), quoted(value), value, read)


@st.composite
def substring_terms(draw: st.DrawFn) -> Meaning:
    part = draw(labels)
    form = draw(st.sampled_from([":", "start", "end", "both"]))
    if form == ":":
        return f"label:{quoted(part)}", lambda row: row.label is not None and part in row.label
    start, end = form in {"end", "both"}, form in {"start", "both"}
    inner = quoted(part)[1:-1]
    literal = f'"{"*" * start}{inner}{"*" * end}"'
    if literal == '"*"':
        return f"label = {literal}", lambda row: bool(row.label)
    test: Callable[[str], bool] = {
        "start": lambda text: text.startswith(part),
        "end": lambda text: text.endswith(part),
        "both": lambda text: part in text,
    }[form]
    negated = draw(st.booleans())
    return (
        f"label {'!=' if negated else '='} {literal}",
        lambda row: row.label is not None and test(row.label) != negated,
    )


@st.composite
def scalar_terms(draw: st.DrawFn) -> Meaning:
    kind = draw(st.sampled_from(["year", "score", "open", "fill_time", "state"]))
    if kind == "year":
        year = draw(st.sampled_from([year for year in YEARS if year is not None]))
        return compared("year", draw(comparators), str(year), year, lambda row: row.year)
    if kind == "score":
        score = draw(st.sampled_from([score for score in SCORES if score is not None]))
        return compared("score", draw(comparators), repr(score), score, lambda row: row.score)
    if kind == "open":
        word = draw(st.sampled_from(["true", "false"]))
        return compared("open", draw(equalities), word, word == "true", lambda row: row.open)
    if kind == "fill_time":
        filled, literal = draw(
            st.sampled_from(
                [
                    (FILLED[0], "1970-01-01"),
                    (FILLED[1], "2026-01-01T01:00:00+01:00"),
                    (FILLED[2], '"2026-01-01T00:00:00.000001999Z"'),
                ]
            )
        )
        return compared("fill_time", draw(comparators), literal, filled, lambda row: row.filled)
    number, name = draw(st.sampled_from([(1, "resting"), (2, "BOTTLE_STATE_SOLD"), (1, "Resting")]))
    return compared("state", draw(equalities), name, number, lambda row: row.state)


@st.composite
def tag_terms(draw: st.DrawFn) -> Meaning:
    table = draw(st.sampled_from(["tags", "indexed"]))
    key = draw(st.sampled_from(["team", "x/y", "none"]))
    name = f'{table}."{key}"'
    form = draw(st.sampled_from(["number", "text", "present", "has_key"]))
    if form == "present":
        return f"{name}:*", lambda row: key in row.tags
    if form == "has_key":
        return f'{table}:"{key}"', lambda row: key in row.tags
    value = draw(st.sampled_from([tag for tag in TAG_VALUES if tag is not None]))
    comparator = draw(comparators)
    if form == "text":
        text = str(value)
        return compared(name, comparator, quoted(text), text, lambda row: text_of(row, key))
    number = 7.0 if isinstance(value, str) else value

    def holds(row: Bottle) -> bool:
        found = row.tags.get(key)
        if found is None:
            return False
        same = found in {number, repr(number)}
        if comparator in {"=", "!="}:
            return same == (comparator == "=")
        return isinstance(found, float) and bool(ORDERED[comparator](found, number))

    return f"{name} {comparator} {number!r}", holds


def text_of(row: Bottle, key: str) -> str | None:
    found = row.tags.get(key)
    return None if found is None else str(found)


def negation(operand: Meaning, sign: str) -> Meaning:
    return f"{sign}({operand[0]})", lambda row: not operand[1](row)


def joined(word: str, left: Meaning, right: Meaning) -> Meaning:
    join = any if word == "OR" else all
    return f"({left[0]} {word} {right[0]})", lambda row: join((left[1](row), right[1](row)))


terms = st.one_of(text_terms(), substring_terms(), scalar_terms(), tag_terms())
filters = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.builds(negation, inner, st.sampled_from(["NOT ", "-"])),
        st.builds(joined, st.sampled_from(["AND", "OR", ""]), inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(filters)
def test_filters_select_what_they_mean(connection: sa.Connection, meaning: Meaning) -> None:
    text, holds = meaning
    assert selected(connection, text) == {row.uid for row in ROWS if holds(row)}


def test_has_is_equality_where_nothing_is_repeated(connection: sa.Connection) -> None:
    assert selected(connection, "year:7") == selected(connection, "year=7") != set()
    starting = {row.uid for row in ROWS if (row.label or "").startswith("a")}
    assert selected(connection, "label=a*") == starting != set()
    assert selected(connection, "label:a*") == starting


def test_or_binds_tighter_than_and(connection: sa.Connection) -> None:
    expected = {row.uid for row in ROWS if row.open is True and (row.year == 7 or row.state == 2)}
    assert selected(connection, "open=true AND year=7 OR state=SOLD") == expected
    assert selected(connection, "year=7 OR state=SOLD open=true") == expected


def test_missing_values_match_only_not(connection: sa.Connection) -> None:
    missing = {row.uid for row in ROWS if row.year is None}
    assert missing
    assert not missing & selected(connection, "year != 7")
    assert missing <= selected(connection, "NOT year = 7")


def test_empty_texts_are_missing_but_empty_tags_are_not(connection: sa.Connection) -> None:
    assert selected(connection, "label:*") == {row.uid for row in ROWS if row.label}
    assert selected(connection, "tags.team:*") == {row.uid for row in ROWS if "team" in row.tags}
    assert selected(connection, "state:*") == {row.uid for row in ROWS if row.state}


def test_encoded_fields_compare_in_their_own_order(connection: sa.Connection) -> None:
    expected = {row.uid for row in ROWS if row.label == "ab"}
    assert selected(connection, "label.reversed = ba") == expected


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("year=1 AND colour=red", 12, "there are fill_time, label, label.reversed, open, score"),
        ("score=high", 7, "expected a number"),
        ('score="1"', 7, "without quotes"),
        ("score=nan", 7, "expected a number"),
        ("score=٣", 7, "expected a number"),
        ("year=1.5", 6, "expected a whole number"),
        ("year=9223372036854775808", 6, "at most 64 bits"),
        ("year=1e9999", 6, "at most 64 bits"),
        ("open=maybe", 6, "expected true or false"),
        ("open<true", 6, "no order"),
        ("state>sold", 7, "no order"),
        ("state=drunk", 7, "one of RESTING, SOLD"),
        ("fill_time>yesterday", 11, "a timestamp such as"),
        ("fill_time>2026-02-30", 11, "a timestamp such as"),
        ("fill_time>2026-02-03T10:00:00", 11, "a timestamp such as"),
        ("label.reversed:a", 16, "compared as a whole"),
        ('label.reversed=""', 16, "expected a text to turn round"),
        ("tags=a", 1, 'no field "tags"'),
        ("tags:*", 1, 'no field "tags"'),
    ],
)
def test_refusals_name_the_column_and_what_was_expected(
    text: str, column: int, expected: str
) -> None:
    parsed = parse_filter(text)
    assert parsed is not None
    with pytest.raises(StudbookError) as caught:
        compile_filter(parsed, FIELDS)
    assert caught.value.reason == "FILTER_INVALID"
    assert caught.value.metadata["column"] == str(column)
    assert expected in caught.value.message


def test_values_reach_the_database_only_as_parameters() -> None:
    parsed = parse_filter('label = "x\'); DROP TABLE bottles; --" OR tags."a\'b" : "q\'"')
    assert parsed is not None
    conditions = [each.at(None) for each in compile_filter(parsed, FIELDS)]
    statement = str(sa.select(BOTTLES.c.uid).where(*conditions))
    assert "'" not in statement
    assert "DROP" not in statement
