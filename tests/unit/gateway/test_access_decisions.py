"""What follows from the access rules: grants, explanations, pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access_rules import AccessRules, claim_text, claim_value, load_rules
from service_chassis.permissions import BUILT_IN_ROLES, PERMISSIONS, covers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.holdings import Verdict

RULES = load_rules(
    """
version: 1
issuers:
  corp: {url: "https://a.example", kind: people, audience: x}
  ci: {url: "https://b.example", kind: pipelines, audience: x}
pipelines:
  any: {issuer: ci, claims: {repository_id: "1"}}
  main: {issuer: ci, claims: {repository_id: "1", ref: [main, release]}}
  pods:
    issuer: ci
    claims: {kubernetes.io/serviceaccount/uid: u1, ref_protected: "true"}
roles:
  promoter: [models.promote]
bindings:
  - {role: trainer, members: ["group:corp:ds"], resources: [workspaces/main/**]}
  - {role: promoter, members: ["user:corp:ada"], resources: [workspaces/main/models/wine]}
  - {role: viewer, members: ["user:corp:ada"], resources: [workspaces/x/**, workspaces/main/**]}
"""
)
ADA, GROUPS = "user:corp:ada", ("group:corp:ds",)
NOW = 1_700_000_000.0


def held_by(
    principal: str, groups: Iterable[str], permissions: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    return RULES.holdings(principal, groups, NOW).patterns(permissions)[0]


def explained(principal: str, groups: Iterable[str], permission: str, resource: str) -> Verdict:
    held = RULES.holdings(principal, groups, NOW)
    return RULES.explain(principal, held, permission, resource)


def test_nobody_may_do_anything_by_default() -> None:
    assert held_by("user:corp:max", (), PERMISSIONS) == {}
    empty = "version: 1\nissuers: {c: {url: 'https://a.example', kind: people, audience: x}}"
    assert load_rules(empty).holdings(ADA, GROUPS, NOW).grants == ()


def test_grants_add_up_over_groups_and_bindings() -> None:
    assert held_by(ADA, GROUPS, ["runs.read", "runs.write", "models.promote"]) == {
        "runs.read": ("workspaces/x/**", "workspaces/main/**"),
        "runs.write": ("workspaces/main/**",),
        "models.promote": ("workspaces/main/models/wine",),
    }


def test_explanations() -> None:
    allowed = explained(ADA, GROUPS, "runs.write", "workspaces/main/experiments/e")
    assert allowed.grant
    assert (allowed.grant.role, allowed.grant.member) == ("trainer", "group:corp:ds")
    assert "group:corp:ds has the role trainer on workspaces/main/**" in allowed.explanation
    elsewhere = explained(ADA, GROUPS, "models.promote", "workspaces/main/models/beer")
    assert not elsewhere.allowed
    assert "only on workspaces/main/models/wine" in elsewhere.explanation
    assert "releaser, admin, promoter" in elsewhere.explanation
    nowhere = explained("user:corp:max", (), "models.promote", "workspaces/main")
    assert "anywhere" in nowhere.explanation


@given(
    principal=st.sampled_from([ADA, "user:corp:max", "pipeline:main"]),
    groups=st.sets(st.sampled_from(["group:corp:ds", "group:corp:other"])),
    permission=st.sampled_from(sorted(PERMISSIONS)),
    resource=st.sampled_from(
        ["workspaces/main", "workspaces/main/models/wine", "workspaces/x/models/m", "workspaces/y"]
    ),
)
def test_explanation_agrees_with_grants(
    principal: str, groups: set[str], permission: str, resource: str
) -> None:
    patterns = held_by(principal, groups, [permission]).get(permission, ())
    verdict = explained(principal, groups, permission, resource)
    assert verdict.allowed == any(covers(pattern, resource) for pattern in patterns)
    assert (verdict.grant is not None) == verdict.allowed


@pytest.mark.parametrize("role", sorted(BUILT_IN_ROLES))
def test_built_in_roles_can_be_bound(role: str) -> None:
    rules = AccessRules(
        RULES.file.model_copy(
            update={"bindings": (RULES.file.bindings[0].model_copy(update={"role": role}),)}
        )
    )
    assert set(rules.holdings("x", GROUPS, NOW).patterns(PERMISSIONS)[0]) == set(
        BUILT_IN_ROLES[role]
    )


@pytest.mark.parametrize(
    ("claims", "pipeline"),
    [
        ({"repository_id": "1"}, "any"),
        ({"repository_id": "1", "ref": "main"}, "main"),
        ({"repository_id": "1", "ref": "release"}, "main"),
        ({"repository_id": "1", "ref": "main2"}, "any"),
        ({"repository_id": 1, "ref": "main"}, "main"),
        ({"repository_id": "2", "ref": "main"}, None),
        ({"repository_id": ["1"]}, None),
        ({"repository_id": "1 "}, None),
        ({"ref": "main"}, None),
        ({}, None),
        ({"kubernetes.io": {"serviceaccount": {"uid": "u1"}}, "ref_protected": True}, "pods"),
        ({"kubernetes.io": {"serviceaccount": {"uid": "u2"}}, "ref_protected": True}, None),
        ({"kubernetes.io": {"serviceaccount": "uid"}, "ref_protected": "true"}, None),
    ],
)
def test_pipelines_match_all_their_claims(claims: dict[str, Any], pipeline: str | None) -> None:
    match = RULES.match_pipeline("ci", claims)
    assert (match and match[0]) == pipeline
    assert RULES.match_pipeline("corp", claims) is None


def test_claims_by_path() -> None:
    claims = {"a": {"b": {"c": 1}}, "x.example/y": "z", "f": False, "n": None}
    assert claim_value(claims, "a/b/c") == 1
    assert claim_value(claims, "a/b/d") is None
    assert claim_text(claims, "x.example/y") == "z"
    assert claim_text(claims, "f") == "false"
    assert claim_text(claims, "n") == claim_text(claims, "a") == ""
