"""What takes longer than a token lives goes on with the next one.

The development issuer's tokens live for two seconds here.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import yaml

from local_stack.data_folder import DataFolder
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import login
from studbook.client import Client
from studbook.login_tokens import StoredLogin
from studbook.registry.v1.watch_service_pb2 import WatchVersionsRequest
from studbook.service_account import ClientCredentials
from studbook.stored_logins import StoredLogins
from studbook.watching import follow
from tests.end_to_end import story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from studbook.credentials import TokenSource

LIFETIME_S = 2


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    path = tmp_path_factory.mktemp("short")
    with DataFolder(path) as folder:
        folder.prepare(Ports.from_base(0))
        config = yaml.safe_load(folder.dev_issuer.read_text())
        config["access_token_lifetime_s"] = LIFETIME_S
        folder.dev_issuer.write_text(yaml.safe_dump(config))
    with LocalStack(path, Ports.from_base(0)) as running:
        yield running


def logged_in(stack: LocalStack, name: str, folder: Path) -> TokenSource:
    """Somebody with a stored login, as `studbook login` makes it."""
    address, logins = stack.addresses.gateway, StoredLogins(folder / name)
    login.keep(address, login.as_demo_person(address, name), logins)
    return StoredLogin(address, logins)


class Counted:
    """A source of tokens that remembers which it gave for streams."""

    def __init__(self, source: ClientCredentials, third: Callable[[], object]) -> None:
        self._source = source
        self._third = third
        self.given: list[str | None] = []

    def token(self) -> str | None:
        return self._source.token()

    def lasting_token(self) -> str | None:
        self.given.append(self._source.lasting_token())
        if len(self.given) == 3:
            self._third()
        return self.given[-1]


def test_people_and_services_work_on_for_longer_than_their_tokens(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_KEYRING", "off")
    address = stack.addresses.gateway
    began = time.monotonic()
    with (
        Client(address, token_source=logged_in(stack, "ada", tmp_path)) as ada,
        Client(address, token_source=logged_in(stack, "grace", tmp_path)) as grace,
        ThreadPoolExecutor(1) as pool,
    ):
        experiment = story.create_experiment(ada, "renewed")
        model = story.create_model(ada, "renewed")
        first = story.register(ada, model, "1.0.0", story.train(ada, experiment, 1).run).name
        # When the watch begins for the third time; both have lived through their first tokens.
        promoted: list[object] = []
        serving = ClientCredentials(address, "serving", stack.service_secret)
        source = Counted(
            serving, lambda: promoted.append(pool.submit(story.promote, grace, first).result(20))
        )
        with Client(address, token_source=source) as service:
            asked = WatchVersionsRequest(parent="workspaces/main", models="renewed")
            changed = (
                change.stage.version
                for message in follow(service, asked)
                for change in message.changes.changes
                if change.WhichOneof("kind") == "stage"
            )
            # Promoted between two streams: nothing is missed.
            assert next(changed) == first
        second = story.register(ada, model, "1.1.0", story.train(ada, experiment, 2).run)
        assert second.name.endswith("1.1.0")

    assert len(set(source.given)) == 3
    assert promoted
    assert time.monotonic() - began > LIFETIME_S
