"""Keys are fetched within bounds, kept while the issuer is down, and chosen with care."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import OctKey, OKPKey

from gateway.refusals import TokenRefusedError
from gateway.signature_check import prepare_keys, signature_is_valid
from gateway.signing_keys import IssuerKeys, SigningKeys
from service_chassis.errors import StudbookError
from tests.patience import PATIENCE_S
from tests.unit.gateway.loopback_issuer import b64, ec_key, public_jwk, rsa_key, rules_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def with_keys(issuer: LoopbackIssuer, test: Callable[[IssuerKeys, Clock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = Clock()
        keys = IssuerKeys(rules_for(issuer.url).issuers[issuer.url], clock=clock)
        try:
            async with asyncio.timeout(30):
                await test(keys, clock)
        finally:
            await keys.close()

    asyncio.run(run())


async def reason(keys: IssuerKeys, key_id: str = "rsa", algorithm: str = "RS256") -> str:
    try:
        await keys.find(key_id, algorithm)
    except StudbookError as error:
        return error.reason
    return "found"


def test_unknown_key_id_makes_one_fetch_a_minute(http_issuer: LoopbackIssuer) -> None:
    async def test(keys: IssuerKeys, clock: Clock) -> None:
        assert await reason(keys) == "found"
        for _ in range(20):
            assert await reason(keys, "new") == "TOKEN_INVALID"
        assert http_issuer.key_fetches == 1
        http_issuer.keys.append(public_jwk(rsa_key(1), "new"))
        clock.now += 61
        assert await reason(keys, "new") == "found"
        assert http_issuer.key_fetches == 2

    with_keys(http_issuer, test)


def test_failures_are_cooled_down_too(http_issuer: LoopbackIssuer) -> None:
    async def test(keys: IssuerKeys, clock: Clock) -> None:
        http_issuer.answers["/main/jwks"] = (500, b"", {})
        for _ in range(5):
            assert await reason(keys) == "ISSUER_UNAVAILABLE"
        assert http_issuer.key_fetches == 1
        http_issuer.answers.clear()
        clock.now += 61
        assert await reason(keys) == "found"

    with_keys(http_issuer, test)


def test_callers_share_one_fetch_and_one_may_give_up(http_issuer: LoopbackIssuer) -> None:
    async def test(keys: IssuerKeys, clock: Clock) -> None:
        del clock
        asked, may_answer = threading.Event(), threading.Event()

        def hold() -> None:
            asked.set()
            may_answer.wait(PATIENCE_S)

        http_issuer.before_answer = hold
        waiting = [asyncio.create_task(reason(keys)) for _ in range(10)]
        await asyncio.to_thread(asked.wait, 10)
        waiting[0].cancel()
        may_answer.set()
        assert await asyncio.gather(*waiting[1:]) == ["found"] * 9
        assert http_issuer.key_fetches == 1

    with_keys(http_issuer, test)


def test_last_good_keys_serve_while_the_issuer_is_down(http_issuer: LoopbackIssuer) -> None:
    async def test(keys: IssuerKeys, clock: Clock) -> None:
        assert await keys.refresh()
        http_issuer.answers["/main/jwks"] = (503, b"", {})
        clock.now += 3600
        assert not await keys.refresh()
        assert await reason(keys) == "found"
        clock.now += 24 * 3600
        assert await reason(keys) == "ISSUER_UNAVAILABLE"

    with_keys(http_issuer, test)


def test_withdrawn_key_is_dead_at_once(http_issuer: LoopbackIssuer) -> None:
    async def test(keys: IssuerKeys, clock: Clock) -> None:
        assert await reason(keys) == "found"
        del http_issuer.keys[0]
        clock.now += 1
        assert await keys.refresh()
        assert await reason(keys) == "TOKEN_INVALID"

    with_keys(http_issuer, test)


def elsewhere(url: str) -> dict[str, Any]:
    return {"discovery": {"jwks_uri": url}}


@pytest.mark.parametrize(
    "fault",
    [
        {"discovery": {"issuer": "https://elsewhere.example"}},
        {"discovery": {"issuer": None}},
        {"discovery": {"jwks_uri": None}},
        elsewhere("https://127.0.0.1:1/jwks"),
        elsewhere("http://keys.example/jwks"),
        elsewhere("file:///etc/passwd"),
        elsewhere("http://[broken/jwks"),
        elsewhere("http://user@127.0.0.1/jwks"),
        {"answer": (302, b"", {"Location": "/main/jwks2"})},
        {"answer": (404, b"", {})},
        {"answer": (200, b"[]", {})},
        {"answer": (200, b"{}", {})},
        {"answer": (200, b"<html>", {})},
        {"answer": (200, b'{"keys": [], "keys": []}', {})},
        {"answer": (200, b'{"keys": {}}', {})},
        {"answer": (200, b'{"keys": [' + b"{}," * 32 + b"{}]}", {})},
        {"answer": (200, b" " * (256 * 1024) + b'{"keys": []}', {})},
    ],
)
def test_faulty_issuers_give_no_keys(http_issuer: LoopbackIssuer, fault: dict[str, Any]) -> None:
    async def test(keys: IssuerKeys, clock: Clock) -> None:
        del clock
        http_issuer.discovery.update(fault.get("discovery", {}))
        if "answer" in fault:
            http_issuer.answers["/main/jwks"] = fault["answer"]
        assert not await keys.refresh()
        assert await reason(keys) == "ISSUER_UNAVAILABLE"

    with_keys(http_issuer, test)


def usable(*keys: Any) -> list[tuple[str, str]]:
    return sorted(prepare_keys({"keys": list(keys)}, ("RS256", "RS512", "ES256", "ES384")))


def test_keys_are_chosen_by_type_curve_and_algorithm() -> None:
    assert usable(
        public_jwk(rsa_key(), "any"),
        public_jwk(rsa_key(), "one", alg="RS512"),
        public_jwk(ec_key(), "p256"),
        public_jwk(ec_key(0, "P-384"), "p384"),
    ) == [
        ("any", "RS256"),
        ("any", "RS512"),
        ("one", "RS512"),
        ("p256", "ES256"),
        ("p384", "ES384"),
    ]


@pytest.mark.parametrize(
    "key",
    [
        public_jwk(rsa_key(), "small", n=b64(bytes([255]) * 128)),
        public_jwk(rsa_key(), "k", use="enc"),
        public_jwk(rsa_key(), "k", alg="RSA-OAEP"),
        public_jwk(rsa_key(), "k", alg="none"),
        public_jwk(rsa_key(), "k", key_ops=["encrypt"]),
        public_jwk(rsa_key(), "k", key_ops="verify"),
        public_jwk(rsa_key(), "k", kty="oct"),
        public_jwk(rsa_key(), "k", kty="EC"),
        public_jwk(rsa_key(), "k", n="!"),
        public_jwk(rsa_key(), "k", n=None),
        public_jwk(rsa_key(), "k", n=7),
        public_jwk(rsa_key(), "k", e="AA"),
        public_jwk(rsa_key(), "k", d="AQAB"),
        public_jwk(rsa_key(), ""),
        public_jwk(rsa_key(), "k") | {"kid": None},
        public_jwk(rsa_key(), "k") | {"kid": 7},
        public_jwk(ec_key(), "k", x="AA"),
        public_jwk(ec_key(), "k", y=None),
        public_jwk(ec_key(), "k", crv="secp256k1"),
        {**OKPKey.generate_key("Ed25519").as_dict(private=False), "kid": "k"},
        {**OctKey.generate_key(256).as_dict(), "kid": "k"},
        {},
        None,
        "key",
    ],
)
def test_unfit_keys_are_left_out_and_spoil_nothing(key: Any) -> None:
    assert usable(key, public_jwk(ec_key(), "good")) == [("good", "ES256")]


def test_key_id_that_repeats_names_no_key() -> None:
    twice = [public_jwk(rsa_key(), "k"), public_jwk(ec_key(), "k")]
    assert usable(*twice, public_jwk(ec_key(), "good")) == [("good", "ES256")]


def test_signature_check_survives_anything(http_issuer: LoopbackIssuer) -> None:
    key = prepare_keys({"keys": http_issuer.keys}, ["RS256"])["rsa", "RS256"]
    assert signature_is_valid(http_issuer.token(), key, "RS256")
    for garbage in ("", ".", "..", "a.b.c", "\ud800.a.b", "[" * 100_000):
        assert not signature_is_valid(garbage, key, "RS256")


def test_keys_follow_the_rules(http_issuer: LoopbackIssuer) -> None:
    async def run() -> None:
        keys = SigningKeys()
        keys.follow(rules_for(http_issuer.url))
        await keys.first_fetch()
        first = keys.of(http_issuer.url)
        keys.follow(rules_for(http_issuer.url))
        assert keys.of(http_issuer.url) is first
        keys.follow(rules_for(http_issuer.url, more="    algorithms: [ES256]"))
        changed = keys.of(http_issuer.url)
        with pytest.raises(TokenRefusedError):
            await changed.find("rsa", "RS256")
        keys.follow(rules_for("http://127.0.0.1:1"))
        with pytest.raises(KeyError):
            keys.of(http_issuer.url)
        await keys.close()
        # A call that was under way is answered all the same.
        assert await reason(changed, "ec", "ES256") == "found"

    asyncio.run(run())
