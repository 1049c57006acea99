"""What is known of CI systems: ids, signs of pull requests, and who else is given their tokens.

The systems' claims have different names, so nothing here needs to know which system an issuer is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service_chassis.globs import glob_expression
from studbook.shared_audiences import host_of, is_of_login, is_of_service

if TYPE_CHECKING:
    from collections.abc import Mapping

# They never pass to somebody else, as a name does when a repository is deleted and its name is
# taken again.
IMMUTABLE_CLAIMS = (
    "repository_id",  # GitHub Actions
    "repository_owner_id",
    "project_id",  # GitLab
    "namespace_id",
    "kubernetes.io/serviceaccount/uid",  # Kubernetes
    "pipeline_id",  # Buildkite
    "organization_id",
    "oidc.circleci.com/project-id",  # CircleCI
)

# A name can pass to somebody else; beside it must stand an id that cannot.
_REPOSITORY_IDS = ("repository_id", "repository_owner_id")
_ACCOUNT_UID = ("kubernetes.io/serviceaccount/uid",)
IDS_OF_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "repository": _REPOSITORY_IDS,
        "repository_owner": ("repository_owner_id", "repository_id"),
        "workflow_ref": _REPOSITORY_IDS,
        "actor": ("actor_id",),
        "enterprise": ("enterprise_id",),
        "project_path": ("project_id", "namespace_id"),
        "namespace_path": ("namespace_id", "project_id"),
        "ci_config_ref_uri": ("project_id", "namespace_id"),
        "user_login": ("user_id",),
        "organization_slug": ("organization_id",),
        "pipeline_slug": ("pipeline_id", "organization_id"),
        "kubernetes.io/namespace": _ACCOUNT_UID,
        "kubernetes.io/serviceaccount/name": _ACCOUNT_UID,
    }
)
ID_CLAIMS = frozenset(IMMUTABLE_CLAIMS).union(*IDS_OF_NAMES.values())

# How the values of a claim begin in jobs that run for somebody's proposal.
_PROPOSED_REFS = ("refs/pull/", "refs/merge-requests/")
_PROPOSALS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "event_name": ("pull_request",),
        "ref": _PROPOSED_REFS,
        "ref_path": _PROPOSED_REFS,
        "pipeline_source": ("merge_request_event", "external_pull_request_event"),
        # CircleCI builds the pull request 7 of a fork as the branch pull/7.
        "oidc.circleci.com/vcs-ref": (*_PROPOSED_REFS, "refs/heads/pull/"),
    }
)
# GitHub sets these for pull requests only.
_PROPOSAL_BRANCHES = frozenset({"head_ref", "base_ref"})


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(glob_expression(pattern, "/:"))


def matches(pattern: str, value: str) -> bool:
    """Whether a claim's value, as a whole, is of a pattern.

    `*` stands for any characters but `/` and `:`, everything else for itself.
    """
    return pattern == value or ("*" in pattern and bool(_compiled(pattern).fullmatch(value)))


def may_begin_with(pattern: str, beginning: str) -> bool:
    """Whether a value of the pattern can begin so."""
    places = _over_stars(pattern, {0})
    for letter in beginning:
        stay = {at for at in places if pattern[at : at + 1] == "*" and letter not in "/:"}
        step = {at + 1 for at in places if pattern[at : at + 1] == letter != "*"}
        places = _over_stars(pattern, stay | step)
    return bool(places)


def _over_stars(pattern: str, places: set[int]) -> set[int]:
    """The places, and those behind stars that stand for nothing."""
    found = set(places)
    for at in places:
        end = at
        while pattern[end : end + 1] == "*":
            end += 1
            found.add(end)
    return found


def may_be_proposal(claim: str, pattern: str) -> bool:
    """Whether a claim's value of this pattern can belong to a pull or merge request's job."""
    if claim in _PROPOSAL_BRANCHES:
        return True
    if claim == "build_branch":  # Buildkite: a fork's branches are `owner:branch`.
        return ":" in pattern
    if claim == "sub":  # GitHub: `repo:OWNER/NAME:pull_request`.
        return any(may_begin_with(part, "pull_request") for part in pattern.split(":"))
    if claim in {"workflow_ref", "job_workflow_ref"}:
        claim, pattern = "ref", pattern.rpartition("@")[2]
    return any(may_begin_with(pattern, start) for start in _PROPOSALS.get(claim, ()))


def proposal_claim(claims: Mapping[str, str]) -> str:
    """The claim by which a job runs for a pull or merge request; empty when none says so.

    Args:
        claims: Those of `PROPOSAL_CLAIMS` that a token has, as text.
    """
    for claim, value in claims.items():
        if claim in _PROPOSAL_BRANCHES or claim == "build_branch":
            proposed = may_be_proposal(claim, value)
        else:
            proposed = value.startswith(_PROPOSALS[claim])
        if value and proposed:
            return claim
    return ""


PROPOSAL_CLAIMS = (*_PROPOSALS, *sorted(_PROPOSAL_BRANCHES), "build_branch")


def other_holders(issuer_url: str, audience: str) -> str:
    """Who else is given tokens for an audience, in words; empty when nobody is known to be."""
    if is_of_login(audience):
        return "workflows ask for it to log in at another service"
    issuer = urlsplit(issuer_url)
    if audience.rstrip("/") == issuer_url.rstrip("/") or (
        "://" in audience and host_of(audience) == issuer.hostname
    ):
        return "it is the CI system's own address, which its tokens carry by default"
    if is_of_service(audience):
        return "tokens carry it by default, or for another service"
    if issuer.hostname == "oidc.circleci.com" and audience in issuer.path.split("/"):
        return "CircleCI gives every job of the organisation a token for it"
    return ""
