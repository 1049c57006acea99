"""Forged and misused tokens: algorithms, headers, claims, JSON, the compact form."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.security import modern_algorithms
from tests.security.castle import bearer, outcome
from tests.security.forgeries import FORGERIES, GENUINE
from tests.security.rules import MODERN
from tests.security.wire import Wire
from tests.unit.gateway.loopback_issuer import rsa_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.security.castle import Castle


@pytest.mark.parametrize("name", FORGERIES)
def test_forged(castle: Castle, name: str) -> None:
    """By hand, as no client would send some of them."""
    forgery = FORGERIES[name]
    token = forgery.made(castle.issuers["corp"])
    with Wire(castle.gateway) as wire:
        assert wire.list_models(bearer(token)) == ("UNAUTHENTICATED", forgery.reason)


@pytest.mark.parametrize("name", GENUINE)
def test_good(castle: Castle, name: str) -> None:
    token = GENUINE[name].made(castle.issuers["corp"])
    assert outcome(lambda: castle.list_models(bearer(token))) == ("OK", "")


@pytest.mark.parametrize("name", modern_algorithms.TRICKS)
def test_forged_where_every_algorithm_is_allowed(castle: Castle, name: str) -> None:
    token = modern_algorithms.TRICKS[name].made(castle.issuers[MODERN])
    assert outcome(lambda: castle.list_models(bearer(token))) == ("UNAUTHENTICATED", INVALID)


@pytest.mark.parametrize("algorithm", modern_algorithms.KEYS)
def test_good_where_every_algorithm_is_allowed(castle: Castle, algorithm: str) -> None:
    token = modern_algorithms.genuine(castle.issuers[MODERN])[algorithm]
    assert outcome(lambda: castle.list_models(bearer(token))) == ("OK", "")


INVALID, EXPIRED = "TOKEN_INVALID", "TOKEN_EXPIRED"
# What is changed in the token of somebody who may promote, and how that is answered.
MISUSED: dict[str, tuple[dict[str, Any], str]] = {
    "expired one second beyond the leeway": ({"exp": -61, "iat": -361}, EXPIRED),
    "issued one minute and a bit ahead": ({"iat": 65, "exp": 365}, INVALID),
    "not yet good by a minute and a bit": ({"nbf": 65}, INVALID),
}


@pytest.mark.parametrize("name", MISUSED)
def test_at_the_edges_of_time(castle: Castle, name: str) -> None:
    changes, reason = MISUSED[name]
    now = time.time()
    token = castle.person("grace", **{claim: now + after for claim, after in changes.items()})
    assert outcome(lambda: castle.promote(token)) == ("UNAUTHENTICATED", reason)


def other_people(castle: Castle) -> Iterator[tuple[str, str]]:
    """Tokens that are genuine, of somebody who may not promote, and look like somebody who may."""
    corp = castle.issuers["corp"]
    releasers = "release-managers"
    yield "group in other case", castle.person("eve", groups=["Release-Managers"])
    yield "group with Cyrillic letters", castle.person("eve", groups=["rel\u0435ase-managers"])
    yield "group with a full-width letter", castle.person("eve", groups=["\uff52elease-managers"])
    yield "group with a soft hyphen", castle.person("eve", groups=["release\u00ad-managers"])
    yield "group with a zero-width space", castle.person("eve", groups=[f"{releasers}\u200b"])
    yield "group with a space", castle.person("eve", groups=[f"{releasers} "])
    yield "group with a line end", castle.person("eve", groups=[f"{releasers}\n"])
    yield "group with a colon path", castle.person("eve", groups=[f"corp:{releasers}"])
    yield "group path", castle.person("eve", groups=[f"/{releasers}"])
    yield "groups in one text", castle.person("eve", groups=f"nobody,{releasers}")
    yield "groups in one text with spaces", castle.person("eve", groups=f"nobody {releasers}")
    yield "groups as an object", castle.person("eve", groups={releasers: True})
    yield "groups in lists", castle.person("eve", groups=[[releasers]])
    yield "group as an object", castle.person("eve", groups=[{"name": releasers}])
    yield "another claim", castle.person("eve", groups=None, roles=[releasers])
    yield "pattern as group", castle.person("eve", groups=["*", "**", "release-*"])
    yield "sub of a group", castle.person(f"group:corp:{releasers}", groups=["nobody"])
    yield "sub with an issuer", castle.person("corp:grace", groups=["nobody"])
    yield "name of somebody else", castle.person("eve", name="Grace", email="grace@example.com")
    yield "sub of a service", castle.person("serving", groups=["nobody"])
    yield "no groups", castle.person("grace", groups=None)
    yield "sub of somebody in capitals", castle.person("GRACE", groups=["nobody"])
    yield "principal in a claim", corp.token(sub="eve", groups=[], principal="user:corp:grace")


OTHER_PEOPLE = [
    "group in other case", "group with Cyrillic letters", "group with a full-width letter",
    "group with a soft hyphen", "group with a zero-width space", "group with a space",
    "group with a line end", "group with a colon path", "group path", "groups in one text",
    "groups in one text with spaces", "groups as an object", "groups in lists",
    "group as an object", "another claim", "pattern as group", "sub of a group",
    "sub with an issuer", "name of somebody else", "sub of a service", "no groups",
    "sub of somebody in capitals", "principal in a claim",
]  # fmt: skip


@pytest.mark.parametrize("name", OTHER_PEOPLE)
def test_looks_like_somebody_who_may(castle: Castle, name: str) -> None:
    token = dict(other_people(castle))[name]
    assert outcome(lambda: castle.promote(token)) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


@pytest.mark.parametrize("issuer", ["github", "gitlab", "twins"])
def test_the_same_subject_of_another_issuer_is_somebody_else(castle: Castle, issuer: str) -> None:
    """An issuer's key signs only what that issuer says."""
    token = castle.person("grace", iss=castle.issuers[issuer].url)
    status, reason = outcome(lambda: castle.promote(token))
    assert (status, reason) == ("UNAUTHENTICATED", INVALID)


def test_service_account_of_another_subject(castle: Castle) -> None:
    token = castle.issuers["corp"].token(sub="eve", client_id="serving", groups=[])
    assert outcome(lambda: castle.list_models(bearer(token))) == ("UNAUTHENTICATED", INVALID)


def test_key_of_one_issuer_for_another(castle: Castle) -> None:
    """Both publish a key with the same id; each signs for itself."""
    castle.issuers["foreign"].keys = []
    token = castle.issuers["corp"].token(iss=castle.issuers["foreign"].url, groups=["x"])
    status, reason = outcome(lambda: castle.list_models(bearer(token)))
    assert (status, reason) in {
        ("UNAUTHENTICATED", INVALID),
        ("UNAVAILABLE", "ISSUER_UNAVAILABLE"),
    }


def test_own_key_with_the_issuers_id(castle: Castle) -> None:
    token = castle.issuers["corp"].token(key=rsa_key(99), groups=["release-managers"])
    assert outcome(lambda: castle.promote(token)) == ("UNAUTHENTICATED", INVALID)
