"""Every fault of an access file is named, with its line and its remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.access_checks import AccessFileError, read_access_file
from gateway.access_rules import load_rules
from service_chassis.caller import Principal

DOCS = Path(__file__).resolve().parents[3] / "docs" / "reference" / "access-rules.md"
GOOD = """\
version: 1
issuers:
  corp:
    url: https://login.example.com
    kind: people
    audience: https://studbook.example
    login: {client_id: cli}
    service_accounts:
      - client_id: serving
  ci:
    url: https://ci.example.com
    kind: pipelines
    audience: https://studbook.example
pipelines:
  release:
    issuer: ci
    claims:
      repository: acme/wine
      repository_id: "730112"
      ref: [refs/heads/main, refs/heads/release]
roles:
  promoter: [models.read, models.promote]
bindings:
  - role: promoter
    members: [pipeline:release, user:corp:ada, group:corp:a:b, service:corp:serving]
    resources: [workspaces/main/**]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(AccessFileError) as caught:
        read_access_file(text)
    return str(caught.value).splitlines()


def test_good_file_is_read() -> None:
    file = read_access_file(GOOD)
    assert file.issuers["corp"].algorithms == ("RS256", "ES256")
    assert file.pipelines["release"].claims["repository"] == ("acme/wine",)
    with pytest.raises(ValidationError):
        file.bindings = ()


def test_samples_of_the_documentation_make_a_good_file() -> None:
    samples = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    rules = load_rules("".join(samples))
    assert rules.issuers
    assert rules.file.revoked.tokens


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("version: 1", "version: 2", 1, "version: Input should be 1"),
        ("audience: https://studbook.example\n    login", "login", 3, "audience is missing"),
        ("kind: people", "kind: persons", 3, "people"),
        ("https://login", "http://login", 4, "must begin with https://"),
        ("https://login.example.com", "https://a@b.example", 4, "scheme, host and path only"),
        ("https://login.example.com", "https://x.example?a=b", 4, "scheme, host and path only"),
        ("https://login.example.com", "https://ci.example.com", 11, "URL of corp too"),
        ("{client_id: cli}", "{client_id: 'https://studbook.example'}", 6, "ID tokens"),
        ("{client_id: cli}", "{client_id: cli, redirect_uri: 'https://x.example'}", 7, "loopback"),
        ("{client_id: cli}", "{client_id: cli, redirect_uri: 'http://[::1]/?a'}", 7, "loopback"),
        ("{client_id: cli}", "{client_id: cli, audience_parameter: aud}", 7, "'resource'"),
        ("kind: people", "kind: people\n    bearer: id_token", 7, 'it must be "cli"'),
        ("kind: people", "kind: people\n    bearer: id_token", 9, "get access tokens"),
        ("client_id: serving", "client_id: cli", 9, "logs people in"),
        ("client_id: serving", "client_id: a:b", 9, "pattern"),
        ("- client_id: serving", "- client_id: serving\n      - client_id: serving", 10, "twice"),
        ("    audience: https://studbook.example\npip", "    audiences: x\npip", 13, "correct its"),
        ("issuer: ci", "issuer: corp", 16, "not an issuer with `kind: pipelines`"),
        ('      repository_id: "730112"\n', "", 18, "add repository_id or repo"),
        ('"730112"', "730112", 19, "put it in quotes"),
        ('"730112"', "true", 19, "put it in quotes"),
        ('"730112"', "[]", 19, "must not be empty"),
        ("promoter: [", "viewer: [", 22, "is a built-in role"),
        ("models.promote", "models.promte", 22, "is not a permission; there are"),
        ("models.promote", "runs.hold", 22, "for services among themselves"),
        ("role: promoter", "role: king", 24, '"king" is not a role; there are viewer'),
        ("pipeline:release", "pipeline:other", 25, "does not define"),
        ("user:corp:ada", "user:ci:ada", 25, "not an issuer with `kind: people`"),
        ("user:corp:ada", "user:corp", 25, "is not a member"),
        ("user:corp:ada", "ada@example.com", 25, "is not a member; write user:ISSUER:SUB"),
        ("service:corp:serving", "service:corp:x", 25, "not among service_accounts"),
        ("workspaces/main/**", "workspaces/**/models", 26, "is not a resource pattern"),
        ("workspaces/main/**", "main", 26, "is not a resource pattern"),
        ("bindings:", "bindngs:", 23, "bindngs: is not a setting that exists here"),
        ("kind: people", "kind: people\n    kind: people", 6, "stands here and on line 5"),
        ("[pipeline:release", "[[pipeline:release", 26, "expected"),
    ],
)  # fmt: skip
def test_faults_are_named(old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    assert any(text.startswith(f"access.yaml:{line}: ") and said in text for text in found), found


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("issuers: [other]", '"other" is not an issuer; there are corp, ci'),
        ("tokens: [17]", "put it in quotes"),
        ("tokens: ['']", "at least 1 character"),
        ("principals: [{principal: 'group:corp:all'}]", "is a group"),
        ("principals: [{principal: ada@example.com}]", "is not a member"),
        ("principals: [{principal: 'user:other:ada'}]", "not an issuer with `kind: people`"),
        ("principals: [{principal: 'pipeline:gone'}]", "does not define"),
        ("principals: [{issued_before: 2026-01-31T17:00:00Z}]", "principal is missing"),
        (
            "principals: [{principal: 'user:corp:ada', issued_before: 2026-01-31T17:00:00}]",
            "needs a time zone",
        ),
        ("principals: [{principal: 'user:corp:ada', issued_before: soon}]", "issued_before"),
        ("everybody: true", "correct its name"),
    ],
)
def test_faults_of_revocations_are_named(entry: str, said: str) -> None:
    found = problems(GOOD + f"revoked:\n  {entry}\n")
    assert len(found) == 1
    assert found[0].startswith("access.yaml:28: revoked")
    assert said in found[0]


def test_latest_of_several_revocations_of_a_principal_counts() -> None:
    rules = load_rules(
        GOOD
        + """revoked:
  principals:
    - {principal: 'user:corp:ada', issued_before: 1970-01-01T00:00:20Z}
    - {principal: 'user:corp:ada', issued_before: 1970-01-01T00:00:10Z}
    - {principal: 'service:corp:serving'}
"""
    )
    ada, serving = Principal("user:corp:ada", "user"), Principal("service:corp:serving", "service")
    assert [rules.is_revoked(ada, issued) for issued in (19, 20)] == [True, False]
    assert rules.is_revoked(serving, 2**40)


def test_all_faults_are_named_at_once() -> None:
    text = GOOD.replace("role: promoter", "role: king").replace("user:corp:ada", "ada")
    assert [entry.split(": ")[1] for entry in problems(text)] == [
        "bindings[0].role",
        "bindings[0].members[1]",
    ]


@pytest.mark.parametrize(
    "text", ["", "- a", "x", "version: 1", "a: &a [*a]", "\t", "a: !!python/object:os.system {}"]
)
def test_what_is_no_access_file(text: str) -> None:
    assert problems(text)


def test_pipeline_needs_a_claim_that_cannot_be_taken_over() -> None:
    text = re.sub(r"      repository: .*\n      repository_id: .*\n", "", GOOD)
    (only,) = problems(text)
    assert "any repository of the issuer could match" in only


def test_issuer_may_name_its_own_immutable_claims() -> None:
    text = re.sub(r"      repository: .*\n      repository_id: .*\n", "      org: '7'\n", GOOD)
    text = text.replace("kind: pipelines", "kind: pipelines\n    immutable_claims: [org]")
    assert read_access_file(text)


def test_huge_file_is_not_parsed() -> None:
    assert "larger than" in problems("#" * 1_100_000)[0]
