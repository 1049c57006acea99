"""Who is calling, as the gateway vouched for it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service_chassis.errors import permission_denied_by_rule, permission_missing
from service_chassis.permissions import (
    BUILT_IN_ROLES,
    PatternSet,
    may_cover_below,
    overlaps,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service_chassis.errors import StudbookError

# What a call carries beside its messages.
Metadata = tuple[tuple[str, str | bytes], ...]


_Sets = dict[str, PatternSet]


@dataclass(frozen=True)
class Principal:
    """A verified caller; see `studbook.identity.v1.Principal` for the fields."""

    id: str
    kind: str
    display_name: str = ""
    issuer: str = ""
    subject: str = ""
    token_id: str = ""
    pipeline_claims: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Caller:
    """A principal with the grants that matter for the present call.

    Attributes:
        principal: Who calls.
        grants: Resource patterns by permission. Permissions that the called method's access rule
            does not name are absent, whatever the caller holds.
        denials: Resource patterns on which a permission is taken away again, by permission. Each
            stands for a whole subtree.
        via: Which component vouched for it: `gateway`, or a service that calls another.
        groups: The groups it belongs to, `group:{issuer}:{name}`; empty unless the called method's
            access rule asks for them.
        until_s: When the token behind the call ends, in seconds since 1970; None when the call
            does not rest on a token. Calls that last end by then.
    """

    principal: Principal
    grants: dict[str, tuple[str, ...]] = field(hash=False)
    via: str = "gateway"
    groups: tuple[str, ...] = ()
    until_s: float | None = None
    denials: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    _held: _Sets = field(default_factory=dict, init=False, repr=False, compare=False)
    _denied: _Sets = field(default_factory=dict, init=False, repr=False, compare=False)

    def is_denied(self, permission: str, resource: str) -> bool:
        """Whether the permission on the resource, and all below it, is taken away."""
        return _set_of(self.denials, permission, self._denied).covers(resource)

    def may(self, permission: str, resource: str) -> bool:
        """Whether the caller holds the permission on the resource."""
        held = _set_of(self.grants, permission, self._held)
        return held.covers(resource) and not self.is_denied(permission, resource)

    def may_below(self, permission: str, parent: str) -> bool:
        """Whether the caller could hold the permission on the parent or on anything below it."""
        return any(
            may_cover_below(pattern, parent) for pattern in self.grants.get(permission, ())
        ) and not self.is_denied(permission, parent)

    def may_on_all(self, permission: str, pattern: str) -> bool:
        """Whether the caller holds the permission on every resource that a pattern covers."""
        held = _set_of(self.grants, permission, self._held)
        return held.includes(pattern) and not any(
            overlaps(denied, pattern) for denied in self.denials.get(permission, ())
        )

    def keeps(self, before: Caller) -> bool:
        """Whether the caller is the one before, and holds all that this one held."""
        return (
            self.principal.id == before.principal.id
            and _within(before.grants, self.grants)
            and _within(self.denials, before.denials)
        )

    def require(self, permission: str, resource: str) -> None:
        """Raise PERMISSION_DENIED unless the caller holds the permission on the resource."""
        if not self.may(permission, resource):
            raise self.refusal(permission, resource)

    def refuse_denied(self, permission: str, resource: str) -> None:
        """Raise PERMISSION_DENIED if the permission on what is about to be made is taken away.

        To make something takes the permission on what it is made in. That may be held although it
        is denied on the very name.
        """
        if self.is_denied(permission, resource):
            raise self.refusal(permission, resource)

    def refusal(self, permission: str, resource: str) -> StudbookError:
        """PERMISSION_DENIED, with the reason why the caller lacks a permission on a resource."""
        if self.is_denied(permission, resource):
            return permission_denied_by_rule(permission, resource, self.principal.id)
        return permission_missing(permission, resource, self.principal.id, roles_with(permission))


def _within(narrow: Mapping[str, tuple[str, ...]], wide: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether patterns by permission cover nothing that others do not."""
    return all(
        all(map(PatternSet(wide.get(permission, ())).includes, patterns))
        for permission, patterns in narrow.items()
    )


def _set_of(patterns: Mapping[str, tuple[str, ...]], permission: str, made: _Sets) -> PatternSet:
    """The patterns for a permission, asked often and put together once."""
    found = made.get(permission)
    if found is None:
        found = made[permission] = PatternSet(patterns.get(permission, ()))
    return found


def roles_with(permission: str) -> str:
    """The built-in roles that contain a permission, as text for a message."""
    return ", ".join(role for role, held in BUILT_IN_ROLES.items() if permission in held)


_current: ContextVar[Caller] = ContextVar("studbook_caller")


def current_caller() -> Caller:
    """The caller of the RPC that is being handled.

    Raises:
        LookupError: Outside an RPC. A handler that gets here was reached around the call pipeline.
    """
    return _current.get()


def set_current_caller(caller: Caller) -> None:
    """Make a caller current for the rest of this task."""
    _current.set(caller)
