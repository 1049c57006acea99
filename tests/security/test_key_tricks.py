"""Issuers that misbehave, and tokens that try to make us fetch."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.patience import PATIENCE_S
from tests.security.broken_issuers import SHARED_SECRET, weak_key
from tests.security.castle import bearer, outcome
from tests.unit.gateway.loopback_issuer import rsa_key

if TYPE_CHECKING:
    from tests.security.castle import Castle

INVALID = ("UNAUTHENTICATED", "TOKEN_INVALID")
UNAVAILABLE = ("UNAVAILABLE", "ISSUER_UNAVAILABLE")


def listed(castle: Castle, token: str) -> tuple[str, str]:
    return outcome(lambda: castle.list_models(bearer(token)))


@pytest.mark.parametrize("issuer", ["down", "huge", "html", "moved", "elsewhere"])
def test_issuer_whose_keys_cannot_be_had(castle: Castle, issuer: str) -> None:
    assert listed(castle, castle.issuers[issuer].token()) == UNAVAILABLE


@pytest.mark.parametrize(
    ("issuer", "signed"),
    [
        ("twins", {}),
        ("twins", {"key": rsa_key(50)}),
        ("weak", {"key": weak_key()}),
        ("private", {}),
        ("symmetric", {"algorithm": "HS256", "key": SHARED_SECRET, "header": {"kid": "rsa"}}),
        ("symmetric", {"key": rsa_key()}),
        ("foreign", {}),
        ("encryption", {}),
    ],
    ids=[
        "two keys with one id, the first",
        "two keys with one id, the second",
        "RSA with 1024 bits",
        "a key with its private part",
        "a shared secret",
        "a shared secret's id for RSA",
        "another key under the id",
        "a key for encryption",
    ],
)
def test_key_that_proves_nothing(castle: Castle, issuer: str, signed: dict[str, Any]) -> None:
    assert listed(castle, castle.issuers[issuer].token(**signed)) == INVALID


@pytest.mark.parametrize("issuer", ["twins", "weak", "private", "symmetric", "encryption"])
def test_good_key_beside_it_is_still_good(castle: Castle, issuer: str) -> None:
    token = castle.issuers[issuer].token(algorithm="ES256", groups=["nobody"])
    assert listed(castle, token) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


def test_storm_of_unknown_key_ids_makes_one_fetch(castle: Castle) -> None:
    issuer = castle.issuers["gitlab"]
    before = issuer.key_fetches
    for number in range(50):
        token = castle.issuers["gitlab"].token(header={"kid": f"made-up-{number}", "typ": "JWT"})
        assert listed(castle, token) == INVALID
    assert issuer.key_fetches - before <= 1


def test_unknown_key_id_does_not_lead_to_other_issuers(castle: Castle) -> None:
    others = {name: issuer.key_fetches for name, issuer in castle.issuers.items()}
    for number in range(5):
        token = castle.issuers["buildkite"].token(header={"kid": f"x{number}", "typ": "JWT"})
        assert listed(castle, token) == INVALID
    del others["buildkite"]
    # Those without keys are asked for them by themselves, now and then.
    settled = ("corp", "gitlab", "circleci", "cluster", "twins", "foreign")
    assert {name: castle.issuers[name].key_fetches for name in settled} == {
        name: others[name] for name in settled
    }


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("jku", "{url}/trap"),
        ("x5u", "{url}/trap"),
        ("jwk", {"kty": "oct", "k": "AAAA"}),
        ("kid", "{url}/trap"),
        ("kid", "../../../../etc/passwd"),
        ("kid", "rsa' OR '1'='1"),
        ("kid", "rsa\u0000"),
        ("kid", "RSA"),
        ("kid", "rsa "),
        ("kid", ["rsa"]),
        ("kid", "x" * 1500),
        ("iss", "{url}"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_header_leads_nowhere(castle: Castle, header: str, value: object) -> None:
    """Nothing in a header is fetched, read or run, and it chooses no other key."""
    corp = castle.issuers["corp"]
    if isinstance(value, str):
        value = value.replace("{url}", corp.url)
    before = len(corp.requests)
    token = corp.token(key=rsa_key(99), header={header: value})
    assert listed(castle, token) == INVALID
    assert [path for path in corp.requests[before:] if "trap" in path] == []


def test_token_naming_its_own_issuer_makes_no_request(castle: Castle) -> None:
    """An issuer that no rule names is not asked, wherever it is."""
    stranger = castle.issuers["down"]
    before = len(stranger.requests)
    token = castle.issuers["corp"].token(iss=f"{stranger.origin}/trap")
    assert listed(castle, token) == ("UNAUTHENTICATED", "ISSUER_UNKNOWN")
    assert "/trap/.well-known/openid-configuration" not in stranger.requests[before:]


def test_slow_issuer_holds_up_nobody_else(castle: Castle) -> None:
    slow, release = castle.issuers["slow"], threading.Event()

    def wait() -> None:
        release.wait(PATIENCE_S)

    slow.before_answer = wait
    waiting = threading.Thread(target=listed, args=(castle, slow.token()))
    waiting.start()
    try:
        start = time.monotonic()
        for _ in range(20):
            assert listed(castle, castle.person("ada")) == ("OK", "")
        assert time.monotonic() - start < 5
    finally:
        release.set()
        waiting.join()
