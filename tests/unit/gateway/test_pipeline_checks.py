"""Rules for CI jobs that are known to be unsafe are refused, and those that are safe are not."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access_checks import AccessFileError, read_access_file
from gateway.access_rules import AccessRules, load_rules
from gateway.ci_systems import matches, may_begin_with

if TYPE_CHECKING:
    from collections.abc import Mapping

GITHUB = "https://token.actions.githubusercontent.com"
CLAIMS_LINE = 7


def text(
    claims: Mapping[str, object],
    *,
    role: str = "releaser",
    url: str = GITHUB,
    audience: str = "https://studbook.example.com",
    more: str = "",
) -> str:
    listed = "\n".join(f"      {json.dumps(k)}: {json.dumps(v)}" for k, v in claims.items())
    return f"""version: 1
issuers:
  ci: {{url: {json.dumps(url)}, kind: pipelines, audience: {json.dumps(audience)}{more}}}
pipelines:
  job:
    issuer: ci
    claims:
{listed}
roles:
  promoter: [models.read, models.promote]
bindings:
  - {{role: {role}, members: ["pipeline:job"], resources: [workspaces/main/**]}}
"""


def only_problem(file: str) -> str:
    with pytest.raises(AccessFileError) as caught:
        read_access_file(file)
    (problem,) = str(caught.value).splitlines()
    return problem


ID = {"repository_id": "1"}


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        # Names without an id
        ({"ref": "refs/heads/main"}, "any repository"),
        ({"repository": "acme/wine", "project_id": "1"}, "add repository_id"),
        ({"repository_owner": "acme", "project_id": "1"}, "add repository_owner_id"),
        ({"workflow_ref": "a/b/.github/workflows/r.yml@refs/heads/main", "project_id": "1"},
         "add repository_id"),
        ({"actor": "ada", **ID}, "add actor_id"),
        ({"project_path": "acme/wine", **ID}, "add project_id"),
        ({"namespace_path": "acme", **ID}, "add namespace_id"),
        ({"user_login": "ada", "project_id": "1"}, "add user_id"),
        ({"organization_slug": "acme", **ID}, "add organization_id"),
        ({"pipeline_slug": "wine", **ID}, "add pipeline_id"),
        ({"kubernetes.io/serviceaccount/name": "release", **ID}, "serviceaccount/uid"),
        ({"kubernetes.io/namespace": "ml", **ID}, "serviceaccount/uid"),
        # Wildcards
        ({"ref": "*", **ID}, "bare wildcard"),
        ({"environment": "*", **ID}, "bare wildcard"),
        ({"ref": ["refs/heads/main", "*/*"], **ID}, "bare wildcard"),
        ({"ref": "refs/heads/**", **ID}, "never crosses a separator"),
        ({"sub": "**", **ID}, "never crosses a separator"),
        ({"repository_id": "73*"}, "write each id"),
        ({"repository_id": "*"}, "write each id"),
        ({"actor_id": "7*", "actor": "ada", **ID}, "write each id"),
        # Globs in sub
        ({"sub": "repo:acme/*", **ID}, "whole part of sub"),
        ({"sub": "repo:acme/wine:*", **ID}, "whole part of sub"),
        ({"sub": "repo:*/wine:ref:refs/heads/main", **ID}, "whole part of sub"),
        ({"sub": "repo:acme/wine:ref:refs/heads/*", **ID}, "whole part of sub"),
        ({"sub": "org/1/project/2/user/*", **ID}, "whole part of sub"),
        # Pull requests that could promote
        ({"event_name": "pull_request", **ID}, "pull or merge requests"),
        ({"event_name": ["push", "pull_request_target"], **ID}, "pull or merge requests"),
        ({"event_name": "pu*", **ID}, "pull or merge requests"),
        ({"ref": "refs/pull/*/merge", **ID}, "pull or merge requests"),
        ({"ref": "refs/pull/7/head", **ID}, "pull or merge requests"),
        ({"ref": "refs/*/main", **ID}, "pull or merge requests"),
        ({"ref": "refs/p*/7/merge", **ID}, "pull or merge requests"),
        ({"ref_path": "refs/merge-requests/*/head", "project_id": "1"}, "pull or merge requests"),
        ({"pipeline_source": "merge_request_event", "project_id": "1"}, "pull or merge requests"),
        ({"head_ref": "feature", **ID}, "pull or merge requests"),
        ({"base_ref": "main", **ID}, "pull or merge requests"),
        ({"sub": "repo:acme/wine:pull_request", **ID}, "pull or merge requests"),
        ({"sub": "repo:acme@1/wine@2:pull_requ*", **ID}, "pull or merge requests"),
        ({"workflow_ref": "a/b/.github/workflows/r.yml@refs/pull/*/merge", **ID},
         "pull or merge requests"),
        ({"oidc.circleci.com/vcs-ref": "refs/heads/pull/7",
          "oidc.circleci.com/project-id": "p"}, "pull or merge requests"),
        ({"build_branch": "mallory:main", "pipeline_id": "p"}, "pull or merge requests"),
    ],
)  # fmt: skip
def test_unsafe_pipeline_is_refused(claims: dict[str, object], said: str) -> None:
    problem = only_problem(text(claims))
    assert said in problem
    assert "pipelines.job.claims" in problem
    line = int(problem.split(":")[1])
    assert CLAIMS_LINE <= line <= CLAIMS_LINE + len(claims)


@pytest.mark.parametrize("role", ["releaser", "admin", "promoter"])
def test_every_role_that_may_promote_counts(role: str) -> None:
    assert f"role {role}" in only_problem(text({"event_name": "pull_request", **ID}, role=role))


def test_pull_requests_may_do_what_is_no_promotion() -> None:
    assert read_access_file(text({"ref": "refs/pull/*/merge", **ID}, role="viewer"))


@pytest.mark.parametrize(
    "claims",
    [
        {"repository": "acme/wine", "repository_owner_id": "1", "ref": "refs/heads/main"},
        {"repository": "acme/*", "repository_owner_id": "1", "ref": "refs/tags/v*"},
        {"sub": "repo:acme/wine:ref:refs/heads/release-*", **ID},
        {"sub": "repo:acme/pull_request:ref:refs/heads/main", **ID},
        {"ref": "refs/heads/pull/main", **ID},
        {"event_name": ["push", "workflow_dispatch"], **ID},
        {"project_path": "a/b/c", "project_id": "1", "ref_protected": "true", "ref": "main"},
        {"pipeline_source": "push", "project_id": "1"},
        {"build_branch": "main", "pipeline_id": "p", "pipeline_slug": "wine"},
    ],
)
def test_safe_pipeline_is_taken(claims: dict[str, object]) -> None:
    assert read_access_file(text(claims))


@pytest.mark.parametrize(
    ("url", "audience"),
    [
        (GITHUB, "https://github.com/acme"),
        (GITHUB, "https://GitHub.com/acme"),
        (GITHUB, GITHUB),
        ("https://ghes.example.com/_services/token", "https://ghes.example.com/acme"),
        ("https://gitlab.com", "https://gitlab.com"),
        ("https://git.example.com", "https://git.example.com/"),
        ("https://agent.buildkite.com", "https://buildkite.com/acme"),
        ("https://oidc.circleci.com/org/5f1c", "5f1c"),
        ("https://k8s.example.com", "https://kubernetes.default.svc"),
        ("https://k8s.example.com", "https://kubernetes.default.svc.cluster.local"),
        (GITHUB, "sts.amazonaws.com"),
        (GITHUB, "sigstore"),
        (GITHUB, "pypi"),
        (GITHUB, "api://AzureADTokenExchange"),
        (GITHUB, "//iam.googleapis.com/projects/1/locations/global"),
    ],
)
def test_shared_audience_is_refused(url: str, audience: str) -> None:
    problem = only_problem(text({"ref": "refs/heads/main", **ID}, url=url, audience=audience))
    assert "access.yaml:3: issuers.ci.audience" in problem
    assert "is shared" in problem
    assert "https://studbook.example.com" in problem


def test_no_token_for_another_service_may_name_us_too() -> None:
    more = ", other_audiences: [sigstore]"
    problem = only_problem(text({"ref": "refs/heads/main", **ID}, more=more))
    assert "issuers.ci.other_audiences[0]" in problem


@pytest.mark.parametrize(
    "audience", ["studbook", "https://studbook.example.com", "a:[b", "http://["]
)
def test_own_audience_is_taken(audience: str) -> None:
    assert read_access_file(text({"ref": "refs/heads/main", **ID}, audience=audience))


def job(rules: AccessRules, **claims: Any) -> str | None:
    match = rules.match_pipeline("ci", claims)
    return match and match[0]


@pytest.mark.parametrize(
    ("pattern", "value", "same"),
    [
        ("refs/tags/v*", "refs/tags/v1.2.0", True),
        ("refs/tags/v*", "refs/tags/v1/evil", False),
        ("refs/tags/v*", "refs/tags/v1:evil", False),
        ("refs/tags/v*", "xrefs/tags/v1", False),
        ("refs/tags/v*", "refs/heads/refs/tags/v1", False),
        ("refs/heads/main", "refs/heads/main2", False),
        ("refs/heads/main", "refs/heads/main\n", False),
        ("refs/heads/main", "refs/heads/Main", False),
        ("refs/heads/*-stable", "refs/heads/1-stable", True),
        ("refs/heads/*-stable", "refs/heads/1-stable-not", False),
        ("release.[0-9]", "release.5", False),
        ("a.c*", "abc", False),
    ],
)
def test_values_match_whole_and_within_separators(pattern: str, value: str, same: bool) -> None:
    rules = load_rules(text({"ref": pattern, **ID}))
    assert (job(rules, repository_id="1", ref=value) == "job") == same


@pytest.mark.parametrize(
    "proposal",
    [
        {"event_name": "pull_request_target"},
        {"event_name": "pull_request"},
        {"head_ref": "patch-1"},
        {"pipeline_source": "merge_request_event"},
        {"ref_path": "refs/merge-requests/7/head"},
        {"build_branch": "mallory:main"},
    ],
)
def test_job_of_a_pull_request_never_promotes(proposal: dict[str, str]) -> None:
    claims = {"repository_id": "1", "ref": "refs/heads/main", "event_name": "push", "head_ref": ""}
    rule = {"ref": "refs/heads/main", **ID}
    assert job(load_rules(text(rule)), **claims) == "job"
    assert job(load_rules(text(rule)), **claims | proposal) is None
    assert job(load_rules(text(rule, role="viewer")), **claims | proposal) == "job"


_PIECES = st.text("ab/:*", max_size=5)


@given(pattern=_PIECES, beginning=st.text("ab/:", max_size=2))
def test_possible_beginnings_are_those_of_matching_values(pattern: str, beginning: str) -> None:
    longest = len(pattern) + len(beginning)
    rests = (
        "".join(letters)
        for length in range(min(longest, 5) + 1)
        for letters in itertools.product("ab/:", repeat=length)
    )
    expected = any(matches(pattern, beginning + rest) for rest in rests)
    assert may_begin_with(pattern, beginning) == expected
