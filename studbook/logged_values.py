"""Bringing what users log into the forms that are recorded: metrics, parameters, tags."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any
from unicodedata import category

from studbook.media import is_media

if TYPE_CHECKING:
    from studbook.run_records import ParamValue

# The contract's limits.
LONGEST_KEY = 256
LONGEST_TEXT = 8192
LONGEST_TAG_KEY = 128
LONGEST_TAG = 1024
# Deeper than anybody nests on purpose; also ends structures that hold themselves.
_DEEPEST = 32
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_INT64 = range(-(2**63), 2**63)


class NotLoggable(ValueError):  # noqa: N818 - named for what it says of the value
    """A key or value that cannot be recorded, and why."""


def flatten(values: Mapping[Any, Any], separator: str) -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings, each under its keys joined by the separator."""
    yield from _flatten("", values, separator, 0)


def _flatten(
    prefix: str, values: Mapping[Any, Any], separator: str, depth: int
) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from _flatten(name + separator, value, separator, depth + 1)
        else:
            yield name, value


def check_key(key: str, longest: int = LONGEST_KEY) -> str:
    """The key.

    Raises:
        NotLoggable: When it is empty, too long, or holds control characters.
    """
    if not 0 < len(key) <= longest:
        message = f"the key {_short(key)} has {len(key)} characters; 1 to {longest} are allowed"
        raise NotLoggable(message)
    if any(category(character) in _UNPRINTABLE for character in key):
        message = f"the key {_short(key)} holds control characters"
        raise NotLoggable(message)
    return key


def metric_value(key: str, value: Any) -> float:
    """A number out of what a library calls a scalar: NumPy, PyTorch and others included.

    Whole numbers, decimals and fractions become the nearest of the 64-bit floating point numbers
    that metrics are.

    Raises:
        NotLoggable: When it is not one number.
    """
    if isinstance(value, (str, bytes, bytearray, complex)) or value is None:
        message = f"{_short(key)} is {type(value).__name__} {_short(value)}, not a number"
        raise NotLoggable(message)
    try:
        # A tensor that takes part in training is not to notice that it was looked at.
        if hasattr(value, "detach"):
            value = value.detach()
        # `item` takes the number out of arrays and tensors with one element.
        return float(value.item() if hasattr(value, "item") else value)
    except Exception as error:  # a value's own code may raise anything
        message = f"{_short(key)} is a {type(value).__name__} that is not one number: {error}"
        raise NotLoggable(message) from error


@dataclasses.dataclass
class SortedOut:
    """What a call of `log()` was given, sorted out; nested names are joined with `/`.

    Attributes:
        numbers: The numbers.
        media: What is to be kept as a file: images, tables, histograms.
        problems: What is wrong with all the rest.
        are_plain: Whether all were numbers that `struct` takes as they are.
    """

    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    media: dict[str, Any] = dataclasses.field(default_factory=dict)
    problems: dict[str, str] = dataclasses.field(default_factory=dict)
    are_plain: bool = True


def metrics_of(values: Mapping[Any, Any]) -> SortedOut:
    """The numbers by name, the media, and what is wrong with all the rest."""
    sorted_out = SortedOut()
    for key, value in flatten(values, "/"):
        try:
            check_key(key)
            if isinstance(value, Real):
                sorted_out.numbers[key] = metric_value(key, value)
            elif is_media(value):
                sorted_out.media[key] = value
            else:
                sorted_out.are_plain = False
                sorted_out.numbers[key] = metric_value(key, value)
        except NotLoggable as error:
            sorted_out.problems[key] = str(error)
    return sorted_out


def step_number(step: Any) -> int:
    """A step as a whole number of 64 bits.

    Raises:
        NotLoggable: When it is not one.
    """
    try:
        number = int(step)
        if number == step and number in _INT64:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    message = f"the step {_short(step)} is not a whole number of 64 bits"
    raise NotLoggable(message)


def param_value(value: Any) -> ParamValue:
    """A parameter's value: numbers and truth values as they are, all else as text.

    Sequences and other structures become JSON where they can.
    """
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):
            value = str(value)
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and value in _INT64:
        return int(value)
    if isinstance(value, (list, tuple)):
        try:
            value = json.dumps(value)
        except (TypeError, ValueError, RecursionError):
            value = str(value)
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def params_of(config: Any) -> dict[str, ParamValue]:
    """Parameters, flattened with dots, of a mapping, `argparse.Namespace` or dataclass.

    Raises:
        NotLoggable: When it is none of these, or has a key that cannot be recorded.
    """
    if isinstance(config, Namespace):
        config = vars(config)
    elif dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    if not isinstance(config, Mapping):
        message = f"config is a {type(config).__name__}; give a dict, Namespace or dataclass"
        raise NotLoggable(message)
    return {check_key(key): param_value(value) for key, value in flatten(config, ".")}


def tags_of(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags with their values as text.

    Raises:
        NotLoggable: When a key cannot be recorded.
    """
    return {
        check_key(str(key), LONGEST_TAG_KEY): str(value)[:LONGEST_TAG]
        for key, value in tags.items()
    }


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
