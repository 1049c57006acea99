"""An issuer replaces its keys: the new ones are learnt, and the old ones are worth nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.patience import PATIENCE_S, wait_until
from tests.security.castle import Castle, bearer, outcome
from tests.unit.gateway.loopback_issuer import ec_key, public_jwk, rsa_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

INVALID = ("UNAUTHENTICATED", "TOKEN_INVALID")
# Nobody of these issuers may do anything; but whose token is good is told that.
KNOWN = ("PERMISSION_DENIED", "PERMISSION_MISSING")
DISCOVERY = "/main/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def rotating_castle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Castle]:
    """One that looks for new keys at most once a second, not once a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDBOOK_GATEWAY_KEY_FETCH_PAUSE_SECONDS", "1")
        with Castle(tmp_path_factory.mktemp("rotating")) as running:
            yield running


class Rotation:
    """An issuer, and a gateway that knows its first key."""

    def __init__(self, castle: Castle, issuer: LoopbackIssuer) -> None:
        self._castle = castle
        self.issuer = issuer
        self._numbers = iter(range(10_000))
        issuer.answers.clear()
        self.publish(public_jwk(rsa_key(10), "first"))

    def publish(self, *keys: dict[str, Any]) -> None:
        """Publish these keys and no others, and wait until the gateway has them."""
        # A key that is in this set only; when it is known, so is the set.
        number = next(self._numbers)
        sign = public_jwk(ec_key(1000 + number), f"sign-{number}")
        self.issuer.keys = [*keys, sign]
        key = ec_key(1000 + number)
        wait_until(lambda: self.told(key, f"sign-{number}", "ES256") == KNOWN)

    def told(self, key: Any, key_id: str, algorithm: str = "RS256") -> tuple[str, str]:
        """What somebody is told whose token is signed so."""
        token = self.issuer.token(
            key=key,
            algorithm=algorithm,
            header={"kid": key_id},
            groups=["nobody"],
            jti=f"{key_id}-{next(self._numbers)}",
        )
        return outcome(lambda: self._castle.list_models(bearer(token)))


@pytest.fixture
def rotation(rotating_castle: Castle, request: pytest.FixtureRequest) -> Iterator[Rotation]:
    yield Rotation(rotating_castle, rotating_castle.issuers[request.param])
    rotating_castle.check_that_it_stands()


def of(issuer: str) -> pytest.MarkDecorator:
    """Each test has an issuer of its own; how it misbehaves elsewhere is put right first."""
    return pytest.mark.parametrize("rotation", [issuer], indirect=True)


@of("twins")
def test_both_keys_are_good_while_both_are_published(rotation: Rotation) -> None:
    rotation.publish(public_jwk(rsa_key(10), "first"), public_jwk(rsa_key(11), "second"))
    assert rotation.told(rsa_key(10), "first") == KNOWN
    assert rotation.told(rsa_key(11), "second") == KNOWN
    assert rotation.told(rsa_key(10), "second") == INVALID
    assert rotation.told(rsa_key(11), "first") == INVALID


@of("weak")
def test_withdrawn_key_is_worth_nothing(rotation: Rotation) -> None:
    assert rotation.told(rsa_key(10), "first") == KNOWN
    rotation.publish(public_jwk(rsa_key(11), "second"))
    for key_id in ("first", "second", ""):
        assert rotation.told(rsa_key(10), key_id) == INVALID
    assert rotation.told(rsa_key(11), "second") == KNOWN


@of("private")
def test_same_id_for_another_key(rotation: Rotation) -> None:
    rotation.publish(public_jwk(rsa_key(11), "first"))
    assert rotation.told(rsa_key(10), "first") == INVALID
    assert rotation.told(rsa_key(11), "first") == KNOWN


@of("symmetric")
def test_same_id_for_another_kind_of_key(rotation: Rotation) -> None:
    rotation.publish(public_jwk(ec_key(12), "first"))
    assert rotation.told(rsa_key(10), "first") == INVALID
    assert rotation.told(ec_key(12), "first", "ES256") == KNOWN


@of("foreign")
def test_withdrawn_key_does_not_come_back_while_the_issuer_is_down(rotation: Rotation) -> None:
    rotation.publish(public_jwk(rsa_key(11), "second"))
    rotation.issuer.answers[DISCOVERY] = 503, b"", {}
    before = rotation.issuer.requests.count(DISCOVERY)
    deadline = time.monotonic() + PATIENCE_S
    while rotation.issuer.requests.count(DISCOVERY) == before:
        assert time.monotonic() < deadline, "the issuer was not asked"
        assert rotation.told(rsa_key(10), "first") == INVALID
    assert rotation.told(rsa_key(10), "first") == INVALID
    # The last good set serves.
    assert rotation.told(rsa_key(11), "second") == KNOWN


@of("encryption")
def test_empty_set_leaves_nobody_in(rotation: Rotation) -> None:
    """An issuer that withdraws all keys means it; it is no fault to be outwaited."""
    rotation.issuer.keys = []
    deadline = time.monotonic() + PATIENCE_S
    while rotation.told(rsa_key(10), "first") == KNOWN:
        assert time.monotonic() < deadline, "the empty set was not fetched"
        rotation.told(rsa_key(13), "makes it fetch")
    assert rotation.told(rsa_key(10), "first") in {INVALID, ("UNAVAILABLE", "ISSUER_UNAVAILABLE")}
