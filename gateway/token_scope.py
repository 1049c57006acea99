"""Narrowing what a caller holds to the resources that its token is good for."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from service_chassis.permissions import covers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.holdings import Grant

EVERYTHING = ("**",)


@lru_cache(maxsize=4096)
def common(one: str, other: str) -> str:
    """A pattern for what two patterns both cover; empty when there is nothing.

    Where that would take more than one pattern to say (`a*` and `*a` in the same segment), it is
    left out: a token is then good for less, never for more.
    """
    first, second = _taken_apart(one), _taken_apart(other)
    if len(first[0]) > len(second[0]):
        first, second = second, first
    (short, short_goes_on), (long, long_goes_on) = first, second
    if len(short) < len(long) and not short_goes_on:
        return ""
    segments = [_narrower(a, b) for a, b in zip(short, long, strict=False)] + long[len(short) :]
    if not all(segments):
        return ""
    goes_on = long_goes_on and (short_goes_on or len(short) < len(long))
    return "/".join([*segments, "**"] if goes_on else segments)


def _taken_apart(pattern: str) -> tuple[list[str], bool]:
    """The segments of a pattern, and whether it covers everything below them."""
    segments = pattern.split("/")
    return (segments[:-1], True) if segments[-1] == "**" else (segments, False)


def _narrower(one: str, other: str) -> str:
    """The one of two segments that the other covers; empty when neither does."""
    # A `*` is a character like others to the segment that is to cover it.
    if covers(one, other):
        return other
    return one if covers(other, one) else ""


def narrowed(grants: Iterable[Grant], resources: Sequence[str]) -> list[Grant]:
    """Grants, as far as they concern what some patterns cover."""
    if tuple(resources) == EVERYTHING:
        return list(grants)
    return [
        replace(grant, resource=resource)
        for grant in grants
        for pattern in resources
        if (resource := common(grant.resource, pattern))
    ]


def is_held(pattern: str, held: Iterable[str]) -> bool:
    """Whether one of some patterns covers all that a pattern covers."""
    return any(common(one, pattern) == pattern for one in held)


def workspace_of(resources: Iterable[str]) -> str:
    """The one workspace that patterns are about, as a resource name; `workspaces/-` for several."""
    names = {"/".join(pattern.split("/")[:2]) for pattern in resources}
    alone = names.pop() if len(names) == 1 else "**"
    return alone if "*" not in alone and alone.count("/") == 1 else "workspaces/-"
