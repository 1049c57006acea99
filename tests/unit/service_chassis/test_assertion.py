"""A service believes an assertion for its own calls only, and only while it is fresh."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from service_chassis.assertion import AssertionSigner, AssertionVerifier
from service_chassis.caller import Caller, Principal
from service_chassis.errors import StudbookError

METHOD = "/studbook.tracking.v1.RunService/GetRun"
KEY = OKPKey.generate_key("Ed25519")
OTHER_KEY = OKPKey.generate_key("Ed25519")
CALLER = Caller(
    Principal("user:dev:ada", "user", "Ada", "https://issuer.example", "ada", "t1"),
    {"runs.read": ("workspaces/main/**",)},
)


def signer(key: OKPKey = KEY, component: str = "gateway") -> AssertionSigner:
    return AssertionSigner(component, key.as_pem(private=True))


def verifier(audience: str = "tracking") -> AssertionVerifier:
    return AssertionVerifier(audience, {"gateway": KEY.as_pem(private=False)})


def refused(token: str, method: str = METHOD, audience: str = "tracking") -> None:
    with pytest.raises(StudbookError) as caught:
        verifier(audience).verify(token, method)
    assert caught.value.reason == "ASSERTION_INVALID"


def test_caller_survives_the_hop() -> None:
    caller = verifier().verify(signer().sign(CALLER, METHOD, "tracking"), METHOD)
    assert caller == CALLER
    assert caller.grants == CALLER.grants


def test_groups_travel_when_they_are_asked_for() -> None:
    caller = replace(CALLER, groups=("group:corp:security", "group:corp:quality"))
    assert verifier().verify(signer().sign(caller, METHOD, "tracking"), METHOD) == caller


def test_other_service_is_refused() -> None:
    refused(signer().sign(CALLER, METHOD, "tracking"), audience="registry")


def test_other_method_is_refused() -> None:
    refused(signer().sign(CALLER, METHOD, "tracking"), "/studbook.tracking.v1.RunService/DeleteRun")


def test_other_method_is_refused_after_a_good_call() -> None:
    checked, token = verifier(), signer().sign(CALLER, METHOD, "tracking")
    checked.verify(token, METHOD)
    with pytest.raises(StudbookError):
        checked.verify(token, "/studbook.tracking.v1.RunService/DeleteRun")


def test_foreign_key_is_refused() -> None:
    refused(signer(OTHER_KEY).sign(CALLER, METHOD, "tracking"))


def test_component_cannot_speak_for_another() -> None:
    refused(signer(component="registry").sign(CALLER, METHOD, "tracking"))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "ey.ey.ey", "\N{SNOWMAN}.a.b"])
def test_garbage_is_refused(token: str) -> None:
    refused(token)


@pytest.mark.parametrize("age_s", [120, -120])
def test_old_and_future_assertions_are_refused(age_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - age_s)
    token = signer().sign(CALLER, METHOD, "tracking")
    monkeypatch.setattr(time, "time", lambda: now)
    refused(token)


def test_unsigned_assertion_is_refused() -> None:
    good = signer().sign(CALLER, METHOD, "tracking")
    header = "eyJhbGciOiJub25lIiwidHlwIjoic3R1ZGJvb2stYXNzZXJ0aW9uK2p3dCJ9"
    refused(f"{header}.{good.split('.')[1]}.")


def test_token_of_another_type_is_refused() -> None:
    claims = dict(jwt.decode(signer().sign(CALLER, METHOD, "tracking"), KEY, ["Ed25519"]).claims)
    refused(jwt.encode({"alg": "Ed25519", "typ": "JWT"}, claims, KEY, algorithms=["Ed25519"]))


def test_two_keys_are_trusted_while_one_replaces_the_other() -> None:
    pems = OTHER_KEY.as_pem(private=False) + KEY.as_pem(private=False)
    both = AssertionVerifier("tracking", {"gateway": pems})
    for key in (KEY, OTHER_KEY):
        assert both.verify(signer(key).sign(CALLER, METHOD, "tracking"), METHOD) == CALLER


def test_expired_assertions_do_not_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    checked, now = verifier(), time.time()
    for second in range(300):
        monkeypatch.setattr(time, "time", lambda second=second: now + second)
        checked.verify(signer().sign(CALLER, METHOD, "tracking"), METHOD)
    assert len(checked._known) <= 61
