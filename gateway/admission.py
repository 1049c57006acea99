"""May this caller call this method at all; and the signed note that tells the service so."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from gateway.refusals import (
    grants_too_many,
    groups_omitted,
    groups_too_long,
    method_is_internal,
    permission_held_nowhere,
    token_not_exchanged,
)
from service_chassis.caller import Caller
from service_chassis.errors import permission_denied_by_rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.authentication import Authenticated
    from gateway.principals import Identity
    from service_chassis.assertion import AssertionSigner
    from service_chassis.errors import StudbookError
    from service_chassis.method_access import Method

# Half of what an assertion is good for, so that one is never used up on its way.
_REUSED_S = 30.0
_MOST_KEPT = 4096
_FORGOTTEN_AT_ONCE = 8
_MOST_GROUP_BYTES = 6 * 1024
# What else a service is sent in metadata is less.
_OTHER_METADATA_BYTES = 8 * 1024


def admit(method: Method, authenticated: Authenticated) -> Caller:
    """The caller with the grants that matter for a method, when it may call the method at all.

    Whether it may on the very resource is decided by the service, which alone has the decoded
    request.

    Raises:
        StudbookError: PERMISSION_MISSING, when the caller holds the permission on no resource;
            TOKEN_NOT_EXCHANGED; GROUPS_TOO_MANY; GROUPS_OMITTED.
    """
    caller = authenticated.admitted.get(method.path)
    if caller is None:
        caller = authenticated.admitted[method.path] = _admitted(method, authenticated)
    return caller


def _admitted(method: Method, authenticated: Authenticated) -> Caller:
    identity, rule = authenticated.identity, method.rule
    principal = identity.principal
    # Who one is, and what one may do, can be asked before.
    if identity.must_exchange and method.area != "identity":
        raise token_not_exchanged(principal)
    if rule.internal:
        raise method_is_internal(method.path, principal.id, rule.permission)
    without = identity.groups_omitted_by
    if without and (rule.needs_groups or authenticated.rules.names_groups_of(without)):
        raise groups_omitted(principal.id, without)
    grants, denials = authenticated.holdings.patterns(method.permissions)
    if rule.permission and rule.permission not in grants:
        raise _held_nowhere(authenticated, rule.permission)
    if not rule.permission and not rule.any_caller:
        # A contract that says nothing grants nothing.
        raise permission_held_nowhere("(none)", principal.id, "none")
    return Caller(
        principal,
        grants,
        groups=_groups(identity) if rule.needs_groups else (),
        until_s=authenticated.expires_at,
        denials=denials,
    )


def _held_nowhere(authenticated: Authenticated, permission: str) -> StudbookError:
    principal = authenticated.identity.principal.id
    if authenticated.holdings.is_taken_away(permission):
        return permission_denied_by_rule(permission, "**", principal)
    roles = authenticated.rules.roles_with(permission)
    return permission_held_nowhere(permission, principal, roles)


def _groups(identity: Identity) -> tuple[str, ...]:
    size = sum(len(group.encode()) for group in identity.groups)
    if size > _MOST_GROUP_BYTES:
        raise groups_too_long(identity.principal.id, len(identity.groups), size, _MOST_GROUP_BYTES)
    return identity.groups


@dataclass(frozen=True)
class _Note:
    assertion: str
    caller: Authenticated
    until: float


class AssertionDesk:
    """Admits callers and hands out assertions, each used for several calls since signing costs.

    Args:
        signer: Signs with the gateway's key.
        metadata_bytes: How much metadata the services accept, of which assertions are the largest
            part.
        clock: A monotonic clock in seconds; tests pass their own.
    """

    def __init__(
        self,
        signer: AssertionSigner,
        metadata_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signer = signer
        self._largest = metadata_bytes - _OTHER_METADATA_BYTES
        self._clock = clock
        self._notes: OrderedDict[tuple[str, str], _Note] = OrderedDict()

    def assertion(self, method: Method, authenticated: Authenticated) -> str:
        """The assertion for a call.

        Raises:
            StudbookError: PERMISSION_MISSING, when the caller may not call the method;
                GROUPS_TOO_MANY.
        """
        key = authenticated.token_digest, method.path
        note = self._notes.get(key)
        # A caller that was verified anew, or under new rules, is another object.
        if note is not None and note.caller is authenticated and self._clock() < note.until:
            return note.assertion
        caller = admit(method, authenticated)
        assertion = self._signer.sign(caller, method.path, method.area)
        if len(assertion) > self._largest:
            count = sum(map(len, caller.grants.values()))
            raise grants_too_many(caller.principal.id, count, len(assertion), self._largest)
        self._notes[key] = _Note(assertion, authenticated, self._clock() + _REUSED_S)
        self._notes.move_to_end(key)
        self._forget()
        return assertion

    def _forget(self) -> None:
        """Forget those that are used no more: a few of them, as one is kept at a time."""
        now = self._clock()
        for key, note in list(islice(self._notes.items(), _FORGOTTEN_AT_ONCE)):
            if now < note.until and len(self._notes) <= _MOST_KEPT:
                break
            del self._notes[key]
