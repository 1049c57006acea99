"""What the development issuer is told: people, clients, repositories, keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import yaml
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from gateway.dev_issuer.password_hash import check_hash
from service_chassis.service_settings import is_loopback_host


class ConfigError(ValueError):
    """The configuration cannot be used; the message names file, place and remedy."""


def _loopback_issuer(url: str) -> str:
    parts = urlsplit(url)
    plain = not (parts.query or parts.fragment or parts.username) and not url.endswith("/")
    if parts.scheme != "http" or not is_loopback_host(parts.hostname or "") or not plain:
        message = (
            "must be http://HOST:PORT/PATH on loopback (127.0.0.1, [::1] or localhost) without a "
            "trailing slash: the development issuer must not be reachable from other machines"
        )
        raise ValueError(message)
    return url


def _public_key_set(document: dict[str, Any]) -> dict[str, Any]:
    try:
        key_set = KeySet.import_key_set(document)  # type: ignore[arg-type] # it checks the shape
    except (JoseError, KeyError, TypeError, ValueError) as error:
        message = "must be a JSON Web Key Set: keys, a list of public keys"
        raise ValueError(message) from error
    if any(key.is_private or key.key_type == "oct" for key in key_set.keys):
        message = "must hold public keys only"
        raise ValueError(message)
    return document


PublicKeys = Annotated[dict[str, Any], AfterValidator(_public_key_set)]
LoopbackIssuer = Annotated[str, AfterValidator(_loopback_issuer)]
SecretHash = Annotated[str, AfterValidator(check_hash)]
Identifier = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(_Section):
    """Somebody who can log in, with a password or, for demos, without."""

    sub: Identifier
    name: str
    email: str = ""
    groups: tuple[str, ...] = ()
    password_hash: SecretHash | None = None
    auto_login: bool = False

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.password_hash is None and not self.auto_login:
            message = f"{self.sub} needs a password_hash or auto_login: true"
            raise ValueError(message)
        return self


class Client(_Section):
    """A program known to the issuer.

    One with a secret, or with public keys as a JSON Web Key Set, is a service account and uses
    client credentials; one with redirect URIs logs people in, by authorisation code with PKCE.
    """

    client_id: Identifier
    name: str = ""
    secret_hash: SecretHash | None = None
    public_keys: PublicKeys | None = None
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_one_purpose(self) -> Self:
        purposes = (self.secret_hash, self.public_keys, self.redirect_uris)
        if len([purpose for purpose in purposes if purpose]) != 1:
            message = (
                f"{self.client_id} needs one of redirect_uris (logs people in), secret_hash or "
                "public_keys (service account)"
            )
            raise ValueError(message)
        return self


class CiClient(_Section):
    """A build agent that may ask for pipeline tokens."""

    client_id: Identifier
    secret_hash: SecretHash


class Repository(_Section):
    """A repository whose pipelines get tokens. Its ids come from here, never from the agent."""

    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]
    repository_id: Annotated[str, Field(pattern=r"^[0-9]+$")]
    repository_owner_id: Annotated[str, Field(pattern=r"^[0-9]+$")]
    environments: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """The part before the slash."""
        return self.repository.split("/", 1)[0]


class CiConfig(_Section):
    """The CI lane: an issuer of its own, with its own key."""

    issuer: LoopbackIssuer
    signing_key: Path
    clients: tuple[CiClient, ...]
    repositories: tuple[Repository, ...]
    token_lifetime_s: Annotated[int, Field(ge=60, le=3600)] = 300


class DevIssuerConfig(_Section):
    """The whole configuration; relative paths in it are relative to its file."""

    issuer: LoopbackIssuer
    audience: str
    signing_key: Path
    state_file: Path
    people: tuple[Person, ...]
    clients: tuple[Client, ...]
    ci: CiConfig | None = None
    access_token_lifetime_s: Annotated[int, Field(ge=1, le=86400)] = 3600
    refresh_token_lifetime_s: Annotated[int, Field(ge=3600)] = 30 * 86400
    device_interval_s: Annotated[int, Field(ge=1, le=60)] = 5

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for label, names in (
            ("people: sub", [person.sub for person in self.people]),
            ("clients: client_id", [client.client_id for client in self.clients]),
        ):
            if len(set(names)) != len(names):
                message = f"{label} must not repeat"
                raise ValueError(message)
        if self.ci and urlsplit(self.ci.issuer).netloc != urlsplit(self.issuer).netloc:
            message = "ci.issuer must have the same host and port as issuer"
            raise ValueError(message)
        return self

    @classmethod
    def read(cls, path: Path) -> DevIssuerConfig:
        """Read the YAML file.

        Raises:
            ConfigError: The file is missing, is not YAML, or says something that cannot be.
        """
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            config = cls.model_validate(document)
        except (OSError, yaml.YAMLError) as error:
            message = f"{path} cannot be read: {error}"
            raise ConfigError(message) from error
        except ValidationError as error:
            message = f"{path} is not a development issuer configuration:{_in_words(error)}"
            raise ConfigError(message) from None
        return config.below(path.parent)

    def below(self, folder: Path) -> DevIssuerConfig:
        """The same with its relative paths resolved against a folder."""
        ci = self.ci and self.ci.model_copy(update={"signing_key": folder / self.ci.signing_key})
        return self.model_copy(
            update={
                "signing_key": folder / self.signing_key,
                "state_file": folder / self.state_file,
                "ci": ci,
            }
        )


def _in_words(error: ValidationError) -> str:
    """One line for each thing wrong, without the values, which may be secrets."""
    return "".join(
        f"\n  {'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}"
        for item in error.errors(include_input=False, include_url=False)
    )
