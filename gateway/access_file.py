"""The form of `access.yaml`: what may stand in it, and reading it.

What its entries mean together is checked in `access_checks`, and what follows from them is decided
in `access_rules`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    StringConstraints,
)

from gateway.ci_systems import IMMUTABLE_CLAIMS
from gateway.clear_text import check_clear
from service_chassis.service_settings import is_loopback_host

# Those that the signature check knows: with HMAC, whoever can verify could sign as well.
Algorithm = Literal[
    "RS256", "RS384", "RS512",
    "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512",
    "EdDSA", "Ed25519",
]  # fmt: skip


def check_issuer_url(url: str) -> str:
    """The URL itself, when keys may be fetched from it.

    Raises:
        ValueError: It is not https (http is good enough on loopback), or holds more than scheme,
            host and path.
    """
    parts = urlsplit(url)
    if not url.isascii():
        message = "must be written in ASCII; a host with other letters begins with xn-- there"
        raise ValueError(message)
    secure = parts.scheme == "https"
    local = parts.scheme == "http" and is_loopback_host(parts.hostname or "")
    if not (secure or local) or not parts.hostname:
        message = "must begin with https:// (http:// is for issuers on loopback only)"
        raise ValueError(message)
    if parts.query or parts.fragment or parts.username or parts.password or not url.isprintable():
        message = "must consist of scheme, host and path only"
        raise ValueError(message)
    if parts.port == 0:
        message = "must not name port 0; leave the port away, or name one from 1 to 65535"
        raise ValueError(message)
    return url


def _loopback_redirect(url: str) -> str:
    parts = urlsplit(url)
    plain = not (parts.query or parts.fragment or parts.username) and url.isprintable()
    if parts.scheme != "http" or not is_loopback_host(parts.hostname or "") or not plain:
        message = "must be http://HOST:PORT/PATH or http://HOST/PATH with a loopback host"
        raise ValueError(message)
    return url


IssuerUrl = Annotated[str, AfterValidator(check_issuer_url)]
# Parts of principal ids, which are separated by colons.
EntryName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=512), AfterValidator(check_clear)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Login(_Section):
    """How people log in with the command line at an issuer."""

    client_id: Text
    scope: Text = "openid profile groups offline_access"
    service_scope: str = Field(default="", description="What service accounts ask for.")
    redirect_uri: Annotated[str, AfterValidator(_loopback_redirect)] = Field(
        default="http://127.0.0.1/callback",
        description="Where the browser returns to; without a port, any free one is used.",
    )
    client_secret: str = Field(
        default="", description="Told to everybody; for providers that want one, such as Google."
    )
    prompt: Literal["", "login", "consent", "select_account"] = ""
    audience_parameter: Literal["resource", "audience", "none"] = Field(
        default="resource", description="How a token for our audience is asked for."
    )


class WebLogin(_Section):
    """How people log in to the gateway's own pages, with a client of their own at an issuer."""

    client_id: Text
    client_secret_file: Path | None = Field(
        default=None,
        description="Holds the client's secret, on the gateway's machine; none: a public client.",
    )
    prompt: Literal["", "consent", "login", "select_account"] = Field(
        default="", description="What the provider has to ask people, as OpenID Connect has it."
    )
    scope: Text = "openid profile groups offline_access"
    audience_parameter: Literal["resource", "audience", "none"] = Field(
        default="resource", description="How a token for our audience is asked for."
    )
    subjects_differ: bool = Field(
        default=False, description="Whether `sub` differs between ID token and access token."
    )


class ServiceAccount(_Section):
    """A program with client credentials of its own at an issuer."""

    client_id: Annotated[str, StringConstraints(pattern=r"^[^\s:]{1,128}$")]
    subject: Text | None = Field(
        default=None,
        description="The `sub` of its tokens, where the issuer does not use the client id.",
    )

    @property
    def token_subject(self) -> str:
        """What its tokens must say in `sub`."""
        return self.subject or self.client_id


class Introspection(_Section):
    """How an issuer is asked about tokens that say nothing themselves (RFC 7662)."""

    client_id: Text = Field(description="As which client the gateway asks.")
    client_secret_file: FilePath = Field(description="Holds the secret of that client.")
    endpoint: IssuerUrl | None = Field(
        default=None, description="Where, if the discovery document does not say."
    )
    token_prefix: Text | None = Field(
        default=None,
        description="How this issuer's tokens begin, where several issuers are asked.",
    )
    subject_claim: Text = Field(
        default="sub", description="Member that says whom a token speaks for, where `sub` does not."
    )


class _Issuer(_Section):
    url: IssuerUrl
    audience: Text
    other_audiences: tuple[Text, ...] = Field(
        default=(), description="Audiences that a token may name beside ours, e.g. `account`."
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) of those who sign its web server's, in place of the "
        "system's.",
    )
    keys_file: Path | None = Field(
        default=None, description="Its key set (JWKS), in place of one that is fetched."
    )
    single_key: bool = Field(
        default=False, description="Take tokens without `kid`, as long as there is but one key."
    )
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")


class PeopleIssuer(_Issuer):
    """An OIDC provider at which people, and service accounts, log in."""

    kind: Literal["people"]
    token_types: tuple[Literal["at+jwt", "JWT", "none"], ...] = ("at+jwt", "JWT")
    max_token_lifetime_s: Annotated[int, Field(ge=60, le=7 * 86_400)] = 86_400
    groups_claim: Text = "groups"
    groups_source: Literal["token", "userinfo"] = Field(
        default="token",
        description="Where groups stand: in tokens alone, or, where a token has none, in what the "
        "issuer's userinfo endpoint answers.",
    )
    groups_prefix: str = Field(
        default="", description="Only groups whose names begin with it count."
    )
    most_groups: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1000, description="Most groups that a token may name."
    )
    display_name_claim: Text = "name"
    client_claim: str = Field(
        default="", description="Claim that names the client, in place of `client_id` and `azp`."
    )
    allowed_clients: tuple[Text, ...] | None = Field(
        default=None, description="Clients whose tokens are taken."
    )
    bearer: Literal["access_token", "id_token"] = Field(
        default="access_token", description="Which of its tokens callers send."
    )
    introspection: Introspection | None = None
    login: Login | None = None
    web: WebLogin | None = None
    service_accounts: tuple[ServiceAccount, ...] = ()

    @property
    def login_clients(self) -> tuple[str, ...]:
        """The clients as which people log in."""
        logins = (login.client_id for login in (self.login, self.web) if login is not None)
        return tuple(dict.fromkeys(logins))


class PipelineIssuer(_Issuer):
    """A CI system that gives its jobs OIDC tokens."""

    kind: Literal["pipelines"]
    token_types: tuple[Literal["JWT", "none"], ...] = ("JWT",)
    max_token_lifetime_s: Annotated[int, Field(ge=60, le=86_400)] = 3600
    immutable_claims: Annotated[tuple[Text, ...], Field(min_length=1)] = IMMUTABLE_CLAIMS
    exchange: Literal["required", "optional"] = Field(
        default="required",
        description="Whether its tokens are good for anything but being exchanged.",
    )


Issuer = PeopleIssuer | PipelineIssuer


def _as_list(value: object) -> object:
    """Where several values may stand, one may stand alone."""
    return value if isinstance(value, list) else [value]


Values = Annotated[tuple[Text, ...], BeforeValidator(_as_list), Field(min_length=1)]


class Pipeline(_Section):
    """CI jobs that act as one principal: those whose tokens have these claims."""

    issuer: EntryName
    claims: Annotated[dict[Text, Values], Field(min_length=1)] = Field(
        description="For each claim, the values of which the token must have one; in each, `*` "
        "stands for any characters but `/` and `:`."
    )


class _Entry(_Section):
    members: Annotated[tuple[Text, ...], Field(min_length=1)]
    resources: Annotated[tuple[Text, ...], Field(min_length=1)]
    until: AwareDatetime | None = Field(
        default=None, description="When the entry ends; without it, it does not."
    )

    @property
    def until_s(self) -> float:
        """When the entry ends, in seconds since 1970; infinite when it does not."""
        return self.until.timestamp() if self.until else math.inf


class Binding(_Entry):
    """A role for some members on some resources."""

    role: Text


class DenialEntry(_Entry):
    """Permissions that some members do not have on some resources, whatever grants them."""

    permissions: Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        default=None, description="Without it, all of them."
    )


class RevokedPrincipal(_Section):
    """Somebody whose tokens are refused."""

    principal: Text
    issued_before: AwareDatetime | None = Field(
        default=None,
        description="Tokens issued from then on are good; without it, none is.",
    )


class Revoked(_Section):
    """Tokens that are refused although they are genuine and have not expired."""

    issuers: tuple[EntryName, ...] = Field(
        default=(), description="Names of issuers of whose tokens none is taken."
    )
    tokens: tuple[Text, ...] = Field(
        default=(), description="Their ids (`jti`), as ledger and log have them."
    )
    principals: tuple[RevokedPrincipal, ...] = ()


class AccessFile(_Section):
    """The whole of `access.yaml`."""

    version: Literal[1]
    issuers: Annotated[
        dict[EntryName, Annotated[Issuer, Field(discriminator="kind")]], Field(min_length=1)
    ]
    pipelines: dict[EntryName, Pipeline] = Field(default_factory=dict)
    roles: dict[EntryName, Annotated[tuple[Text, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    bindings: tuple[Binding, ...] = ()
    denials: tuple[DenialEntry, ...] = ()
    revoked: Revoked = Revoked()
