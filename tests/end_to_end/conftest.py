"""Studbook as its users meet it: three real processes, real tokens, everything over the gateway."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook.client import Client
from tests.end_to_end import oidc_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class FixedToken:
    """A token source that has one token."""

    text: str

    def token(self) -> str:
        return self.text


@dataclass(frozen=True)
class Everyone:
    """A client for each of the demo identities."""

    ada: Client
    grace: Client
    rosa: Client
    max: Client
    olga: Client
    release: Client
    serving: Client

    def close(self) -> None:
        for client in vars(self).values():
            client.close()


def tokens_of(stack: LocalStack) -> dict[str, str]:
    """A fresh token for each of the demo identities."""
    at = stack.addresses
    people = {name: oidc_login.person_token(at.people_issuer, name) for name in PEOPLE}
    return {
        **people,
        "release": oidc_login.job_token(at.ci_issuer, stack.ci_secret()),
        "serving": oidc_login.service_token(at.people_issuer, "serving", stack.service_secret()),
    }


PEOPLE = ("ada", "grace", "rosa", "max", "olga")


def clients_of(stack: LocalStack, tokens: dict[str, str]) -> Everyone:
    """A client for each of the demo identities."""
    gateway = stack.addresses.gateway
    everyone = Everyone(
        **{
            name: Client(gateway, workspace="main", token_source=FixedToken(token))
            for name, token in tokens.items()
        }
    )
    # The job's is exchanged now: later, that would be a change that a test does not expect.
    everyone.release.token()
    return everyone


@pytest.fixture(scope="session", autouse=True)
def _no_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What clients keep, they keep in a place of these tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDBOOK_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", params=["together", "separate"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """A running Studbook in each of its forms, shared by the tests of one process."""
    folder = tmp_path_factory.mktemp("stack")
    separate = request.param == "separate"
    with LocalStack(folder, Ports.from_base(0), separate=separate) as running:
        yield running


@pytest.fixture(scope="session")
def tokens(stack: LocalStack) -> dict[str, str]:
    """A token for each of the demo identities."""
    return tokens_of(stack)


@pytest.fixture(scope="session")
def everyone(stack: LocalStack, tokens: dict[str, str]) -> Iterator[Everyone]:
    """A client for each of the demo identities."""
    clients = clients_of(stack, tokens)
    yield clients
    clients.close()


@pytest.fixture
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `own_stack` keeps its data."""
    return tmp_path_factory.mktemp("own")


@pytest.fixture
def own_stack(own_folder: Path) -> Iterator[LocalStack]:
    """A stack that no other test uses, to be ill-treated: any of its processes may be killed."""
    with LocalStack(own_folder, Ports.from_base(0), separate=True) as running:
        yield running


@pytest.fixture
def own_tokens(own_stack: LocalStack) -> dict[str, str]:
    """A token for each of the demo identities of `own_stack`."""
    return tokens_of(own_stack)


@pytest.fixture
def people(own_stack: LocalStack, own_tokens: dict[str, str]) -> Iterator[Everyone]:
    """A client of `own_stack` for each of the demo identities."""
    clients = clients_of(own_stack, own_tokens)
    yield clients
    clients.close()


@pytest.fixture
def new_id() -> Callable[[str], str]:
    """Makes ids that no other test uses."""
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:12]}"
