"""Access rules without a server: what a file says, is worth and changes, for the command line."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.access_checks import (
    AccessFileError,
    Finding,
    located,
    member_problem,
    read_with_lines,
)
from gateway.access_question import check_question
from gateway.access_rules import AccessRules
from gateway.access_warnings import access_warnings
from gateway.holdings import ending
from gateway.holdings_message import verdict_message
from gateway.principals import identify
from gateway.refusals import groups_omitted
from gateway.token_verifier import VerifiedClaims, VerifiedToken
from service_chassis.errors import StudbookError
from service_chassis.permissions import PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from studbook.identity.v1.identity_service_pb2 import TestAccessResponse


@dataclass(frozen=True, order=True)
class _Right:
    """Some permissions of a member, or some that it does not have."""

    member: str
    resource: str
    words: str
    until: str

    def phrase(self, permissions: AbstractSet[str]) -> str:
        """The member with some of these permissions, as half a sentence."""
        named = "do everything" if permissions >= PERMISSIONS else ", ".join(sorted(permissions))
        return f"{self.member} {self.words} {named} on {self.resource}{self.until}"


@dataclass(frozen=True)
class Report:
    """What is to be said about a file.

    Attributes:
        faults: Why it cannot be used.
        warnings: What in it is legal and suspicious; empty when it cannot be used.
    """

    faults: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def check(text: str, name: str) -> Report:
    """Everything that is to be said about the text of an access file."""
    try:
        file, document = read_with_lines(text, name)
    except AccessFileError as error:
        return Report(error.faults, ())
    return Report((), tuple(sorted(located(document, access_warnings(file, time.time())))))


def load(text: str, name: str) -> AccessRules:
    """The rules of a file's text.

    Raises:
        ValueError: The file cannot be used; the message has a line for each fault.
    """
    return AccessRules(read_with_lines(text, name)[0])


def ask(
    rules: AccessRules, members: Iterable[str], permission: str, resource: str
) -> TestAccessResponse:
    """What the server would answer for a principal, groups, or a principal and its groups.

    Raises:
        ValueError: There is no such member or permission, or the resource is no name.
    """
    named = tuple(members)
    for member in named:
        if problem := member_problem(rules.file, member):
            message = f'"{member}" {problem}.'
            raise ValueError(message)
    with _in_words():
        check_question(permission, resource)
    holdings = rules.holdings("", named, time.time())
    return verdict_message(rules.explain(" with ".join(named), holdings, permission, resource))


def members_of(rules: AccessRules, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The principal that a token with these claims speaks for, and its groups.

    The claims are believed: signature, times and audience are not checked.

    Raises:
        ValueError: The token would be refused.
    """
    issuer = rules.issuers.get(str(claims.get("iss")))
    if issuer is None:
        message = f"No issuer of the access rules has the URL {json.dumps(claims.get('iss'))}."
        raise ValueError(message)
    if not isinstance(claims.get("sub"), str):
        message = "The claims have no `sub`, which says whom the token speaks for."
        raise ValueError(message)
    token = VerifiedToken(issuer, VerifiedClaims(dict(claims)), digest="0" * 64, expires_at=0)
    with _in_words():
        identity = identify(token, rules)
        if identity.groups_omitted_by and rules.names_groups_of(identity.groups_omitted_by):
            raise groups_omitted(identity.principal.id, identity.groups_omitted_by)
    return (identity.principal.id, *identity.groups)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except StudbookError as error:
        raise ValueError(error.message) from error


def differences(old: AccessRules, new: AccessRules) -> list[str]:
    """What members gain and lose with new rules, a line for each member and resource pattern.

    A line begins with `+` or `-`. Rights that come by another role, or wider pattern, are not put
    together: what is written differently is shown.
    """
    before, after = _rights(old), _rights(new)
    lines = []
    for right in sorted({*before, *after}):
        for sign, some, others in (("-", before, after), ("+", after, before)):
            changed = some.get(right, set()) - others.get(right, set())
            if changed:
                lines.append(f"{sign} {right.phrase(changed)}")
    return lines


def _rights(rules: AccessRules) -> dict[_Right, set[str]]:
    found: dict[_Right, set[str]] = {}
    members = {member for entry in (*rules.file.bindings, *rules.file.denials)
               for member in entry.members}  # fmt: skip
    for member in members:
        held = rules.holdings(member, (), -math.inf)
        for words, entries in (("may", held.grants), ("may not", held.denials)):
            for entry in entries:
                until = ending(entry)
                right = _Right(member, entry.resource, words, until)
                found.setdefault(right, set()).update(entry.permissions)
    return found
