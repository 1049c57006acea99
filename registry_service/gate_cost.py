"""What a gate may cost: told from its shape when it is set, and from what it reads when it is run.

Macros are all that takes longer than the expression is long. What they go through is therefore a
path or a list that is written out, never the result of another macro, and what they do with each
entry is bounded: no macro and no whole collection in it. What remains is a product that is known
before anything is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_service.gate_syntax import (
    Macro,
    Read,
    deepest,
    macros,
    reads,
    written_lists,
)
from studbook.registry.v1.gate_subject_pb2 import GateSubject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.descriptor import FieldDescriptor

    from registry_service.gate_syntax import Path, Token

# About 15 ms.
MOST_STEPS = 100_000
_MOST_NESTED = 32
# Characters of text that take as long as one step.
_TEXT_PER_STEP = 128
# A regular expression is compiled anew for each entry.
_STEPS_OF_REGEX = 30
# To keep an entry, all those kept before are copied: 7 of them in the time of a step.
_KEPT_PER_STEP = 7
_KEEPING = frozenset({"map", "filter"})


@dataclass(frozen=True, slots=True)
class Loop:
    """A macro that goes through entries.

    Attributes:
        through: The collection, None for a list that is written out.
        entries: How many that list has; 0 for a collection.
        longest_text: By how much a text among these can be longer than the longest that is read.
        steps: With each entry.
        keeps: Whether it makes a new list.
    """

    through: Path | None
    entries: int
    longest_text: int
    steps: int
    keeps: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """All of an expression that its cost depends on.

    Attributes:
        whole: Collections that are read with all that is in them, as to compare them.
    """

    reads: tuple[Read, ...]
    macros: tuple[Macro, ...]
    loops: tuple[Loop, ...]
    whole: tuple[Path, ...]

    def steps(self, value: Callable[[Path], Any]) -> int:
        """How many steps it takes at most.

        Args:
            value: What there is at a path; None where there is nothing.
        """
        texts = [one for read in self.reads if isinstance(one := value(read.path), str)]
        longest = max(map(len, texts), default=0)
        steps = sum(_size(value(path)) for path in self.whole)
        for loop in self.loops:
            gone = value(loop.through) if loop.through else None
            entries = len(gone) if isinstance(gone, Mapping) else loop.entries
            text = 1 + longest * loop.longest_text // _TEXT_PER_STEP
            steps += entries * loop.steps * text
            if loop.keeps:
                steps += entries * entries // _KEPT_PER_STEP
        return steps


def shape_of(words: Sequence[Token]) -> Shape:
    """The shape of an expression."""
    found, used = macros(words), reads(words)
    lists = written_lists(words)
    loops = tuple(_loop(words, macro, used, lists) for macro in found)
    return Shape(used, found, loops, tuple(read.path for read in used if _is_whole(words, read)))


def check_shape(words: Sequence[Token], shape: Shape) -> str:
    """Why an expression would have no bound; empty when it has one."""
    if deepest(words) > _MOST_NESTED:
        return f"parentheses and brackets are nested more than {_MOST_NESTED} deep"
    for place, word in enumerate(words):
        after_value = place > 0 and words[place - 1].is_value
        if word.word == "." and not after_value:
            return f"character {word.start + 1}: a dot needs a value before it"
        if word.word == "{" and after_value:
            return f"character {word.start + 1}: messages cannot be made here"
        if word.word == "null":
            return (
                f"character {word.start + 1}: nothing is null; ask has(production.version), or "
                '"key" in candidate.metrics'
            )
    for macro in shape.macros:
        problem = _unbound(words, macro, shape)
        if problem:
            return f"{macro.name}() at character {words[macro.place].start + 1} {problem}"
    return ""


def _unbound(words: Sequence[Token], macro: Macro, shape: Shape) -> str:
    lists = written_lists(words)
    if any(macro.holds(other.place) for other in shape.macros):
        return "has another macro inside; nested, their cost has no bound"
    through = _through(macro, shape.reads)
    written = next((one for one in lists if one[1] == macro.place - 2), None)
    if through is None and written is None:
        return (
            "must go through a path, such as candidate.metrics, or a list that is written out, "
            "such as [1, 2]; through anything else its cost has no bound"
        )
    if written and any(written[0] < other.place < written[1] for other in shape.macros):
        return "goes through the result of another macro; their cost has no bound"
    for read in shape.reads:
        inside = macro.holds(read.first) or (
            written is not None and written[0] < read.first < written[1]
        )
        if inside and _is_whole(words, read):
            return (
                f"has all of {read.path} for each entry; ask for one entry of it, as in "
                f"{read.path}[key] or key in {read.path}"
            )
    return ""


def _is_whole(words: Sequence[Token], read: Read) -> bool:
    """Whether a collection is read with all that is in it, not just an entry or its size."""
    before = [word.word for word in words[max(0, read.first - 2) : read.first]]
    behind = [word.word for word in words[read.behind : read.behind + 2]]
    asked = behind[:1] == ["["] or before[-1:] == ["in"] or before in (["size", "("], ["has", "("])
    called = behind[:1] == ["."] and behind[1:] != []
    return is_collection(read.path) and not asked and not called


def _through(macro: Macro, used: Sequence[Read]) -> Path | None:
    """The path that a macro goes through."""
    return next((read.path for read in used if read.behind == macro.place - 1), None)


def _loop(
    words: Sequence[Token], macro: Macro, used: Sequence[Read], lists: Sequence[tuple[int, int]]
) -> Loop:
    through = _through(macro, used)
    inside = words[macro.opening : macro.closing]
    written = next((one for one in lists if one[1] == macro.place - 2), (0, 0))
    listed = words[written[0] : written[1]]
    regexes = sum(word.word == "matches" for word in inside)
    return Loop(
        through=through,
        entries=sum(word.word == "," for word in listed) + 1,
        longest_text=max(1, len(listed)) * len(inside),
        steps=len(inside) + regexes * _STEPS_OF_REGEX,
        keeps=macro.name in _KEEPING,
    )


def _size(value: object) -> int:
    """How many values there are in all."""
    return sum(map(_size, value.values())) if isinstance(value, Mapping) else 1


def is_collection(path: Path) -> bool:
    """Whether there can be any number of values at a path."""
    fields: Mapping[str, FieldDescriptor] = GateSubject.DESCRIPTOR.fields_by_name
    keys = iter(path.keys[1:])
    for key in keys:
        field = fields.get(key)
        if field is not None and _is_map(field):
            if next(keys, None) is None:
                return True
            field = _inner(field)["value"]
        fields = {} if field is None else _inner(field)
    return any(map(_is_map, fields.values()))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _inner(field: FieldDescriptor) -> Mapping[str, FieldDescriptor]:
    return {} if field.message_type is None else field.message_type.fields_by_name
