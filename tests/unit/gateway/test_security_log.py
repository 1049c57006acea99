"""Who logs in or is refused leaves a mark: a count, and a line that says who and what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.access_file import Revoked
from gateway.access_rules import AccessRules
from gateway.turnstile import IdentityLimits
from studbook.identity.v1 import identity_service_pb2
from tests.unit.gateway.loopback_issuer import rsa_key
from tests.unit.gateway.running_gateway import RUN, Gateway, refused, through_gateway

if TYPE_CHECKING:
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

WHO_AM_I = "/studbook.identity.v1.IdentityService/WhoAmI"
GET_RUN = "/studbook.tracking.v1.RunService/GetRun"
AGO = int(time.time()) - 700
NOT_THE_SERVICE = "subject is not that of the service account"
ELSEWHERE = "workspaces/other/experiments/e/runs/r"


def count(code: str, reason: str) -> float:
    labels = {"code": code, "reason": reason}
    return REGISTRY.get_sample_value("studbook_refusals_total", labels) or 0.0


def refusals_of(
    issuer: LoopbackIssuer, mounted: bool, name: str = RUN, **changes: Any
) -> list[Any]:
    """The marked lines of one refused call; of its token there is nothing in any line."""
    tokens: list[str] = []

    async def test(gateway: Gateway) -> None:
        ((_, value),) = login = gateway.login(**changes)
        tokens.append(value.removeprefix("Bearer "))
        await refused(gateway.get_run(name, metadata=login))

    with capture_logs() as logs:
        through_gateway(issuer, test, mounted=mounted)
    assert not any(part in str(logs) for part in tokens[0].split("."))
    return [entry for entry in logs if entry.get("security") == "refused"]


@pytest.mark.parametrize(
    ("changes", "reason", "check", "subject"),
    [
        ({"exp": AGO + 300, "iat": AGO}, "TOKEN_EXPIRED", "exp", "ada"),
        ({"aud": "other"}, "AUDIENCE_MISMATCH", "aud", "ada"),
        ({"sub": "ada\n"}, "TOKEN_INVALID", "sub with invisible characters", "ada\ufffd"),
        ({"client_id": "serving"}, "TOKEN_INVALID", NOT_THE_SERVICE, "ada"),
    ],
)
def test_failed_authentication_of_a_genuine_token_names_its_subject(
    http_issuer: LoopbackIssuer,
    mounted: bool,
    changes: dict[str, Any],
    reason: str,
    check: str,
    subject: str,
) -> None:
    before = count("UNAUTHENTICATED", reason)
    (line,) = refusals_of(http_issuer, mounted, **changes)
    assert count("UNAUTHENTICATED", reason) == before + 1
    told = ("method", "code", "reason", "check", "issuer", "subject", "principal")
    assert [line[name] for name in told] == [
        GET_RUN,
        "UNAUTHENTICATED",
        reason,
        check,
        http_issuer.url,
        subject,
        "",
    ]


def test_subject_of_a_forged_token_is_not_told(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    before = count("UNAUTHENTICATED", "TOKEN_INVALID")
    (line,) = refusals_of(http_issuer, mounted, key=rsa_key(7), sub="the-boss")
    assert count("UNAUTHENTICATED", "TOKEN_INVALID") == before + 1
    assert (line["reason"], line["check"]) == ("TOKEN_INVALID", "signature")
    assert "the-boss" not in str(line)


@pytest.mark.parametrize(
    ("name", "changes", "resource"),
    [(ELSEWHERE, {}, ELSEWHERE), (RUN, {"groups": []}, "**")],
    ids=["by the service", "by the gateway"],
)
def test_denial_names_who_was_denied_what(
    http_issuer: LoopbackIssuer, mounted: bool, name: str, changes: dict[str, Any], resource: str
) -> None:
    before = count("PERMISSION_DENIED", "PERMISSION_MISSING")
    (line,) = refusals_of(http_issuer, mounted, name, **changes)
    assert count("PERMISSION_DENIED", "PERMISSION_MISSING") == before + 1
    told = ("method", "code", "reason", "issuer", "subject", "token_id", "principal", "resource")
    assert [line[name] for name in told] == [
        GET_RUN,
        "PERMISSION_DENIED",
        "PERMISSION_MISSING",
        http_issuer.url,
        "ada",
        "t1",
        "user:dev:ada",
        resource,
    ]


def test_revoked_token_names_whose_it_is(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        file = gateway.rules.current.file
        revoked = file.model_copy(update={"revoked": Revoked(tokens=("t1",))})
        gateway.rules.current = AccessRules(revoked)
        await refused(gateway.get_run())

    before = count("UNAUTHENTICATED", "TOKEN_REVOKED")
    with capture_logs() as logs:
        through_gateway(http_issuer, test, mounted=mounted)
    assert count("UNAUTHENTICATED", "TOKEN_REVOKED") == before + 1
    (line,) = [entry for entry in logs if entry.get("security") == "refused"]
    told = ("reason", "issuer", "subject", "token_id", "principal")
    assert [line[name] for name in told] == [
        "TOKEN_REVOKED",
        http_issuer.url,
        "ada",
        "t1",
        "user:dev:ada",
    ]


def test_limited_calls_are_counted_and_no_matter_of_security(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        await gateway.get_run()
        await refused(gateway.get_run())

    before = count("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    with capture_logs() as logs:
        limits = IdentityLimits(calls_per_second=1, burst=1, calls_at_a_time=1)
        through_gateway(http_issuer, test, mounted=mounted, limits=limits)
    assert count("RESOURCE_EXHAUSTED", "RATE_LIMITED") == before + 1
    (line,) = [entry for entry in logs if entry.get("reason") == "RATE_LIMITED"]
    assert "security" not in line
    assert line["principal"] == "user:dev:ada"


def test_identity_calls_are_marked_alike(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        who = identity_service_pb2.WhoAmIRequest()
        await refused(gateway.identity.WhoAmI(who))
        await gateway.identity.WhoAmI(who, metadata=gateway.login())

    before = count("UNAUTHENTICATED", "TOKEN_MISSING")
    with capture_logs() as logs:
        through_gateway(http_issuer, test)
    assert count("UNAUTHENTICATED", "TOKEN_MISSING") == before + 1
    (line,) = [entry for entry in logs if entry.get("security") == "refused"]
    assert line["method"] == "/studbook.identity.v1.IdentityService/WhoAmI"


def test_first_use_of_a_token_is_a_login(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    def logins(kind: str) -> float:
        return REGISTRY.get_sample_value("studbook_logins_total", {"kind": kind}) or 0.0

    async def test(gateway: Gateway) -> None:
        now = int(time.time())
        for changes in ({}, {}, {"jti": "t2"}, {"client_id": "serving", "sub": "serving"}):
            # The same token twice, also when a second ends in between.
            login = gateway.login(iat=now, exp=now + 300, **changes)
            who = identity_service_pb2.WhoAmIRequest()
            if changes.get("client_id") is None:
                await gateway.get_run(metadata=login)
            await gateway.identity.WhoAmI(who, metadata=login)

    before = logins("user"), logins("service")
    with capture_logs() as logs:
        through_gateway(http_issuer, test, mounted=mounted)
    lines = [entry for entry in logs if entry.get("security") == "login"]
    assert (logins("user"), logins("service")) == (before[0] + 2, before[1] + 1)
    told = ("method", "principal", "issuer", "subject", "token_id")
    assert [[line[name] for name in told] for line in lines] == [
        [GET_RUN, "user:dev:ada", http_issuer.url, "ada", "t1"],
        [GET_RUN, "user:dev:ada", http_issuer.url, "ada", "t2"],
        [WHO_AM_I, "service:dev:serving", http_issuer.url, "serving", "t1"],
    ]


def test_a_remembered_token_is_no_login_when_it_is_verified_anew(
    http_issuer: LoopbackIssuer,
) -> None:
    async def test(gateway: Gateway) -> None:
        login = gateway.login()
        await gateway.get_run(metadata=login)
        # New rules make the gateway verify every token again.
        gateway.rules.current = AccessRules(gateway.rules.current.file)
        await gateway.get_run(metadata=login)

    with capture_logs() as logs:
        through_gateway(http_issuer, test)
    assert [entry.get("security") for entry in logs if "security" in entry] == ["login"]
