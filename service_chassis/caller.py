"""Who is calling, as the gateway vouched for it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from service_chassis.errors import permission_missing
from service_chassis.permissions import BUILT_IN_ROLES, covers, may_cover_below

# What a call carries beside its messages.
Metadata = tuple[tuple[str, str | bytes], ...]


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
        via: Which component vouched for it: `gateway`, or a service that calls another.
        groups: The groups it belongs to, `group:{issuer}:{name}`; empty unless the called method's
            access rule asks for them.
        until_s: When the token behind the call ends, in seconds since 1970; None when the call
            does not rest on a token. Calls that last end by then.
        issued_s: When it was issued; None behind the gateway, which alone knows of revocations.
    """

    principal: Principal
    grants: dict[str, tuple[str, ...]] = field(hash=False)
    via: str = "gateway"
    groups: tuple[str, ...] = ()
    until_s: float | None = None
    issued_s: float | None = None

    def may(self, permission: str, resource: str) -> bool:
        """Whether the caller holds the permission on the resource."""
        return any(covers(pattern, resource) for pattern in self.grants.get(permission, ()))

    def may_below(self, permission: str, parent: str) -> bool:
        """Whether the caller could hold the permission on the parent or on anything below it."""
        return any(may_cover_below(pattern, parent) for pattern in self.grants.get(permission, ()))

    def require(self, permission: str, resource: str) -> None:
        """Raise PERMISSION_DENIED unless the caller holds the permission on the resource."""
        if not self.may(permission, resource):
            raise permission_missing(
                permission, resource, self.principal.id, roles_with(permission)
            )


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
