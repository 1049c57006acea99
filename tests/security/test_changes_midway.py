"""Rules that change while calls go on: what was allowed at the beginning is not so for good."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from studbook.registry.v1 import version_pb2
from studbook.registry.v1.promotion_service_pb2 import TransitionStageRequest
from studbook.registry.v1.watch_service_pb2 import WatchVersionsRequest
from studbook.tracking.v1.artifact_service_pb2 import UploadHeader, UploadRequest
from tests.patience import PATIENCE_S
from tests.security.castle import bearer, outcome
from tests.security.logs import Logs
from tests.security.story import RUN, STAGED
from tests.security.wire import Wire, message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.security.castle import Castle

TRANSITION = "/studbook.registry.v1.PromotionService/TransitionStage"
WATCH = "/studbook.registry.v1.WatchService/WatchVersions"
UPLOAD = "/studbook.tracking.v1.ArtifactService/Upload"
DENIED = ("PERMISSION_DENIED", "PERMISSION_MISSING")
CHANGED = ("UNAVAILABLE", "ACCESS_CHANGED")
REVOKED = ("UNAUTHENTICATED", "TOKEN_REVOKED")
PROMOTES = message(
    TransitionStageRequest(
        name=STAGED, to_stage=version_pb2.STAGE_PRODUCTION, reason="an attack"
    ).SerializeToString()
)
WATCHES = message(WatchVersionsRequest(parent="workspaces/main").SerializeToString())
UPLOADS = message(
    UploadRequest(
        header=UploadHeader(run=RUN, digest=f"sha256:{'0' * 64}", size_bytes=1000)
    ).SerializeToString()
)
Rules = dict[str, Any]


@contextlib.contextmanager
def under_rules(castle: Castle, change: Callable[[Rules], None]) -> Iterator[None]:
    """Let changed rules be in force, and the former ones afterwards."""
    former = castle.stack.folder.access_file.read_text()
    rules = yaml.safe_load(former)
    change(rules)
    with Logs(castle) as log:
        log.wait_for("access_rules_in_force", lambda: write(castle, yaml.safe_dump(rules)))
        try:
            yield
        finally:
            log.wait_for("access_rules_in_force", lambda: write(castle, former))


def write(castle: Castle, rules: str) -> None:
    """Replace the access file at once, as a mounted one is."""
    file = castle.stack.folder.access_file
    new = file.with_suffix(".new")
    new.write_text(rules)
    new.replace(file)


def without(role: str) -> Callable[[Rules], None]:
    """Nobody holds a role any more."""

    def change(rules: Rules) -> None:
        rules["bindings"] = [entry for entry in rules["bindings"] if entry["role"] != role]

    return change


def narrowed(role: str) -> Callable[[Rules], None]:
    """A role is held on less."""

    def change(rules: Rules) -> None:
        for entry in rules["bindings"]:
            if entry["role"] == role:
                entry["resources"] = ["workspaces/main/models/other/**"]

    return change


def denied(person: str) -> Callable[[Rules], None]:
    def change(rules: Rules) -> None:
        rules["denials"] = [{"members": [f"user:corp:{person}"], "resources": ["**"]}]

    return change


def revoked(person: str) -> Callable[[Rules], None]:
    def change(rules: Rules) -> None:
        rules["revoked"] = {"principals": [{"principal": f"user:corp:{person}"}]}

    return change


CHANGES: dict[str, tuple[Callable[[str, str], Callable[[Rules], None]], tuple[str, str]]] = {
    "the role is gone": (lambda role, _who: without(role), DENIED),
    "the role is for less": (lambda role, _who: narrowed(role), CHANGED),
    "a denial came": (lambda _role, who: denied(who), DENIED),
    "the person was revoked": (lambda _role, who: revoked(who), REVOKED),
}


@pytest.mark.parametrize("name", CHANGES)
def test_promotion_that_was_held_ready(castle: Castle, name: str) -> None:
    """Begun while it was allowed, with the message kept back until it no longer is."""
    change, expected = CHANGES[name]
    token = castle.person("grace")
    with Wire(castle.gateway) as wire:
        number = wire.begin(wire.headers(bearer(token), path=TRANSITION), b"", end=False)
        # When this one is answered, the one before is waited for.
        assert wire.list_models(bearer(castle.person("ada"))) == ("OK", "")
        with under_rules(castle, change("releaser", "grace")):
            assert wire.reply(number, PATIENCE_S).outcome == expected
            assert outcome(lambda: castle.promote(token)) in {expected, DENIED}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize(
    ("path", "body", "who", "role"),
    [(WATCH, WATCHES, "olga", "admin"), (UPLOAD, UPLOADS, "ada", "trainer")],
    ids=["watch", "upload"],
)
def test_stream_that_goes_on(
    castle: Castle, name: str, path: str, body: bytes, who: str, role: str
) -> None:
    change, expected = CHANGES[name]
    with Wire(castle.gateway) as wire:
        number = wire.begin(
            wire.headers(bearer(castle.person(who)), path=path), body, end=path == WATCH
        )
        assert wire.list_models(bearer(castle.person("ada"))) == ("OK", "")
        with under_rules(castle, change(role, who)):
            assert wire.reply(number, PATIENCE_S).outcome == expected


def test_faulty_rules_open_and_close_nothing(castle: Castle) -> None:
    """The last good ones stay in force, for calls that go on and for those that come."""
    former = castle.stack.folder.access_file.read_text()
    with Wire(castle.gateway) as wire, Logs(castle) as log:
        headers = wire.headers(bearer(castle.person("olga")), path=WATCH)
        number = wire.begin(headers, WATCHES)
        log.wait_for("access_file_refused", lambda: write(castle, "bindings: [nonsense"))
        try:
            assert outcome(lambda: castle.promote(castle.person("vera"))) == DENIED
            assert wire.list_models(bearer(castle.person("ada"))) == ("OK", "")
        finally:
            log.wait_for("access_rules_in_force", lambda: write(castle, former))
        assert not wire.reply(number, 0.1).ended
