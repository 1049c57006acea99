"""What a denial takes away is gone, whatever grants it, all the way into the services."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from gateway.access_checks import AccessFileError
from gateway.access_file import AccessFile
from gateway.access_rules import AccessRules, load_rules
from service_chassis.assertion import AssertionSigner, AssertionVerifier
from service_chassis.caller import Caller, Principal
from service_chassis.errors import StudbookError
from service_chassis.permissions import BUILT_IN_ROLES, PERMISSIONS

HEAD = """
version: 1
issuers: {corp: {url: "https://a.example", kind: people, audience: x}}
"""
NOW = 1_700_000_000.0
ADA = "user:corp:ada"
MEMBERS = [ADA, "group:corp:a", "group:corp:b"]
KEY = OKPKey.generate_key("Ed25519")
SIGNER = AssertionSigner("gateway", KEY.as_pem(private=True))
VERIFIER = AssertionVerifier("registry", {"gateway": KEY.as_pem(private=False)})
METHOD = "/studbook.registry.v1.ModelService/GetModel"

# Every resource of a small world, and every pattern that may be written for it.
RESOURCES = sorted(
    {
        "/".join(parts[:depth])
        for depth in (2, 4, 6)
        for parts in itertools.product(
            ("workspaces",), ("a", "ab"), ("models", "runs"), ("a", "ab"), ("versions",), ("a", "b")
        )
    }
)
SEGMENTS = ("a", "ab", "a*", "*b", "*")
PATTERNS = [
    "**",
    *(f"workspaces/{w}{end}" for w in SEGMENTS for end in ("", "/**", "/models/**")),
    *(f"workspaces/{w}/{c}/{x}{end}" for w in ("a", "*") for c in ("models", "*") for x in SEGMENTS
      for end in ("", "/**", "/versions/b")),
]  # fmt: skip
WHOLE = [pattern for pattern in PATTERNS if pattern.endswith("**")]


@dataclass(frozen=True)
class Entry:
    """A binding or a denial, in the plainest form."""

    members: tuple[str, ...]
    resource: str
    permissions: frozenset[str]
    until: float | None

    def concerns(self, members: set[str], permission: str, resource: str) -> bool:
        return (
            bool(members & set(self.members))
            and permission in self.permissions
            and (self.until is None or self.until > NOW)
            and plainly_covers(self.resource.split("/"), resource.split("/"))
        )


def plainly_covers(pattern: list[str], resource: list[str]) -> bool:
    """What the reference says of patterns, word by word."""
    if pattern == ["**"]:
        return True
    if not pattern or not resource:
        return pattern == resource
    head, rest = pattern[0], pattern[1:]
    start, star, end = head.partition("*")
    name = resource[0]
    fits = name.startswith(start) and name[len(start) :].endswith(end) if star else name == head
    return fits and plainly_covers(rest, resource[1:])


def entries(patterns: list[str], permissions: list[frozenset[str]]) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        members=st.lists(st.sampled_from(MEMBERS), min_size=1, max_size=2).map(tuple),
        resource=st.sampled_from(patterns),
        permissions=st.sampled_from(permissions),
        until=st.sampled_from([None, None, NOW - 1, NOW, NOW + 1]),
    )


def rules_of(bindings: list[Entry], denials: list[Entry]) -> AccessRules:
    roles = {held: name for name, held in BUILT_IN_ROLES.items()}

    def written(entry: Entry, **more: Any) -> dict[str, Any]:
        until = {} if entry.until is None else {"until": f"{entry.until}"}
        return {"members": entry.members, "resources": [entry.resource], **until, **more}

    issuer = {"url": "https://a.example", "kind": "people", "audience": "x"}
    return AccessRules(
        AccessFile.model_validate(
            {
                "version": 1,
                "issuers": {"corp": issuer},
                "bindings": [written(one, role=roles[one.permissions]) for one in bindings],
                "denials": [written(one, permissions=sorted(one.permissions)) for one in denials],
            }
        )
    )


def in_the_service(rules: AccessRules, members: list[str]) -> Caller:
    """The caller as the service has it, after the assertion went over the wire."""
    held, denied = rules.holdings("", members, NOW).patterns(PERMISSIONS)
    caller = Caller(Principal(ADA, "user"), held, denials=denied)
    return VERIFIER.verify(SIGNER.sign(caller, METHOD, "registry"), METHOD)


@given(
    bindings=st.lists(entries(PATTERNS, list(BUILT_IN_ROLES.values())), max_size=4),
    denials=st.lists(
        entries(WHOLE, [frozenset({"models.read"}), frozenset({"models.promote", "runs.read"}),
                        PERMISSIONS]), max_size=3),
    members=st.lists(st.sampled_from(MEMBERS), unique=True),
    permission=st.sampled_from(["models.read", "models.promote", "runs.read", "ledger.read"]),
)  # fmt: skip
def test_decisions_are_those_of_the_plain_rule(
    bindings: list[Entry], denials: list[Entry], members: list[str], permission: str
) -> None:
    rules = rules_of(bindings, denials)
    caller = in_the_service(rules, members)
    holdings = rules.holdings("", members, NOW)
    granted = set(members)
    allowed = {
        resource
        for resource in RESOURCES
        if any(one.concerns(granted, permission, resource) for one in bindings)
        and not any(one.concerns(granted, permission, resource) for one in denials)
    }
    for resource in RESOURCES:
        assert caller.may(permission, resource) == (resource in allowed)
        verdict = rules.explain(ADA, holdings, permission, resource)
        assert verdict.allowed == (resource in allowed)
        below = {one for one in allowed if one == resource or one.startswith(f"{resource}/")}
        assert caller.may_below(permission, resource) or not below
    for pattern in PATTERNS:
        covered = {one for one in RESOURCES if plainly_covers(pattern.split("/"), one.split("/"))}
        assert not caller.may_on_all(permission, pattern) or covered <= allowed


@given(
    before=st.lists(entries(PATTERNS, list(BUILT_IN_ROLES.values())), max_size=3),
    after=st.lists(entries(PATTERNS, list(BUILT_IN_ROLES.values())), max_size=3),
    denied=st.lists(entries(WHOLE, [PERMISSIONS]), max_size=2),
    kept=st.booleans(),
)
def test_who_keeps_what_he_held_keeps_every_resource(
    before: list[Entry], after: list[Entry], denied: list[Entry], *, kept: bool
) -> None:
    old = in_the_service(rules_of(before, []), MEMBERS)
    new = in_the_service(rules_of(after + before if kept else after, denied), MEMBERS)
    if new.keeps(old):
        for permission in PERMISSIONS:
            held = {one for one in RESOURCES if old.may(permission, one)}
            assert held <= {one for one in RESOURCES if new.may(permission, one)}
    else:
        assert denied or not kept


def test_denial_says_so() -> None:
    rules = load_rules(
        HEAD
        + """
bindings:
  - {role: admin, members: ["user:corp:ada"], resources: ["**"]}
denials:
  - permissions: [models.promote]
    members: ["user:corp:ada"]
    resources: [workspaces/main/models/wine/**]
    until: 2100-01-31T17:00:00+01:00
"""
    )
    caller = in_the_service(rules, [ADA])
    wine = "workspaces/main/models/wine/versions/1.0.0"
    with pytest.raises(StudbookError, match="a denial in the server's access rules") as caught:
        caller.require("models.promote", wine)
    assert caught.value.reason == "PERMISSION_MISSING"
    caller.require("models.read", wine)
    caller.require("models.promote", "workspaces/main/models/wines")
    verdict = rules.explain(ADA, rules.holdings(ADA, (), NOW), "models.promote", wine)
    assert verdict.denial
    assert verdict.explanation == (
        "Denied: a denial takes models.promote on workspaces/main/models/wine/** away from "
        "user:corp:ada, whatever roles grant it until 2100-01-31T16:00:00Z."
    )


def test_new_things_cannot_be_given_a_name_that_is_denied() -> None:
    caller = Caller(
        Principal(ADA, "user"),
        {"models.write": ("workspaces/main/**",)},
        denials={"models.write": ("workspaces/main/models/wine/**",)},
    )
    caller.require("models.write", "workspaces/main")
    caller.refuse_denied("models.write", "workspaces/main/models/beer")
    with pytest.raises(StudbookError, match="denied the permission"):
        caller.refuse_denied("models.write", "workspaces/main/models/wine")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{members: ['user:corp:a'], resources: [workspaces/main/models/wine/versions/1.0.0/**]}",
         "is not a whole; a denial is for workspaces, or for models"),
        ("{members: ['user:corp:a'], resources: [workspaces/main/models/wine]}", "is not a whole"),
        ("{members: ['user:corp:a'], resources: [models/wine/**]}", "not a resource pattern"),
        ("{members: ['user:corp:a'], permissions: [], resources: ['**']}", "must not be empty"),
        ("{members: ['user:corp:a'], permissions: [models.red], resources: ['**']}",
         '"models.red" is not a permission'),
        ("{members: ['user:corp:a'], permissions: [runs.hold], resources: ['**']}",
         "for services among themselves"),
        ("{members: ['user:other:a'], resources: ['**']}", "which is not an issuer"),
        ("{members: [], resources: ['**']}", "must not be empty"),
        ("{role: viewer, members: ['user:corp:a'], resources: ['**']}", "not a setting"),
        ("{members: ['user:corp:a'], resources: ['**'], until: 2100-01-31T17:00:00}", "time zone"),
    ],
)  # fmt: skip
def test_faulty_denials_are_refused(entry: str, said: str) -> None:
    with pytest.raises(AccessFileError, match="denials") as caught:
        load_rules(f"{HEAD}denials: [{entry}]")
    assert said in str(caught.value)
