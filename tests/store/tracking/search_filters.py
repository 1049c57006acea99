"""Filters, drawn together with what they mean for a `KnownRun`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.store.tracking import search_oracle as oracle
from tests.store.tracking.at_work import WINE
from tests.store.tracking.search_oracle import ORDERED, TEXTS, KnownRun, Value

if TYPE_CHECKING:
    from collections.abc import Callable

# How tightly operators bind.
AND, OR, TERM = range(3)
EQUALITIES = ("=", "!=", ":")
COMPARATORS = (*ORDERED, ":")


@dataclass(frozen=True)
class Meaning:
    """A filter, whether a run meets it, and how tightly its outermost operator binds."""

    text: str
    holds: Callable[[KnownRun], bool]
    binds: int = TERM

    def within(self, binds: int) -> str:
        """The text as an operand, in parentheses only where it needs them."""
        return self.text if self.binds >= binds else f"({self.text})"


@dataclass(frozen=True)
class Written:
    """A value in a filter: its text, whether a value of a run compares so with it, and how."""

    text: str
    holds: Callable[[str, Any], bool]
    comparators: tuple[str, ...] = COMPARATORS


@dataclass(frozen=True)
class Place:
    """A field: its path, what a run has there, what it can be compared with.

    `present` is what `:*` asks; None means that there is a value.
    """

    path: tuple[str, ...]
    values: Callable[[KnownRun], list[Any]]
    written: st.SearchStrategy[Written]
    present: Callable[[KnownRun], bool] | None = None


def _escaped(text: str) -> str:
    return re.sub(r"""(["'*\\])""", r"\\\1", text)


@st.composite
def _quoted(draw: st.DrawFn, content: str) -> str:
    mark = draw(st.sampled_from("\"'"))
    return f"{mark}{content}{mark}"


@st.composite
def written_paths(draw: st.DrawFn, path: tuple[str, ...]) -> str:
    """A field, its parts in quotes where they need them and sometimes where they do not."""
    # A key of a metric may end like the name of a figure.
    plain = r"\w[\w/@-]*" if path[0] == "metrics" else r"\w[\w/@-]*(\.\w[\w/@-]*)*"
    parts = []
    for part in path:
        bare = re.fullmatch(plain, part) and draw(st.integers(0, 3))
        parts.append(part if bare else draw(_quoted(_escaped(part))))
    return ".".join(parts)


def _compared(comparator: str, found: Any, sought: Any) -> bool:
    return ORDERED[comparator.replace(":", "=")](found, sought)


@st.composite
def _texts(draw: st.DrawFn, known: tuple[str, ...] = TEXTS, *, keyed: bool = False) -> Written:
    """A text; with `:` a part of it, unless it is the value of a key."""
    sought = draw(st.sampled_from((*known, "x" * 63)))

    def holds(comparator: str, found: str) -> bool:
        if comparator == ":" and not keyed:
            return sought in found
        return _compared(comparator, found.encode(), sought.encode())

    bare = re.fullmatch(r"[a-zA-Z_][\w/@:.-]*", sought) and draw(st.booleans())
    return Written(sought if bare else draw(_quoted(_escaped(sought))), holds)


@st.composite
def _patterns(draw: st.DrawFn, known: tuple[str, ...] = TEXTS) -> Written:
    """A text in which `*` stands for any characters."""
    parts = draw(
        st.lists(st.sampled_from(("", *known)), min_size=2, max_size=4).filter(
            # A lone * asks for presence.
            lambda parts: parts != ["", ""]
        )
    )
    expression = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)

    def holds(comparator: str, found: str) -> bool:
        return (expression.fullmatch(found) is not None) == (comparator != "!=")

    return Written(draw(_quoted("*".join(map(_escaped, parts)))), holds, EQUALITIES)


def _text_or_pattern(
    known: tuple[str, ...] = TEXTS, *, keyed: bool = False
) -> st.SearchStrategy[Written]:
    return st.one_of(_texts(known, keyed=keyed), _patterns(known))


def _numbers(known: tuple[float, ...]) -> st.SearchStrategy[Written]:
    def written(sought: float) -> Written:
        return Written(repr(sought), lambda comparator, found: _compared(comparator, found, sought))

    return st.sampled_from([value for value in known if not math.isnan(value)]).map(written)


def _words(known: dict[str, Any]) -> st.SearchStrategy[Written]:
    def written(item: tuple[str, Any]) -> Written:
        word, sought = item
        return Written(word, lambda sign, found: _compared(sign, found, sought), EQUALITIES)

    return st.sampled_from(sorted(known.items())).map(written)


@st.composite
def _moments(draw: st.DrawFn, known: tuple[int, ...]) -> Written:
    sought = draw(st.sampled_from(known))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=sought)
    text = draw(st.sampled_from((moment.isoformat(), moment.isoformat().replace("+00:00", "Z"))))
    if moment.time() == datetime.min.time() and draw(st.booleans()):
        text = moment.date().isoformat()
    text = draw(st.one_of(st.just(text), _quoted(text)))
    return Written(text, lambda comparator, found: _compared(comparator, found, sought))


def _param_numbers() -> st.SearchStrategy[Written]:
    """Compared with numbers; for equality also with texts, which may look the same."""

    def written(sought: float) -> Written:
        def holds(comparator: str, found: Value) -> bool:
            number = oracle.number(found)
            if comparator not in EQUALITIES:
                return number is not None and ORDERED[comparator](number, sought)
            same = oracle.text_form(found) == repr(sought) if number is None else number == sought
            return same == (comparator != "!=")

        return Written(repr(sought), holds)

    known = [value for value in (*oracle.NUMBERS, *oracle.WHOLES) if not math.isnan(value)]
    return st.sampled_from(known).map(written)


def _param_texts() -> st.SearchStrategy[Written]:
    """What is in quotes, or no number, is compared with the text form of any value."""

    def of_text_form(written: Written) -> Written:
        return replace(
            written, holds=lambda sign, found: written.holds(sign, oracle.text_form(found))
        )

    known = (*TEXTS, "false", "1", "1e+300", "inf")
    texts = _text_or_pattern(known, keyed=True)
    return texts.filter(lambda written: written.text != "inf").map(of_text_form)


def _fact(name: str, written: st.SearchStrategy[Written]) -> Place:
    def values(run: KnownRun) -> list[Any]:
        value = run.facts[name]
        return [] if value is None else [value]

    # An empty text is nothing that is there.
    return Place(
        tuple(name.split(".")), values, written, lambda run: run.facts[name] not in {"", None}
    )


_NAMES = tuple(f"{WINE}/runs/r{index:02}" for index in range(0, 40, 7))
_COMMITS = ("a" * 40, "b" * 40, "a" * 39)
FACTS = [
    _fact("name", _text_or_pattern(_NAMES)),
    _fact("display_name", _text_or_pattern()),
    _fact("creator", _text_or_pattern(("user:dev:a", "user:dev:b"))),
    _fact("code.commit", _text_or_pattern(_COMMITS)),
    *(
        _fact(f"code.{name}", _text_or_pattern())
        for name in ("branch", "repository", "entry_point")
    ),
    _fact("environment.python_version", _text_or_pattern(("3.11.7", "3.12.0", "3."))),
    *(_fact(f"environment.{name}", _text_or_pattern()) for name in ("platform", "hostname")),
    _fact("exit_code", _numbers((-9, 0, 1, 7))),
    *(_fact(name, _moments(oracle.MOMENTS)) for name in ("start_time", "end_time")),
    *(
        _fact(name, _moments((0, oracle.FAR_FUTURE)))
        for name in ("create_time", "update_time", "heartbeat_time")
    ),
    _fact("code.dirty", _words({"true": True, "false": False})),
    _fact(
        "state",
        _words(
            {name: number for number, name in enumerate(oracle.STATES, 1)}
            | {f"RUN_STATE_{name}": number for number, name in enumerate(oracle.STATES, 1)}
            | {"finished": 2}
        ),
    ),
]


def _param(key: str) -> Place:
    def values(run: KnownRun) -> list[Any]:
        value = run.params.get(key)
        return [] if value is None or oracle.text_form(value) is None else [value]

    written = st.one_of(_param_numbers(), _param_texts())
    return Place(("params", key), values, written, lambda run: key in run.params)


def _tag(key: str) -> Place:
    def values(run: KnownRun) -> list[Any]:
        return [run.tags[key]] if key in run.tags else []

    return Place(("tags", key), values, _text_or_pattern(keyed=True))


def _figure(key: str, name: str) -> Place:
    def values(run: KnownRun) -> list[Any]:
        value = run.figure(key, name)
        return [] if value is None else [value]

    is_whole = name == "count" or name.endswith("_step")
    known = (*oracle.STEPS, 1, 2) if is_whole else oracle.METRIC_VALUES
    return Place(("metrics", key, name), values, _numbers(known))


def _metric(key: str) -> Place:
    return replace(
        _figure(key, "last"), path=("metrics", key), present=lambda run: key in run.points
    )


def _datasets(role: str | None, form: str) -> Place:
    known = tuple(oracle.dataset_form(form, *dataset) for dataset in oracle.DATASETS)
    path = ("datasets", *(() if role is None else (role,)), form.partition(" ")[0])
    # Whole resource names are known by how they begin, where a pattern could have anything.
    written = _texts(known, keyed=True) if " " in form else _text_or_pattern(known, keyed=True)
    return Place(path, lambda run: run.dataset_values(role, form), written)


PLACES = st.one_of(
    st.sampled_from(FACTS),
    st.sampled_from(oracle.PARAM_KEYS).map(_param),
    st.sampled_from(oracle.TAG_KEYS).map(_tag),
    st.sampled_from(oracle.METRIC_KEYS).map(_metric),
    st.builds(_figure, st.sampled_from(oracle.METRIC_KEYS), st.sampled_from(oracle.FIGURES)),
    st.builds(
        _datasets, st.sampled_from((None, *oracle.ROLES)), st.sampled_from(oracle.DATASET_FORMS)
    ),
)


@st.composite
def _comparisons(draw: st.DrawFn) -> Meaning:
    place = draw(PLACES)
    written = draw(place.written)
    comparator = draw(st.sampled_from(written.comparators))
    space = draw(st.sampled_from(("", " ")))
    return Meaning(
        f"{draw(written_paths(place.path))}{space}{comparator}{space}{written.text}",
        lambda run: any(written.holds(comparator, value) for value in place.values(run)),
    )


@st.composite
def _one_of_several(draw: st.DrawFn) -> Meaning:
    """`a = (1 OR 2)`, or `a != (1 OR 2)`, which is neither."""
    place = draw(PLACES)
    written = draw(st.lists(place.written, min_size=2, max_size=3))
    comparator = draw(st.sampled_from(("=", "!=")))
    alternatives = " OR ".join(each.text for each in written)

    def holds(run: KnownRun) -> bool:
        each_holds = [
            any(each.holds(comparator, value) for value in place.values(run)) for each in written
        ]
        return all(each_holds) if comparator == "!=" else any(each_holds)

    return Meaning(f"{draw(written_paths(place.path))} {comparator} ({alternatives})", holds)


@st.composite
def _presences(draw: st.DrawFn) -> Meaning:
    place = draw(PLACES)
    present = place.present or (lambda run: bool(place.values(run)))
    return Meaning(f"{draw(written_paths(place.path))}:*", present)


@st.composite
def _keys_present(draw: st.DrawFn) -> Meaning:
    """`params:lr`, `datasets:training`."""
    place = draw(
        st.one_of(
            st.sampled_from(oracle.PARAM_KEYS).map(_param),
            st.sampled_from(oracle.TAG_KEYS).map(_tag),
            st.sampled_from(oracle.METRIC_KEYS).map(_metric),
            st.sampled_from(oracle.ROLES).map(lambda role: _datasets(role, "name")),
        )
    )
    present = place.present or (lambda run: bool(place.values(run)))
    return Meaning(f"{place.path[0]}:{draw(_quoted(_escaped(place.path[1])))}", present)


@st.composite
def _anywhere(draw: st.DrawFn) -> Meaning:
    """A text alone, which is looked for in names, parameters and tags."""
    written = draw(_text_or_pattern(tuple(text for text in TEXTS if text)))

    def holds(run: KnownRun) -> bool:
        texts = [run.facts["name"], run.facts["display_name"], *run.tags.values()]
        texts += [oracle.text_form(value) or "nan" for value in run.params.values()]
        return any(written.holds(":", text) for text in texts)

    return Meaning(written.text, holds)


def _negation(operand: Meaning, sign: str) -> Meaning:
    # Two signs side by side are not in the grammar.
    text = f"({operand.text})" if operand.text[0] in "N-" else operand.within(TERM)
    return Meaning(f"{sign}{text}", lambda run: not operand.holds(run))


def _either(operands: list[Meaning]) -> Meaning:
    text = " OR ".join(operand.within(TERM) for operand in operands)
    return Meaning(text, lambda run: any(operand.holds(run) for operand in operands), OR)


def _all(operands: list[Meaning], word: str) -> Meaning:
    text = word.join(operand.within(OR) for operand in operands)
    return Meaning(text, lambda run: all(operand.holds(run) for operand in operands), AND)


FILTERS = st.recursive(
    st.one_of(
        _comparisons(),
        _comparisons(),
        _comparisons(),
        _one_of_several(),
        _presences(),
        _keys_present(),
        _anywhere(),
    ),
    lambda inner: st.one_of(
        st.builds(_negation, inner, st.sampled_from(("NOT ", "-"))),
        st.builds(_either, st.lists(inner, min_size=2, max_size=3)),
        st.builds(_all, st.lists(inner, min_size=2, max_size=3), st.sampled_from((" AND ", " "))),
    ),
    max_leaves=6,
)
