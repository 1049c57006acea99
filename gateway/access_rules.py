"""Who may do what: decisions that follow from `access.yaml`, and nothing but decisions.

Everything here is a pure function of the file and the caller, so that the same code that admits a
call can explain it. Nobody may do anything that no binding grants.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.access_checks import read_access_file
from gateway.access_file import PeopleIssuer
from gateway.ci_systems import PROPOSAL_CLAIMS, matches, proposal_claim
from gateway.holdings import Denial, Grant, Holdings, Verdict
from gateway.pipeline_checks import promoting_pipelines
from gateway.token_scope import EVERYTHING, narrowed
from service_chassis.caller import roles_with
from service_chassis.permissions import BUILT_IN_ROLES, PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.access_file import AccessFile, Binding, DenialEntry, Issuer, Pipeline, Revoked
    from service_chassis.caller import Principal


@dataclass(frozen=True)
class NamedIssuer:
    """An issuer with its name in the file."""

    name: str
    settings: Issuer


class AccessRules:
    """The decisions of one state of the file.

    Args:
        file: The checked content.
        revision: Identifies this state in logs.
    """

    def __init__(self, file: AccessFile, revision: str = "") -> None:
        self.revision = revision
        self.file = file
        self.issuers: Mapping[str, NamedIssuer] = {
            issuer.url: NamedIssuer(name, issuer) for name, issuer in file.issuers.items()
        }
        # Those that are asked about tokens which do not say whose they are, by how these begin.
        self.introspected: Mapping[str, NamedIssuer] = {
            issuer.settings.introspection.token_prefix or "": issuer
            for issuer in self.issuers.values()
            if isinstance(issuer.settings, PeopleIssuer) and issuer.settings.introspection
        }
        self._roles = {
            **{name: tuple(sorted(held)) for name, held in BUILT_IN_ROLES.items()},
            **{name: tuple(sorted(set(held))) for name, held in file.roles.items()},
        }
        self._grants: dict[str, list[Grant]] = {}
        self._denials: dict[str, list[Denial]] = {}
        for binding in file.bindings:
            self._add(binding)
        for entry in file.denials:
            self._add_denial(entry)
        self._with_groups = _issuers_with_groups([*self._grants, *self._denials])
        # The narrowest first: of several that match, the one that asks for most claims is meant.
        self._pipelines = sorted(file.pipelines.items(), key=lambda item: -len(item[1].claims))
        self._promoting = frozenset(promoting_pipelines(file))
        self._revoked_issuers = frozenset(file.issuers[name].url for name in file.revoked.issuers)
        self._revoked_tokens = frozenset(file.revoked.tokens)
        self._revoked_before = _revoked_before(file.revoked)

    def _add(self, binding: Binding) -> None:
        held = self._roles[binding.role]
        for member in binding.members:
            self._grants.setdefault(member, []).extend(
                Grant(binding.role, member, resource, held, binding.until_s)
                for resource in binding.resources
            )

    def _add_denial(self, entry: DenialEntry) -> None:
        taken = tuple(sorted(PERMISSIONS if entry.permissions is None else set(entry.permissions)))
        for member in entry.members:
            self._denials.setdefault(member, []).extend(
                Denial(member, resource, taken, entry.until_s) for resource in entry.resources
            )

    def holdings(
        self,
        principal: str,
        groups: Iterable[str],
        now_s: float,
        within: Sequence[str] = EVERYTHING,
    ) -> Holdings:
        """What a caller holds, itself or through a group.

        Args:
            principal: Its id.
            groups: Its groups.
            now_s: The present time, in seconds since 1970.
            within: Resource patterns outside which nothing counts.
        """
        members = (principal, *groups)
        held = (grant for member in members for grant in self._grants.get(member, ()))
        return Holdings.at(
            now_s,
            narrowed(held, within),
            (denial for member in members for denial in self._denials.get(member, ())),
        )

    def explain(self, name: str, holdings: Holdings, permission: str, resource: str) -> Verdict:
        """Whether one who holds something has a permission on a resource, and why.

        Args:
            name: What to call it.
            holdings: What it holds.
            permission: Name of the permission.
            resource: Name of the resource.
        """
        return holdings.explain(name, permission, resource, self.roles_with(permission))

    def names_groups_of(self, issuer: str) -> bool:
        """Whether it matters which groups an issuer's tokens name."""
        return issuer in self._with_groups

    def is_revoked(self, principal: Principal, issued_s: float) -> bool:
        """Whether a token is revoked: itself, or with others of the one whom it speaks for.

        Args:
            principal: Whom it speaks for, with its id.
            issued_s: When it was issued, in seconds since 1970.
        """
        # A token that was given in exchange has the id of the one before and its own, `a/b`.
        before, _, own = principal.token_id.rpartition("/")
        return (
            not self._revoked_tokens.isdisjoint((principal.token_id, before, own))
            or issued_s < self._revoked_before.get(principal.id, -math.inf)
            or principal.issuer in self._revoked_issuers
        )

    def roles_with(self, permission: str) -> str:
        """The roles that contain a permission, built in or of the file, as text for a message."""
        own = [name for name, held in self.file.roles.items() if permission in held]
        return ", ".join([*filter(None, [roles_with(permission)]), *own])

    def match_pipeline(
        self, issuer: str, claims: Mapping[str, Any]
    ) -> tuple[str, dict[str, str]] | None:
        """The pipeline that a token's claims belong to, with the claims that decided it.

        Jobs of pull and merge requests never are of a pipeline that may promote: such a job can
        have the ref of the branch that it is proposed for, and run what anybody proposes.

        Args:
            issuer: Name of the token's issuer in the file.
            claims: Verified claims of the token.
        """
        proposed = bool(
            proposal_claim({name: claim_text(claims, name) for name in PROPOSAL_CLAIMS})
        )
        for name, pipeline in self._pipelines:
            if pipeline.issuer == issuer and not (proposed and name in self._promoting):
                matched = _matched(pipeline, claims)
                if matched is not None:
                    return name, matched
        return None


def _issuers_with_groups(members: Iterable[str]) -> frozenset[str]:
    parts = (member.split(":") for member in members)
    return frozenset(part[1] for part in parts if part[0] == "group")


def _revoked_before(revoked: Revoked) -> Mapping[str, float]:
    """For each principal, the time before which its tokens had to be issued to be revoked."""
    before: dict[str, float] = {}
    for entry in revoked.principals:
        end = entry.issued_before.timestamp() if entry.issued_before else math.inf
        before[entry.principal] = max(end, before.get(entry.principal, end))
    return before


def _matched(pipeline: Pipeline, claims: Mapping[str, Any]) -> dict[str, str] | None:
    found = {name: claim_text(claims, name) for name in pipeline.claims}
    if all(
        value and any(matches(pattern, value) for pattern in pipeline.claims[name])
        for name, value in found.items()
    ):
        return found
    return None


def claim_value(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path of names separated by `/`; None when it is absent.

    A claim whose name itself contains slashes, as namespaced claims do, is found first. Names are
    tried from the longest, because `kubernetes.io/serviceaccount/uid` is a path while
    `oidc.circleci.com/project-id` is a name.
    """
    if name in claims:
        return claims[name]
    head, slash, rest = name.partition("/")
    inner = claims.get(head)
    return claim_value(inner, rest) if slash and isinstance(inner, dict) else None


def claim_text(claims: Mapping[str, Any], name: str) -> str:
    """A claim as text, as rules compare it and the ledger records it; empty when absent."""
    value = claim_value(claims, name)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else ""


def load_rules(text: str, name: str = "access.yaml") -> AccessRules:
    """The rules of a file's text.

    Raises:
        AccessFileError: The file cannot be used.
    """
    file = read_access_file(text, name)
    return AccessRules(file, hashlib.sha256(text.encode()).hexdigest()[:12])
