"""Whoever is refused leaves a trace of who, what and why; nothing in the ledger, and no token."""

from __future__ import annotations

import itertools
import json
import time
from base64 import urlsafe_b64decode
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from service_chassis.method_access import Method, method_table
from studbook.registry.v1 import (
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    promotion_service_pb2,
    version_pb2,
)
from tests.patience import wait_until
from tests.security.castle import DEADLINE_S, bearer, outcome
from tests.security.ci_jobs import JOBS
from tests.security.logs import Logs
from tests.security.story import SECRET, STAGED, WINE
from tests.unit.gateway.loopback_issuer import rsa_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.security.castle import Castle

TRANSITION = "/studbook.registry.v1.PromotionService/TransitionStage"
EXCHANGE = "/studbook.identity.v1.IdentityService/ExchangeToken"
_numbers = itertools.count()


def promotion(name: str = STAGED) -> bytes:
    request = promotion_service_pb2.TransitionStageRequest(
        name=name, to_stage=version_pb2.STAGE_PRODUCTION, reason="an attack"
    )
    return request.SerializeToString()


def call(castle: Castle, path: str, body: bytes, *entries: tuple[str, str]) -> object:
    """Call a method with bytes; all answers, when there are several."""
    start = castle.channel.stream_stream(path, None, None)
    return list(start(iter([body]), metadata=entries, timeout=DEADLINE_S))


def trace(castle: Castle, path: str, body: bytes, token: str) -> dict[str, Any]:
    """The one line that a refused call leaves, with its status; the token is in no line at all."""
    request_id = f"attack-{next(_numbers)}"
    entries = [("x-request-id", request_id), *([bearer(token)] if token else [])]
    with Logs(castle) as logs:
        logs.wait_for("call", lambda: outcome(lambda: call(castle, path, body, *entries)))

        def found() -> list[dict[str, Any]]:
            return [one for one in logs.lines if one.get("request_id") == request_id]

        wait_until(lambda: bool(found()))
        lines = found()
        # The secret parts; a header says which key, and claims are told one by one.
        for part in token.split(".")[1:]:
            assert part not in logs.text
    # Where the service refused, the gateway says so; the service says what.
    told = [line for line in lines if "answered_by" not in line]
    (line,) = [one for one in told if one.get("security") == "refused"]
    return line


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def expired(castle: Castle) -> str:
    past = int(time.time()) - 4000
    return castle.person("grace", iat=past, exp=past + 300)


def spent(castle: Castle) -> str:
    token = castle.job("github", dict(JOBS["github"]))
    castle.exchange(token, f"{WINE}/**")
    return token


ATTEMPTS: dict[str, tuple[Callable[[Castle], str], str, str, dict[str, str]]] = {
    "who only looks": (
        lambda castle: castle.person("vera"), TRANSITION, STAGED,
        {"reason": "PERMISSION_MISSING", "subject": "vera", "resource": "**",
         "principal": "user:corp:vera"},
    ),
    "who may elsewhere": (
        lambda castle: castle.exchange(castle.job("github", dict(JOBS["github"])), f"{WINE}/**"),
        TRANSITION, f"{SECRET}/versions/1.0.0",
        {"reason": "PERMISSION_MISSING", "resource": f"{SECRET}/versions/1.0.0",
         "principal": "pipeline:release-github"},
    ),
    "with a token of yesterday": (
        expired, TRANSITION, STAGED, {"reason": "TOKEN_EXPIRED", "subject": "grace"},
    ),
    "with a token for somebody else's service": (
        lambda castle: castle.person("grace", aud="https://other.example"), TRANSITION, STAGED,
        {"reason": "AUDIENCE_MISMATCH", "subject": "grace"},
    ),
    "with a job's own token": (
        lambda castle: castle.job("github", dict(JOBS["github"])), TRANSITION, STAGED,
        {"reason": "TOKEN_NOT_EXCHANGED", "principal": "pipeline:release-github"},
    ),
    "with a job's token again": (
        spent, EXCHANGE, "", {"reason": "TOKEN_SPENT", "principal": "pipeline:release-github"},
    ),
    "as the job of a fork": (
        lambda castle: castle.job("github", {**JOBS["github"], "repository_id": "999"}),
        EXCHANGE, "", {"reason": "PIPELINE_UNKNOWN", "subject": JOBS["github"]["sub"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTEMPTS)
def test_refusal_of_a_genuine_token_says_whose_it_is(castle: Castle, name: str) -> None:
    make, path, target, expected = ATTEMPTS[name]
    token = make(castle)
    line = trace(castle, path, promotion(target) if target else b"", token)
    issuers = {issuer.url for issuer in castle.issuers.values()}
    assert {key: line.get(key) for key in expected} == expected
    assert (line["method"], line["issuer"] in issuers) == (path, True)
    assert line["subject"]


def test_nobody_is_accused_by_a_forged_token(castle: Castle) -> None:
    forged = castle.issuers["corp"].token(key=rsa_key(77), sub="the-boss", jti="forged")
    line = trace(castle, TRANSITION, promotion(), forged)
    assert (line["reason"], line["method"]) == ("TOKEN_INVALID", TRANSITION)
    assert "the-boss" not in str(line)
    line = trace(castle, TRANSITION, promotion(), "")
    assert line["reason"] == "TOKEN_MISSING"


def entries(castle: Castle) -> int:
    """Where the ledger ends."""
    stub = ledger_service_pb2_grpc.LedgerServiceStub(castle.channel)
    request = ledger_service_pb2.CreateCheckpointRequest(parent="workspaces/main")
    metadata = (bearer(castle.person("olga")),)
    answer = stub.CreateCheckpoint(request, metadata=metadata, timeout=DEADLINE_S)
    return int(answer.checkpoint.position)


def needs_a_permission(method: Method) -> bool:
    return bool(method.rule.permission) and not method.rule.public


PROTECTED = sorted(path for path, method in method_table().items() if needs_a_permission(method))


def test_every_method_refuses_a_stranger_and_says_so(castle: Castle) -> None:
    """All that need a permission, called by somebody who has none."""
    eve, before = castle.person("eve"), entries(castle)
    with Logs(castle) as logs:
        for path in PROTECTED:
            told = outcome(partial(call, castle, path, b"", bearer(eve)))
            assert told == ("PERMISSION_DENIED", "PERMISSION_MISSING"), path
        deadline = time.monotonic() + 20
        while len(lines := [one for one in logs.lines if _is_of_eve(one)]) < len(PROTECTED):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert sorted(line["method"] for line in lines) == PROTECTED
    for line in lines:
        assert (line["issuer"], line["subject"]) == (castle.issuers["corp"].url, "eve")
        assert (line["reason"], line["resource"]) == ("PERMISSION_MISSING", "**")
        assert line["token_id"] == claims_of(eve)["jti"]
    assert entries(castle) == before


def _is_of_eve(line: dict[str, Any]) -> bool:
    return line.get("security") == "refused" and line.get("principal") == "user:corp:eve"
