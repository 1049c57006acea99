"""What one caller holds at a moment: the roles granted to it, and what is taken away again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from service_chassis.permissions import PatternSet, covers, widest
from service_chassis.timestamps import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable

Entry = TypeVar("Entry", "Grant", "Denial")
# Resource patterns by permission.
Patterns = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Grant:
    """One role on one resource pattern, and through which member entry it is held.

    Attributes:
        role: Name of the role.
        member: The caller itself or one of its groups.
        resource: The pattern.
        permissions: What the role contains, sorted.
        until_s: When it ends, in seconds since 1970; infinite when it does not.
    """

    role: str
    member: str
    resource: str
    permissions: tuple[str, ...]
    until_s: float = math.inf

    @property
    def ends(self) -> bool:
        """Whether there is a time at which it ends."""
        return not math.isinf(self.until_s)


@dataclass(frozen=True)
class Denial:
    """Permissions that are taken away on one resource pattern, and through which member entry."""

    member: str
    resource: str
    permissions: tuple[str, ...]
    until_s: float = math.inf

    @property
    def ends(self) -> bool:
        """Whether there is a time at which it ends."""
        return not math.isinf(self.until_s)


@dataclass(frozen=True)
class Verdict:
    """Whether something is allowed, by which grant or against which denial, and in words."""

    allowed: bool
    explanation: str
    grant: Grant | None = None
    denial: Denial | None = None


@dataclass(frozen=True)
class Holdings:
    """What a caller holds, until something of it ends.

    Attributes:
        grants: What is granted.
        denials: What is taken away, whatever grants it.
        ended: What was granted until a time that has passed.
    """

    grants: tuple[Grant, ...]
    denials: tuple[Denial, ...]
    ended: tuple[Grant, ...]

    @classmethod
    def at(cls, now_s: float, grants: Iterable[Grant], denials: Iterable[Denial]) -> Holdings:
        """What is held at a time."""
        every = tuple(grants)
        return cls(
            grants=tuple(grant for grant in every if now_s < grant.until_s),
            denials=tuple(denial for denial in denials if now_s < denial.until_s),
            ended=tuple(grant for grant in every if grant.until_s <= now_s),
        )

    @property
    def until_s(self) -> float:
        """When the first of the grants and denials ends; infinite when none does."""
        ends = [grant.until_s for grant in self.grants]
        return min(ends + [denial.until_s for denial in self.denials], default=math.inf)

    def patterns(self, permissions: Iterable[str]) -> tuple[Patterns, Patterns]:
        """Where the caller holds each of some permissions, and where that is taken away.

        Permissions that are held nowhere are absent from both.
        """
        held: Patterns = {}
        denied: Patterns = {}
        for permission in permissions:
            away = _where(self.denials, permission)
            taken = PatternSet(away)
            left = tuple(
                pattern
                for pattern in _where(self.grants, permission)
                if not taken.includes(pattern)
            )
            if left:
                held[permission] = left
                if away:
                    denied[permission] = away
        return held, denied

    def is_taken_away(self, permission: str) -> bool:
        """Whether the caller lacks a permission that is granted to it, because of denials."""
        return bool(_where(self.grants, permission)) and not self.patterns([permission])[0]

    def explain(self, principal: str, permission: str, resource: str, roles: str) -> Verdict:
        """Whether the caller holds a permission on a resource, and why.

        Args:
            principal: The caller's id.
            permission: Name of the permission.
            resource: Name of the resource.
            roles: The roles that contain the permission.
        """
        denial = _first(self.denials, permission, resource)
        grant = _first(self.grants, permission, resource)
        if denial is not None:
            words = (
                f"Denied: a denial takes {permission} on {denial.resource} away from "
                f"{denial.member}, whatever roles grant it{ending(denial)}."
            )
            return Verdict(allowed=False, explanation=words, denial=denial)
        if grant is not None:
            words = (
                f"Allowed: {grant.member} has the role {grant.role} on {grant.resource}, "
                f"which contains {permission}{ending(grant)}."
            )
            return Verdict(allowed=True, explanation=words, grant=grant)
        return Verdict(
            allowed=False, explanation=self._lack(principal, permission, resource, roles)
        )

    def _lack(self, principal: str, permission: str, resource: str, roles: str) -> str:
        ended = _first(self.ended, permission, resource)
        elsewhere = ", ".join(_where(self.grants, permission))
        why = "No binding gives it this permission anywhere."
        if ended is not None:
            why = f"{ended.member} had the role {ended.role} on {ended.resource}{ending(ended)}."
        elif elsewhere:
            why = f"It holds it only on {elsewhere}."
        return (
            f"Denied: {principal} lacks the permission {permission} on {resource}. {why} "
            f"Roles that contain it: {roles}."
        )


def _where(entries: Iterable[Grant | Denial], permission: str) -> tuple[str, ...]:
    return widest(entry.resource for entry in entries if permission in entry.permissions)


def _first(entries: Iterable[Entry], permission: str, resource: str) -> Entry | None:
    return next(
        (
            entry
            for entry in entries
            if permission in entry.permissions and covers(entry.resource, resource)
        ),
        None,
    )


def ending(entry: Grant | Denial) -> str:
    """When an entry ends, as the end of a sentence; empty when it does not."""
    return f" until {to_text(int(entry.until_s * 1_000_000))}" if entry.ends else ""
