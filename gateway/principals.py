"""From verified claims to the one who calls: a person, a service account or a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.access_file import PeopleIssuer, PipelineIssuer
from gateway.access_rules import claim_text, claim_value
from gateway.refusals import TokenRefusedError, groups_too_many
from gateway.token_scope import EVERYTHING
from gateway.token_verifier import client_of
from service_chassis.caller import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.access_rules import AccessRules
    from gateway.token_verifier import VerifiedToken

_LONGEST_LABEL = 200
_LONGEST_TOKEN_ID = 128

# What is recorded of a job beside the claims that its pipeline matches on.
_PROVENANCE_CLAIMS = (
    # GitHub Actions
    "repository", "repository_id", "repository_owner", "repository_owner_id", "ref", "ref_type",
    "sha", "environment", "workflow_ref", "workflow_sha", "job_workflow_ref", "job_workflow_sha",
    "event_name", "run_id", "run_number", "run_attempt", "actor", "actor_id",
    "runner_environment",
    # GitLab
    "project_path", "project_id", "namespace_path", "namespace_id", "ref_path", "ref_protected",
    "pipeline_id", "pipeline_source", "job_id", "user_login", "user_id", "ci_config_ref_uri",
    "ci_config_sha",
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """Who calls, and as what.

    Attributes:
        principal: Who calls.
        groups: The groups it belongs to, as access rules name them.
        resources: Resource patterns outside which its token is good for nothing.
        must_exchange: Whether its token is good for being exchanged only.
        groups_omitted_by: Name of the issuer, when its token says that it leaves groups out.
    """

    principal: Principal
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = EVERYTHING
    must_exchange: bool = False
    groups_omitted_by: str = ""


def identify(token: VerifiedToken, rules: AccessRules) -> Identity:
    """Who a verified token speaks for.

    Raises:
        StudbookError: PIPELINE_UNKNOWN when a CI token matches no pipeline; TOKEN_INVALID when a
            service account's token does not have that account's subject; GROUPS_TOO_MANY.
    """
    if isinstance(token.issuer.settings, PeopleIssuer):
        return _person_or_service(token, token.issuer.settings)
    return _pipeline(token, rules)


def _principal(token: VerifiedToken, **fields: Any) -> Principal:
    token_id = token.claims.get("jti")
    usable = (
        isinstance(token_id, str)
        and 0 < len(token_id) <= _LONGEST_TOKEN_ID
        and token_id.isprintable()
    )
    own_id = str(token_id) if usable else f"sha256:{token.digest[:16]}"
    return Principal(
        issuer=token.issuer.settings.url,
        subject=token.claims["sub"],
        token_id=f"{own_id}/{token.exchanged_id}" if token.exchanged_id else own_id,
        **fields,
    )


def _person_or_service(token: VerifiedToken, issuer: PeopleIssuer) -> Identity:
    claims, name = token.claims, token.issuer.name
    client, subject = client_of(claims, issuer), claims["sub"]
    account = next((one for one in issuer.service_accounts if one.client_id == client), None)
    if account is not None and subject != account.token_subject:
        # Otherwise whoever may log in through that client would be the service.
        raise TokenRefusedError(
            "TOKEN_INVALID",
            "subject is not that of the service account",
            issuer=issuer.url,
            subject=subject,
        )
    label = _label(claims, issuer.display_name_claim)
    # A subject that equals the client id marks a client-credentials token (RFC 9068). It is a
    # service even when the file does not list it, so that no person can be mistaken for it.
    if account is not None or subject == client:
        principal = _principal(
            token, id=f"service:{name}:{client}", kind="service", display_name=label or client
        )
        return Identity(principal)
    principal = _principal(token, id=f"user:{name}:{subject}", kind="user", display_name=label)
    if _omits_groups(claims, issuer.groups_claim):
        return Identity(principal, groups_omitted_by=name)
    return Identity(principal, _groups(claims, name, issuer, principal.id))


def _label(claims: Mapping[str, Any], claim: str) -> str:
    text = claim_text(claims, claim)
    return "".join(c for c in text if c.isprintable())[:_LONGEST_LABEL]


def _groups(
    claims: Mapping[str, Any], name: str, issuer: PeopleIssuer, principal: str
) -> tuple[str, ...]:
    values = claim_value(claims, issuer.groups_claim)
    named = values if isinstance(values, list) else [values]
    texts = dict.fromkeys(
        value
        for value in named
        if isinstance(value, str) and value and value.isprintable()
        if value.startswith(issuer.groups_prefix)
    )
    if len(texts) > issuer.most_groups:
        raise groups_too_many(principal, len(texts), issuer.most_groups)
    return tuple(f"group:{name}:{value}" for value in texts)


def _omits_groups(claims: Mapping[str, Any], claim: str) -> bool:
    """Whether a token says that the groups are to be had elsewhere, since they are too many.

    Entra ID says so, in the way of OpenID Connect's distributed claims.
    """
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, dict) and (claim in elsewhere or claim.partition("/")[0] in elsewhere):
        return True
    return claims.get("hasgroups") in (True, "true") and claim_value(claims, claim) is None


def _pipeline(token: VerifiedToken, rules: AccessRules) -> Identity:
    match = rules.match_pipeline(token.issuer.name, token.claims)
    if match is None:
        raise TokenRefusedError(
            "PIPELINE_UNKNOWN",
            "claims match no pipeline",
            issuer=token.issuer.settings.url,
            subject=token.claims["sub"],
        )
    name, matched = match
    settings = token.issuer.settings
    required = isinstance(settings, PipelineIssuer) and settings.exchange == "required"
    recorded = {claim: claim_text(token.claims, claim) for claim in _PROVENANCE_CLAIMS}
    return Identity(
        _principal(
            token,
            id=f"pipeline:{name}",
            kind="pipeline",
            display_name=name,
            pipeline_claims={claim: text for claim, text in recorded.items() if text} | matched,
        ),
        resources=token.resources,
        must_exchange=required and not token.exchanged_id,
    )
