"""YAML that remembers on which line everything stood, so that errors can say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

Path = tuple[str | int, ...]
# Aliases of aliases make a few lines into billions of values.
_MOST_PLACES = 100_000


class YamlError(ValueError):
    """The text is not YAML, or has a key twice.

    Args:
        line: Where, counted from 1.
        problem: What is wrong there.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(frozen=True)
class Document:
    """Parsed YAML with the line of every mapping value and list item."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Iterable[str | int]) -> int:
        """The line of a place, or of the nearest place around it that stands in the file."""
        known: Path = ()
        for part in path:
            if (*known, part) in self.lines:
                known = (*known, part)
        return self.lines.get(known, 1)


def parse(text: str) -> Document:
    """Parse a YAML document of plain values.

    Raises:
        YamlError: It does not parse, or a mapping has the same key twice. YAML keeps the last of
            several, and in a file of permissions nobody should have to know that.
    """
    try:
        return _document(yaml.SafeLoader(text))
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = str(error.problem or error.context)
    except RecursionError:
        line, problem = 1, "the file is nested too deeply; write it with fewer levels"
    except (yaml.YAMLError, ValueError) as error:
        # Dates that do not exist are ValueErrors.
        line, problem = 1, str(error)
    raise YamlError(line, problem)


def _document(loader: yaml.SafeLoader) -> Document:
    node = loader.get_single_node()
    if node is None:
        return Document(None)
    lines: dict[Path, int] = {}
    _index(node, (), lines, frozenset())
    return Document(loader.construct_document(node), lines)


def _index(node: yaml.Node, path: Path, lines: dict[Path, int], above: frozenset[int]) -> None:
    if id(node) in above:
        raise YamlError(node.start_mark.line + 1, "an alias contains itself")
    above |= {id(node)}
    if len(lines) > _MOST_PLACES:
        message = (
            f"with its aliases the file has more than {_MOST_PLACES} values; write fewer, or "
            "without aliases of aliases"
        )
        raise YamlError(node.start_mark.line + 1, message)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*path, index] = item.start_mark.line + 1
            _index(item, (*path, index), lines, above)
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            place = (*path, str(key.value))
            line = key.start_mark.line + 1
            if place in lines:
                raise YamlError(line, f"{key.value} stands here and on line {lines[place]}")
            lines[place] = line
            _index(item, place, lines, above)
