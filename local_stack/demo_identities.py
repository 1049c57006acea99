"""Who there is in a local stack, and who of them may do what."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

AUDIENCE = "studbook"
CLI_CLIENT = "studbook-cli"
WEB_CLIENT = "studbook-web"
SERVICE_CLIENT = "serving"
CI_CLIENT = "ci"
REPOSITORY = "acme/wine-cultivar"
REPOSITORY_ID = "730114502"
OWNER_ID = "19001"


@dataclass(frozen=True)
class DemoPerson:
    """Somebody who logs in with one click."""

    sub: str
    name: str
    role: str
    group: str


PEOPLE = (
    DemoPerson("ada", "Ada", "data scientist", "data-science"),
    DemoPerson("grace", "Grace", "release manager", "release-managers"),
    DemoPerson("rosa", "Rosa", "quality reviewer", "quality"),
    DemoPerson("max", "Max", "auditor", "auditors"),
    DemoPerson("olga", "Olga", "administrator", "administrators"),
)

_ACCESS = Template("""\
# Who may do what. Changes take effect at once; a file with faults is refused, with a line for each
# fault in the gateway's log, and the rules before it stay in force.
version: 1

issuers:
  # The development issuer. In real life this is your company's OIDC provider.
  dev:
    kind: people
    url: $people_issuer
    audience: $audience
    token_types: [at+jwt]
    login:
      client_id: $cli_client
    web:
      client_id: $web_client
    service_accounts:
      - client_id: $service_client
  # The development CI. In real life this is, for example, GitHub or GitLab.
  ci:
    kind: pipelines
    url: $ci_issuer
    audience: $audience
    algorithms: [RS256]

pipelines:
  # Jobs of the main branch that run in the environment `production`. The ids belong to the
  # repository for ever; its name could be taken over.
  release:
    issuer: ci
    claims:
      repository: $repository
      repository_id: "$repository_id"
      repository_owner_id: "$owner_id"
      ref: refs/heads/main
      environment: production

bindings:
  - role: trainer
    members: ["group:dev:data-science"]
    resources: [workspaces/main/**]
  - role: releaser
    members: ["group:dev:release-managers", "pipeline:release"]
    resources: [workspaces/main/models/**]
  - role: viewer
    members: ["group:dev:release-managers"]
    resources: [workspaces/main/**]
  - role: reviewer
    members: ["group:dev:quality"]
    resources: [workspaces/main/**]
  - role: deployer
    members: ["service:dev:$service_client"]
    resources: [workspaces/main/models/**]
  # All workspaces share one ledger, so it takes all of them to verify it, or to erase a person.
  - role: auditor
    members: ["group:dev:auditors"]
    resources: [workspaces/**]
  - role: admin
    members: ["group:dev:administrators"]
    resources: [workspaces/**]
""")


def access_file(people_issuer: str, ci_issuer: str) -> str:
    """The text of `access.yaml` for a first start."""
    return _ACCESS.substitute(
        people_issuer=people_issuer,
        ci_issuer=ci_issuer,
        audience=AUDIENCE,
        cli_client=CLI_CLIENT,
        web_client=WEB_CLIENT,
        service_client=SERVICE_CLIENT,
        repository=REPOSITORY,
        repository_id=REPOSITORY_ID,
        owner_id=OWNER_ID,
    )


def dev_issuer_config(
    base: str, web: str, service_secret_hash: str, ci_secret_hash: str
) -> dict[str, object]:
    """The development issuer's configuration, with key files below its own folder.

    Args:
        base: What the URLs of its two issuers begin with.
        web: What those of the gateway's pages begin with.
        service_secret_hash: Of the service account's secret.
        ci_secret_hash: Of the build agent's.
    """
    return {
        "issuer": f"{base}/people",
        "audience": AUDIENCE,
        "signing_key": "keys/issuer-people.pem",
        "state_file": "logins.sqlite",
        "people": [
            {
                "sub": person.sub,
                "name": person.name,
                "email": f"{person.sub}@example.com",
                "groups": [person.group],
                "auto_login": True,
            }
            for person in PEOPLE
        ],
        "clients": [
            {
                "client_id": CLI_CLIENT,
                "name": "Studbook command line",
                "redirect_uris": ["http://127.0.0.1/callback"],
            },
            {
                "client_id": WEB_CLIENT,
                "name": "Studbook pages",
                "redirect_uris": [f"{web}/callback"],
                "post_logout_redirect_uris": [f"{web}/signed-out"],
            },
            {
                "client_id": SERVICE_CLIENT,
                "name": "Serving",
                "secret_hash": service_secret_hash,
            },
        ],
        "ci": {
            "issuer": f"{base}/ci",
            "signing_key": "keys/issuer-ci.pem",
            "clients": [{"client_id": CI_CLIENT, "secret_hash": ci_secret_hash}],
            "repositories": [
                {
                    "repository": REPOSITORY,
                    "repository_id": REPOSITORY_ID,
                    "repository_owner_id": OWNER_ID,
                    "environments": ["production", "staging"],
                }
            ],
        },
    }
