"""Rules for CI jobs that are known to be unsafe, each with why and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.access_file import PipelineIssuer
from gateway.ci_systems import ID_CLAIMS, IDS_OF_NAMES, may_be_proposal, other_holders
from service_chassis.permissions import BUILT_IN_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.access_file import AccessFile, Pipeline
    from studbook.positioned_yaml import Path

Problem = tuple["Path", str]
_MEMBER = "pipeline:"


def promoting_pipelines(file: AccessFile) -> Mapping[str, str]:
    """The pipelines that may move versions into Production, with a role that lets them."""
    roles = {**BUILT_IN_ROLES, **file.roles}
    return {
        member.removeprefix(_MEMBER): binding.role
        for binding in file.bindings
        if "models.promote" in roles.get(binding.role, ())
        for member in binding.members
        if member.startswith(_MEMBER)
    }


def audience_problems(place: Path, issuer: PipelineIssuer) -> Iterator[Problem]:
    """Audiences that tokens for somebody else have as well."""
    named = [((*place, "audience"), issuer.audience)]
    for index, audience in enumerate(issuer.other_audiences):
        named.append(((*place, "other_audiences", index), audience))
    for where, audience in named:
        holders = other_holders(issuer.url, audience)
        if holders:
            yield (
                where,
                (
                    f'"{audience}" is shared: {holders}, so whoever is sent such a token could use '
                    "it here; write an audience of this installation alone, such as "
                    "https://studbook.example.com, and let the jobs ask for it"
                ),
            )


def pipeline_problems(file: AccessFile, name: str, pipeline: Pipeline) -> Iterator[Problem]:
    """What is wrong with one pipeline."""
    place: Path = ("pipelines", name)
    issuer = file.issuers.get(pipeline.issuer)
    if not isinstance(issuer, PipelineIssuer):
        yield (
            (*place, "issuer"),
            f'"{pipeline.issuer}" is not an issuer with `kind: pipelines`',
        )
        return
    if not any(claim in issuer.immutable_claims for claim in pipeline.claims):
        yield (
            (*place, "claims"),
            (
                "any repository of the issuer could match: add a claim that never passes to "
                f"somebody else, such as {issuer.immutable_claims[0]}"
            ),
        )
    role = promoting_pipelines(file).get(name, "")
    fixed = ID_CLAIMS.union(issuer.immutable_claims)
    for claim, values in pipeline.claims.items():
        yield from _name_problems((*place, "claims", claim), pipeline, claim)
        for index, value in enumerate(values):
            # Where one value stands alone, there is no item, and its line is the claim's.
            where: Path = (*place, "claims", claim, index)
            text = _pattern_problem(claim, value, fixed)
            if not text and role and may_be_proposal(claim, value):
                text = (
                    "lets jobs of pull or merge requests in, which run what anybody proposes, "
                    f"while the role {role} holds models.promote; name branches or tags, such as "
                    "ref: refs/heads/main, or bind a role without models.promote"
                )
            if text:
                yield where, f'"{value}" {text}'


def _name_problems(where: Path, pipeline: Pipeline, claim: str) -> Iterator[Problem]:
    ids = IDS_OF_NAMES.get(claim, ())
    if ids and not any(one in pipeline.claims for one in ids):
        yield (
            where,
            (
                "is a name, and names can be taken over by others after a deletion or "
                f"renaming; add {' or '.join(ids)} beside it"
            ),
        )


def _pattern_problem(claim: str, value: str, fixed: frozenset[str]) -> str:
    """Why a pattern says less than its author must have meant; empty when it does not."""
    if "*" not in value:
        return ""
    if claim in fixed:
        return "has a wildcard, but ids that resemble each other belong to strangers; write each id"
    if "**" in value:
        return (
            "has **, but * never crosses a separator here; write every / and : of the value, with "
            "one * for the text between two of them"
        )
    if not value.replace("*", "").strip("/:"):
        return "is a bare wildcard and excludes nothing; write the values, or leave the claim away"
    if claim == "sub" and "*" in value.replace(":", "/").split("/"):
        return (
            "leaves a whole part of sub open, which can be another repository, or pull requests "
            "beside branches; match on claims of their own, such as repository_id and ref, or "
            "write sub out"
        )
    return ""
