"""Bringing what users log into the forms that are recorded: metrics, parameters, tags."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from unicodedata import category

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

    Raises:
        NotLoggable: When it is not one number.
    """
    if isinstance(value, (str, bytes, complex)) or value is None:
        message = f"{_short(key)} is {type(value).__name__} {_short(value)}, not a number"
        raise NotLoggable(message)
    try:
        # `item` takes the number out of arrays and tensors with one element.
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        message = f"{_short(key)} is a {type(value).__name__} that is not one number: {error}"
        raise NotLoggable(message) from error


def metrics_of(values: Mapping[Any, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """The numbers by name, nested names joined with `/`; and what is wrong with all the rest."""
    good: dict[str, float] = {}
    problems: dict[str, str] = {}
    for key, value in flatten(values, "/"):
        try:
            good[check_key(key)] = metric_value(key, value)
        except NotLoggable as error:
            problems[key] = str(error)
    return good, problems


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
