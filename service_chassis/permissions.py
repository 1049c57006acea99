"""The permissions there are, the built-in roles, and the patterns roles are granted on."""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from service_chassis.globs import glob_expression
from service_chassis.resource_names import LONGEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_READ_TRACKING = frozenset({"experiments.read", "runs.read", "datasets.read"})
_READ_MODELS = frozenset({"models.read", "models.serve"})
_VIEW = _READ_TRACKING | _READ_MODELS
_TRAIN = frozenset({"experiments.write", "runs.write", "datasets.write", "models.write"})

BUILT_IN_ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        # Reads everything but the ledger.
        "viewer": _VIEW,
        # Logs runs and registers versions; moves them between None, Staging and Archived.
        "trainer": _VIEW | _TRAIN | {"runs.delete", "models.register", "models.transition"},
        # Reads the ledger beside the models; approves promotions and rejects them.
        "reviewer": _VIEW | {"models.review", "ledger.read"},
        # The only role but admin that moves versions into and out of Production.
        "releaser": _VIEW | {"models.transition", "models.promote"},
        # What an ops service needs: the version in Production and its files, nothing else.
        "deployer": frozenset({"models.serve"}),
        # Reads everything, changes nothing.
        "auditor": _VIEW | {"ledger.read"},
        "admin": _VIEW
        | _TRAIN
        | {
            "experiments.delete",
            "runs.delete",
            "models.register",
            "models.delete",
            "models.transition",
            "models.promote",
            "models.review",
            # Passes a promotion policy by, where the policy allows it.
            "models.break_glass",
            "policies.write",
            "webhooks.read",
            "webhooks.write",
            "ledger.read",
            # Erases a person's name from the ledger.
            "ledger.erase",
            # Asks what others may do.
            "access.test",
        },
    }
)

# Held by services among themselves; no role of access.yaml may contain them.
INTERNAL_PERMISSIONS = frozenset({"runs.hold", "tokens.spend"})

PERMISSIONS = frozenset().union(*BUILT_IN_ROLES.values())


def is_valid_pattern(pattern: str) -> bool:
    """Whether the pattern is one that `covers` understands.

    A pattern is a resource name in which a segment may hold `*` (any characters but `/`), and
    whose last segment may be `**`: the resource so far and everything below it.
    """
    segments = pattern.split("/")
    return (
        len(pattern) <= LONGEST_NAME
        and all(re.fullmatch(r"[a-z0-9*][a-z0-9._*+-]*", segment) for segment in segments)
        and "**" not in segments[:-1]
        and not any("**" in segment for segment in segments if segment != "**")
        and segments[0] in {"workspaces", "**"}
    )


def is_whole(pattern: str) -> bool:
    """Whether the pattern is for all that belongs together, so that it can be kept from somebody.

    That is everything, workspaces, their collections, and what stands directly in these, always
    with what is below.
    """
    segments = pattern.split("/")
    return segments[-1] == "**" and len(segments) <= len(("workspaces", "", "models", "", "**"))


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern == "**":
        return re.compile(r".*", re.DOTALL)
    fixed = pattern.removesuffix("/**")
    below = "(/.*)?" if fixed != pattern else ""
    return re.compile(glob_expression(fixed, "/") + below, re.DOTALL)


@lru_cache(maxsize=65536)
def covers(pattern: str, resource: str) -> bool:
    """Whether the pattern includes the resource. Matching is exact and case-sensitive."""
    return _compiled(pattern).fullmatch(resource) is not None


@lru_cache(maxsize=65536)
def includes(pattern: str, other: str) -> bool:
    """Whether the pattern covers everything that another pattern covers."""
    wide, narrow = pattern.split("/"), other.split("/")
    if wide[-1] == "**":
        wide.pop()
        narrow = narrow[:-1] if narrow[-1] == "**" else narrow
        narrow = narrow[: len(wide)]
    # A `*` of the narrower one is to the wider one a character like others.
    return (
        len(wide) == len(narrow)
        and "**" not in narrow
        and all(_compiled(w).fullmatch(n) for w, n in zip(wide, narrow, strict=True))
    )


@lru_cache(maxsize=65536)
def overlaps(pattern: str, other: str) -> bool:
    """Whether there could be a resource that both patterns cover."""
    one, two = pattern.split("/"), other.split("/")
    for a, b in zip(one, two, strict=False):
        if "**" in {a, b}:
            return True
        if not _segments_meet(a, b):
            return False
    shorter, longer = sorted((one, two), key=len)
    # `a/**` covers `a` too.
    return len(shorter) == len(longer) or longer[len(shorter)] == "**"


def _segments_meet(one: str, two: str) -> bool:
    if "*" not in two:
        return _compiled(one).fullmatch(two) is not None
    if "*" not in one:
        return _compiled(two).fullmatch(one) is not None
    # What lies between the first and the last `*` of each finds room behind one another.
    heads = one.partition("*")[0], two.partition("*")[0]
    tails = one.rpartition("*")[2], two.rpartition("*")[2]
    return (heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])) and (
        tails[0].endswith(tails[1]) or tails[1].endswith(tails[0])
    )


class PatternSet:
    """Several patterns, asked as one. Plain subtrees cost nothing, however many they are.

    Args:
        patterns: The patterns.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        every = tuple(patterns)
        self._with_stars = tuple(one for one in every if "*" in one.removesuffix("**"))
        self._plain = frozenset(every).difference(self._with_stars)

    def covers(self, resource: str) -> bool:
        """Whether one of the patterns includes the resource; none has a longer name than others."""
        if len(resource) > LONGEST_NAME:
            return False
        return self._plainly(resource) or any(covers(one, resource) for one in self._with_stars)

    def includes(self, pattern: str) -> bool:
        """Whether one of the patterns covers everything that a pattern covers."""
        if len(pattern) > LONGEST_NAME:
            return False
        return self._plainly(pattern) or any(includes(one, pattern) for one in self._with_stars)

    def _plainly(self, name: str) -> bool:
        plain = self._plain
        if not plain:
            return False
        if name in plain or "**" in plain:
            return True
        end = len(name)
        while end > 0:
            if f"{name[:end]}/**" in plain:
                return True
            end = name.rfind("/", 0, end)
        return False


def widest(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns without those that lie within a plain subtree of another, each once."""
    once = dict.fromkeys(patterns)
    return tuple(
        pattern for pattern in once if not any(above in once for above in _subtrees_above(pattern))
    )


def _subtrees_above(pattern: str) -> Iterator[str]:
    if pattern != "**":
        yield "**"
    end = len(pattern.removesuffix("/**"))
    while end > 0:
        above = f"{pattern[:end]}/**"
        if above != pattern:
            yield above
        end = pattern.rfind("/", 0, end)


@lru_cache(maxsize=4096)
def may_cover_below(pattern: str, parent: str) -> bool:
    """Whether the pattern includes the parent or could include something below it.

    A wildcard segment `-` in the parent (`experiments/-`) stands for any segment.
    """
    wanted = parent.split("/")
    given = pattern.split("/")
    for index, segment in enumerate(wanted):
        if index >= len(given):
            return False
        if given[index] == "**":
            return True
        if segment != "-" and not _compiled(given[index]).fullmatch(segment):
            return False
    return True
