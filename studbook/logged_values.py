"""Bringing what users log into the forms that are recorded: metrics, parameters, tags."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import suppress
from numbers import Real
from typing import TYPE_CHECKING, Any
from unicodedata import category

from studbook.media import is_media
from studbook.redaction import without_tokens

if TYPE_CHECKING:
    from studbook.run_records import ParamValue

# The contract's limits.
LONGEST_KEY = 256
LONGEST_TEXT = 8192
LONGEST_TAG_KEY = 128
LONGEST_TAG = 1024
MOST_TAGS = 64
# Deeper than anybody nests on purpose; also ends structures that hold themselves.
_DEEPEST = 32
# Of everything in one call of `log()`, or in a config.
MOST_VALUES = 100_000
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_INT64 = range(-(2**63), 2**63)


class NotLoggable(ValueError):  # noqa: N818 - named for what it says of the value
    """A key or value that cannot be recorded, and why."""


def _as_mapping(value: Any) -> Mapping[Any, Any] | None:
    return value if isinstance(value, Mapping) else None


def flatten(
    values: Mapping[Any, Any],
    separator: str,
    inside: Callable[[Any], Mapping[Any, Any] | None] = _as_mapping,
) -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings, each under its keys joined by the separator.

    Args:
        values: The outermost.
        separator: What stands between keys.
        inside: The mapping that a value is; None when it is a leaf.

    Raises:
        NotLoggable: When there are too many of them, as in mappings that hold themselves twice.
    """
    seen = 0
    levels = [("", iter(values.items()))]
    while levels:
        prefix, items = levels[-1]
        for key, value in items:
            seen += 1
            if seen > MOST_VALUES:
                message = f"more than {MOST_VALUES} values in one call"
                raise NotLoggable(message)
            name = prefix + (key if isinstance(key, str) else text_of(key))
            inner = inside(value) if len(levels) <= _DEEPEST else None
            if inner is not None:
                levels.append((name + separator, iter(inner.items())))
                break
            yield name, value
        else:
            levels.pop()


def text_of(value: object, longest: int = LONGEST_TEXT) -> str:
    """What `str` makes of a value, in a form that can be stored; longer texts are cut.

    Lone surrogates and NUL, which servers refuse, are replaced. Of a value that has no text,
    because its own code fails or it is nested too deeply, the type is told.
    """
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        text = f"<{type(value).__name__} without text>"
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def check_key(key: str, longest: int = LONGEST_KEY) -> str:
    """The key.

    Raises:
        NotLoggable: When it is empty, too long, or holds control characters.
    """
    if not 0 < len(key) <= longest:
        message = f"the key {_short(key)} has {len(key)} characters; 1 to {longest} are allowed"
        raise NotLoggable(message)
    # Almost all are printable, which is found out much faster.
    if not key.isprintable() and any(category(letter) in _UNPRINTABLE for letter in key):
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
    if isinstance(value, Mapping):
        message = f"{_short(key)} is nested more than {_DEEPEST} mappings deep, or holds itself"
        raise NotLoggable(message)
    try:
        # A tensor that takes part in training is not to notice that it was looked at.
        if hasattr(value, "detach"):
            value = value.detach()
        # `item` takes the number out of arrays and tensors with one element.
        return float(value.item() if hasattr(value, "item") else value)
    except OverflowError as error:
        message = f"{_short(key)} is {_short(value)}, too large for 64 bits of floating point"
        raise NotLoggable(message) from error
    except Exception as error:  # a value's own code may raise anything
        message = f"{_short(key)} is of type {type(value).__name__}, not one number: {error}"
        if isinstance(value, Sized):
            message += "; a studbook.Histogram takes many, and so do names of their own"
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
    if not isinstance(values, Mapping):
        message = f"log() takes numbers by name, not a {type(values).__name__}"
        raise NotLoggable(message)
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
        except Exception as error:  # noqa: BLE001 - a value's own code may raise anything
            sorted_out.problems[key] = f"{_short(key)} is a {type(value).__name__}: {error}"
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

    Sequences and other structures become JSON where they can. Of a text, credentials in URLs and
    tokens of well-known issuers are blotted out: programs log all that they were started with.
    """
    if not isinstance(value, (str, bytes)):
        with suppress(Exception):  # a value's own code may raise anything
            value = value.item()
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and value in _INT64:
        return int(value)
    if isinstance(value, (list, tuple)):
        with suppress(Exception):  # what it holds may be anything
            value = json.dumps(value, default=_as_json)
    return without_tokens(text_of(value))


def _as_json(value: Any) -> Any:
    inner = _as_config(value)
    return text_of(value) if inner is None else dict(inner)


def params_of(config: Any) -> dict[str, ParamValue]:
    """Parameters, flattened with dots, of a mapping, `argparse.Namespace` or dataclass.

    Raises:
        NotLoggable: When it is none of these, or has a key that cannot be recorded.
    """
    mapping = _as_config(config)
    if mapping is None:
        message = f"config is a {type(config).__name__}; give a dict, Namespace or dataclass"
        raise NotLoggable(message)
    leaves = flatten(mapping, ".", _as_config)
    return {check_key(key): param_value(value) for key, value in leaves}


def _as_config(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Namespace):
        return vars(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Not `asdict`, which copies all that is inside; not everything can be copied.
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return _as_mapping(value)


def tags_of(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags with their values as text.

    Raises:
        NotLoggable: When a key cannot be recorded, or there are more tags than a run can have.
    """
    if not isinstance(tags, Mapping):
        message = f"tags is a {type(tags).__name__}; give texts by name"
        raise NotLoggable(message)
    if len(tags) > MOST_TAGS:
        message = f"{len(tags)} tags; a run has at most {MOST_TAGS}"
        raise NotLoggable(message)
    return {
        check_key(str(key), LONGEST_TAG_KEY): without_tokens(text_of(value, LONGEST_TAG))
        for key, value in tags.items()
    }


def _short(value: object) -> str:
    # Cut first: writing out what is very long takes very long.
    text = repr(value[:80]) if isinstance(value, (str, bytes, bytearray)) else text_of(value)
    return text if len(text) <= 80 else text[:79] + "…"
