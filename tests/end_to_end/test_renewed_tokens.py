"""What takes longer than a token lives goes on with the next one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from studbook.client import Client
from studbook.credentials import LastingTokenSource
from studbook.registry.v1.watch_service_pb2 import WatchVersionsRequest
from studbook.watching import follow
from tests.end_to_end import forged_tokens, story

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_stack.stack import LocalStack
    from tests.end_to_end.conftest import Everyone


class RunningOut:
    """Has a token that is good for two seconds, and after that a good one."""

    def __init__(self, stack: LocalStack, good: str, before_the_next: Callable[[], object]) -> None:
        key = (stack.folder.keys / "issuer-people.pem").read_bytes()
        end = int(time.time()) + 2
        self._tokens = [forged_tokens.sign_as_issuer(key, good, exp=end), good]
        self._before_the_next = before_the_next
        self.given = 0

    def token(self) -> str:
        self.given += 1
        if self.given == 2:
            self._before_the_next()
        return self._tokens[min(self.given, 2) - 1]

    lasting_token = token


@pytest.mark.parametrize("stack", ["together"], indirect=True)
def test_a_watch_goes_on_with_the_next_token(
    stack: LocalStack, everyone: Everyone, tokens: dict[str, str], new_id: Callable[[str], str]
) -> None:
    experiment = story.create_experiment(everyone.ada, new_id("renewed"))
    model = story.create_model(everyone.ada, new_id("renewed"))
    run = story.train(everyone.ada, experiment, 1).run
    version = story.register(everyone.ada, model, "1.0.0", run).name

    source = RunningOut(stack, tokens["grace"], lambda: story.promote(everyone.grace, version))
    assert isinstance(source, LastingTokenSource)
    with Client(stack.addresses.gateway, token_source=source) as client:
        request = WatchVersionsRequest(parent="workspaces/main", models=model.split("/")[-1])
        seen = (
            change.stage.version
            for message in follow(client, request)
            for change in message.changes.changes
            if change.WhichOneof("kind") == "stage"
        )
        # Promoted between the two tokens: nothing is missed.
        assert next(seen) == version
    assert source.given == 2
