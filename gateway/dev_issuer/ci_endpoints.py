"""A make-believe CI system: it issues tokens that say which job of which pipeline asks."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Annotated, Any

from authlib.oauth2.rfc6749.util import extract_basic_authorization
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.dev_issuer.password_hash import hash_secret, verify_secret
from gateway.dev_issuer.provider import read_body
from gateway.dev_issuer.signing_key import SigningKey

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.dev_issuer.config import CiConfig, Repository

_Line = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")]


class JobDescription(BaseModel):
    """What the build agent says about the job. Ids are not among it: those are configured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: _Line
    ref: Annotated[_Line, Field(pattern=r"^refs/[!-~]+$")] = "refs/heads/main"
    environment: _Line | None = None
    sha: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    workflow: _Line = "release.yml"
    event_name: _Line = "push"
    actor: _Line = "studbook-ci"
    run_id: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
    run_attempt: Annotated[str, Field(pattern=r"^[0-9]{1,6}$")] = "1"
    audience: Annotated[str, Field(min_length=1, max_length=255)] | None = None


def _reference_type(ref: str) -> str:
    return "tag" if ref.startswith("refs/tags/") else "branch"


def _subject(job: JobDescription, repository: Repository) -> str:
    """As CI systems have it today: names with their immutable ids, then what narrows it down."""
    name = repository.repository.split("/", 1)[1]
    owner = f"{repository.owner}@{repository.repository_owner_id}"
    base = f"repo:{owner}/{name}@{repository.repository_id}"
    if job.environment:
        return f"{base}:environment:{job.environment}"
    if job.event_name == "pull_request":
        return f"{base}:pull_request"
    return f"{base}:ref:{job.ref}"


def pipeline_claims(job: JobDescription, repository: Repository) -> dict[str, Any]:
    """The claims that describe the job, named as GitHub names them."""
    workflow = f"{repository.repository}/.github/workflows/{job.workflow}@{job.ref}"
    claims = {
        "sub": _subject(job, repository),
        "repository": repository.repository,
        "repository_id": repository.repository_id,
        "repository_owner": repository.owner,
        "repository_owner_id": repository.repository_owner_id,
        "ref": job.ref,
        "ref_type": _reference_type(job.ref),
        "sha": job.sha,
        "workflow": job.workflow,
        "workflow_ref": workflow,
        "workflow_sha": job.sha,
        "job_workflow_ref": workflow,
        "job_workflow_sha": job.sha,
        "run_id": job.run_id,
        "run_attempt": job.run_attempt,
        "event_name": job.event_name,
        "actor": job.actor,
        "runner_environment": "self-hosted",
    }
    return claims | ({"environment": job.environment} if job.environment else {})


class CiEndpoints:
    """Discovery, keys and job tokens of the CI's issuer."""

    def __init__(self, config: CiConfig) -> None:
        self._config = config
        self._key = SigningKey.read(config.signing_key)
        self._clients = {client.client_id: client.secret_hash for client in config.clients}
        self._repositories = {entry.repository: entry for entry in config.repositories}
        # Compared with when the agent is unknown, so that answers take equally long.
        self._nobody = hash_secret("")

    def routes(self, path: str) -> list[Route]:
        """The routes below the path of the CI issuer's URL."""
        return [
            Route(f"{path}/.well-known/openid-configuration", self.discovery),
            Route(f"{path}/jwks", self.keys),
            Route(f"{path}/token", self.token, methods=["POST"]),
        ]

    async def discovery(self, _request: Request) -> Response:
        """The CI issuer's description of itself."""
        return JSONResponse(
            {
                "issuer": self._config.issuer,
                "jwks_uri": f"{self._config.issuer}/jwks",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [self._key.algorithm],
                "scopes_supported": ["openid"],
            }
        )

    async def keys(self, _request: Request) -> Response:
        """The public keys."""
        return JSONResponse(self._key.public_keys())

    async def token(self, request: Request) -> Response:
        """A token for one job, to a build agent that proves who it is."""
        if not await run_in_threadpool(self._is_agent, request):
            return JSONResponse(
                {"error": "invalid_client", "error_description": "Unknown agent or wrong secret."},
                401,
                headers={"WWW-Authenticate": 'Basic realm="ci"'},
            )
        try:
            job = JobDescription.model_validate(json.loads(await read_body(request)))
            repository = self._allowed(job)
        except ValidationError as error:
            return _invalid(_in_words(error))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return _invalid("The body must be a JSON object that describes the job.")
        except LookupError as error:
            return _invalid(str(error.args[0]))
        token = await run_in_threadpool(self._sign, job, repository)
        return JSONResponse(
            {"value": token, "expires_in": self._config.token_lifetime_s},
            headers={"Cache-Control": "no-store"},
        )

    def _is_agent(self, request: Request) -> bool:
        client_id, secret = extract_basic_authorization(request.headers)
        stored = self._clients.get(client_id or "")
        return verify_secret(secret or "", stored or self._nobody) and stored is not None

    def _allowed(self, job: JobDescription) -> Repository:
        repository = self._repositories.get(job.repository)
        if repository is None:
            known = ", ".join(self._repositories)
            message = f"repository {job.repository} is not configured; there are: {known}."
            raise LookupError(message)
        if job.environment and job.environment not in repository.environments:
            known = ", ".join(repository.environments) or "none"
            message = f"environment {job.environment} is not configured; there are: {known}."
            raise LookupError(message)
        return repository

    def _sign(self, job: JobDescription, repository: Repository) -> str:
        now = int(time.time())
        return self._key.sign(
            {
                "iss": self._config.issuer,
                "aud": job.audience or f"{self._config.issuer}/{repository.owner}",
                "jti": secrets.token_hex(16),
                "iat": now,
                "nbf": now,
                "exp": now + self._config.token_lifetime_s,
                **pipeline_claims(job, repository),
            },
            "JWT",
        )


def _invalid(description: str) -> Response:
    return JSONResponse({"error": "invalid_request", "error_description": description}, 400)


def _in_words(error: ValidationError) -> str:
    problems = (
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )
    return "; ".join(problems)
