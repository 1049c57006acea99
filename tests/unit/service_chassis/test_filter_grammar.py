from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_chassis.errors import StudbookError
from service_chassis.filter_grammar import (
    And,
    Anywhere,
    Comparator,
    Comparison,
    Node,
    Not,
    Or,
    parse_filter,
)
from service_chassis.filter_text import Literal, not_text


def parsed(text: str) -> Node:
    result = parse_filter(text)
    assert result is not None
    return result.root


def only(text: str) -> Comparison:
    root = parsed(text)
    assert isinstance(root, Comparison)
    return root


def shape(node: Node) -> str:
    """The tree as text, with every operator in parentheses."""
    if isinstance(node, Comparison):
        return ".".join(node.path)
    if isinstance(node, Not):
        return f"!{shape(node.operand)}"
    if isinstance(node, Anywhere):
        return f"*{node.value.text}"
    word = " & " if isinstance(node, And) else " | "
    return f"({word.join(shape(operand) for operand in node.operands)})"


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_filter_lets_everything_through(text: str) -> None:
    assert parse_filter(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1 AND b=1 OR c=1", "(a & (b | c))"),
        ("a=1 OR b=1 AND c=1 OR d=1", "((a | b) & (c | d))"),
        ("a=1 b=1 OR c=1", "(a & (b | c))"),
        ("a=1 AND b=1 c=1", "(a & b & c)"),
        ("(a=1 AND b=1) OR c=1", "((a & b) | c)"),
        ("NOT a=1 OR -b=1", "(!a | !b)"),
        ("NOT (a=1 b=1)", "!(a & b)"),
        ("-(a=1)", "!a"),
        ("NOT(a=1)", "!a"),
        ("((a=1))", "a"),
        ("NOTE=1 ORDER=1 ANDY=1", "(NOTE & ORDER & ANDY)"),
        ("tags.NOT=1 tags.AND=1", "(tags.NOT & tags.AND)"),
        ("a=1\nAND\tb=1", "(a & b)"),
        ("a=(1 OR 2)", "(a | a)"),
        ("a!=(1 OR -2)", "(a & a)"),
        ("words 'in any' OR field", "(*words & (*in any | *field))"),
        ("-word a=1", "(!*word & a)"),
    ],
)
def test_operators_bind_as_aip_160_says(text: str, expected: str) -> None:
    assert shape(parsed(text)) == expected


@pytest.mark.parametrize("comparator", list(Comparator))
@pytest.mark.parametrize("space", ["", " "])
def test_all_comparators_are_read(comparator: Comparator, space: str) -> None:
    assert only(f"a{space}{comparator.value}{space}1").comparator is comparator


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('metrics."val/loss".min=1', ("metrics", "val/loss", "min")),
        ("params.'it\\'s'=1", ("params", "it's")),
        ('tags."a.b"=1', ("tags", "a.b")),
        ("tags.a-b_c9=1", ("tags", "a-b_c9")),
        ("tags.7=1", ("tags", "7")),
        ("größe=1", ("größe",)),
        ('"a"=1', ("a",)),
    ],
)
def test_paths_have_plain_and_quoted_parts(text: str, path: tuple[str, ...]) -> None:
    assert only(text).path == path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=-1.5e-3", Literal("-1.5e-3", quoted=False, column=3)),
        (
            "a = 2026-01-01T00:00:00+01:00",
            Literal("2026-01-01T00:00:00+01:00", quoted=False, column=5),
        ),
        ("a=sha256:ab/c@d", Literal("sha256:ab/c@d", quoted=False, column=3)),
        ("a=1.2.0", Literal("1.2.0", quoted=False, column=3)),
        ("a='b\"c'", Literal('b"c', quoted=True, column=3)),
        ('a="b\\"\\\\c"', Literal('b"\\c', quoted=True, column=3)),
        ('a=""', Literal("", quoted=True, column=3)),
        ('a="AND"', Literal("AND", quoted=True, column=3)),
        ("a=b*", Literal("b*", quoted=False, column=3, pattern=("b", ""))),
        ('a="*b c"', Literal("*b c", quoted=True, column=3, pattern=("", "b c"))),
        ('a="\\*b\\*"', Literal("*b*", quoted=True, column=3)),
        ("a:*", Literal("*", quoted=False, column=3, pattern=("", ""))),
    ],
)
def test_values_are_read(text: str, value: Literal) -> None:
    assert only(text).value == value


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("a=", 3, "expected a value, found the end"),
        ("a= AND b=1", 4, "expected a value"),
        ("=1", 1, 'expected a field or a text, found "="'),
        ("a=1 OR", 7, "expected a field or a text, found the end"),
        ("a=1 AND AND b=1", 9, "expected a field"),
        ("NOT NOT a=1", 5, "expected a field"),
        ("a==1", 3, "expected a value"),
        ("a=1)", 4, 'expected AND, OR or the end, found ")"'),
        ("(a=1", 5, 'the ")" that belongs to column 1'),
        ("  ( a=1 b=1", 12, 'the ")" that belongs to column 3'),
        ('a="b', 3, "lacks its closing"),
        ("a='b\\", 3, "lacks its closing"),
        ('a="b"c', 6, "expected a space after the value"),
        ("a=b,c", 4, "expected a space after the value"),
        ("a=f(x)", 4, "there are no functions to call"),
        ("a.=1", 3, "expected a name"),
        ("a.*=1", 3, "expected a name"),
        ("a .b=1", 5, "expected a space after the text"),
        ("a=1 and b=1", 5, 'write AND in capitals, or "and" in quotes'),
        ("a=\ud800", 3, "half a surrogate pair"),
        ("a=\0", 3, "NUL"),
    ],
)
def test_errors_name_the_column_and_what_was_expected(
    text: str, column: int, expected: str
) -> None:
    with pytest.raises(StudbookError) as caught:
        parse_filter(text)
    assert caught.value.reason == "FILTER_INVALID"
    assert caught.value.metadata["column"] == str(column)
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=" + "b" * 16_383, "at most 16384 characters"),
        ("(" * 33 + "a=1" + ")" * 33, "at most 32 parentheses"),
        ("a=1 " * 101, "at most 100 comparisons"),
        ("a OR " * 10 + "b", "column 51: at most 10 texts can stand alone"),
    ],
)
def test_filters_are_bounded(text: str, expected: str) -> None:
    with pytest.raises(StudbookError, match=expected):
        parse_filter(text)


def test_filters_up_to_the_bounds_pass() -> None:
    assert parse_filter("(" * 32 + "a=1" + ")" * 32)
    assert parse_filter("(a=1) " * 100)
    assert parse_filter("a " * 10 + "b=1 " * 90)


@given(st.text(alphabet=st.sampled_from("ab .=<>!:()\"'\\*-1ANDORT\n,é"), max_size=40))
def test_any_text_is_parsed_or_refused_with_a_column_inside_it(text: str) -> None:
    refusal = None
    try:
        parse_filter(text)
    except StudbookError as error:
        refusal = error
    if refusal is not None:
        assert refusal.reason == "FILTER_INVALID"
        assert 1 <= int(refusal.metadata["column"]) <= len(text) + 1


texts = st.text(max_size=5).filter(lambda text: not_text(text) is None)
nodes = st.recursive(
    st.builds(lambda text: Anywhere(Literal(text, quoted=True, column=0)), texts)
    | st.builds(
        lambda part, comparator, text: Comparison(
            ("f", part), comparator, Literal(text, quoted=True, column=0), 0
        ),
        texts.filter(bool),
        st.sampled_from(Comparator),
        texts,
    ),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda a, b: And((a, b)), inner, inner),
        st.builds(lambda a, b: Or((a, b)), inner, inner),
    ),
    max_leaves=5,
)


def quoted(text: str) -> str:
    return '"' + "".join("\\" + c if c in '"\\*' else c for c in text) + '"'


def written(node: Node) -> str:
    if isinstance(node, Comparison):
        return (
            f"{node.path[0]}.{quoted(node.path[1])}{node.comparator.value}{quoted(node.value.text)}"
        )
    if isinstance(node, Not):
        return f"NOT ({written(node.operand)})"
    if isinstance(node, Anywhere):
        return quoted(node.value.text)
    word = " AND " if isinstance(node, And) else " OR "
    return "(" + word.join(f"({written(operand)})" for operand in node.operands) + ")"


def without_columns(node: Node) -> Node:
    if isinstance(node, Comparison):
        value = Literal(node.value.text, quoted=node.value.quoted, column=0)
        return Comparison(node.path, node.comparator, value, 0)
    if isinstance(node, Not):
        return Not(without_columns(node.operand))
    if isinstance(node, Anywhere):
        return Anywhere(Literal(node.value.text, quoted=node.value.quoted, column=0))
    return type(node)(tuple(without_columns(operand) for operand in node.operands))


@given(nodes)
def test_what_is_written_is_read_again(node: Node) -> None:
    assert without_columns(parsed(written(node))) == node
