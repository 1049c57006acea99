"""Calls that would last for ever because their client neither sends nor reads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from studbook.registry.v1.serving_service_pb2 import FetchArtifactsRequest
from studbook.registry.v1.watch_service_pb2 import WatchVersionsRequest
from studbook.tracking.v1.artifact_service_pb2 import UploadHeader, UploadRequest
from tests.security.castle import bearer
from tests.security.story import PRODUCTION, RUN
from tests.security.wire import ASKS_FOR_MODELS, LIST_MODELS, NOTHING, Wire, message

if TYPE_CHECKING:
    from tests.security.castle import Castle

STALLED = ("DEADLINE_EXCEEDED", "STREAM_STALLED")
UPLOAD = "/studbook.tracking.v1.ArtifactService/Upload"
FETCH = "/studbook.registry.v1.ServingService/FetchArtifacts"
WATCH = "/studbook.registry.v1.WatchService/WatchVersions"
SERVER_INFO = "/studbook.identity.v1.IdentityService/GetServerInfo"
HEALTH = "/grpc.health.v1.Health/Check"
# The castle waits for five seconds where it would be two minutes, and then once more as long.
PATIENCE_S = 40.0


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "after its header"])
def test_upload_that_falls_silent(castle: Castle, begun: bool) -> None:
    header = UploadHeader(run=RUN, digest=f"sha256:{'0' * 64}", size_bytes=1000)
    body = message(UploadRequest(header=header).SerializeToString()) if begun else b""
    with Wire(castle.gateway) as wire:
        headers = wire.headers(bearer(castle.person("ada")), path=UPLOAD)
        number = wire.begin(headers, body, end=False)
        assert wire.reply(number, PATIENCE_S).outcome == STALLED


def test_part_of_a_message_is_silence_too(castle: Castle) -> None:
    """A byte now and then keeps no stream alive."""
    with Wire(castle.gateway) as wire:
        headers = wire.headers(bearer(castle.person("ada")), path=UPLOAD)
        number = wire.begin(headers, message(b"", length=1000), end=False)
        deadline = time.monotonic() + PATIENCE_S
        while not (reply := wire.reply(number, 0.5)).ended and time.monotonic() < deadline:
            wire.h2.send_data(number, b"\0")
            wire.flush()
        assert reply.outcome == STALLED


@pytest.mark.parametrize(
    ("path", "body", "who"),
    [
        (SERVER_INFO, NOTHING, ""),
        (HEALTH, NOTHING, ""),
        (LIST_MODELS, ASKS_FOR_MODELS, "ada"),
        (FETCH, message(FetchArtifactsRequest(version=PRODUCTION).SerializeToString()), "serving"),
    ],
    ids=["of anybody", "of health", "with one answer", "with many answers"],
)
def test_call_whose_answer_is_not_taken(castle: Castle, path: str, body: bytes, who: str) -> None:
    """It would hold its place for as long as the connection stands; so that is closed."""
    with Wire(castle.gateway, takes_nothing=True) as wire:
        tokens = {"ada": castle.person("ada"), "serving": castle.serving()}
        entries = [bearer(tokens[who])] if who else []
        number = wire.begin(wire.headers(*entries, path=path), body)
        reply = wire.reply(number, PATIENCE_S)
        assert (reply.ended, reply.data) == ("closed", b"")


def test_watch_of_what_does_not_change_goes_on(castle: Castle) -> None:
    """Its client has said all that it has to say, and reads what there is."""
    request = WatchVersionsRequest(parent="workspaces/main", models="wine-cultivar")
    with Wire(castle.gateway) as quiet, Wire(castle.gateway) as silent:
        headers = quiet.headers(bearer(castle.person("olga")), path=WATCH)
        watch = quiet.begin(headers, message(request.SerializeToString()))
        upload = silent.begin(
            silent.headers(bearer(castle.person("ada")), path=UPLOAD), b"", end=False
        )
        assert silent.reply(upload, PATIENCE_S).outcome == STALLED
        reply = quiet.reply(watch, 0.5)
        assert (reply.ended, reply.status) == ("", "")
