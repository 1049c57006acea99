"""A token is exchanged once, by however many at a time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry_service.spent_tokens import Exchange, exchange
from service_chassis.errors import StudbookError
from tests.store.registry.seeding import START_US, Clock, Stud, caller

HOUR_US = 3600 * 1_000_000
JOB = caller("release")


def wish(digest: str = "a" * 64, issuer: str = "https://ci.example") -> Exchange:
    return Exchange(
        resource="workspaces/main",
        issuer=issuer,
        digest=digest,
        expire_us=START_US + HOUR_US,
        token_id="t1/x",
        resources=("workspaces/main/models/wine/**",),
        token_expire_us=START_US + HOUR_US,
    )


def give_up(stud: Stud, wanted: Exchange) -> str:
    """`done`, or the reason of the refusal."""
    try:
        stud.write(lambda store: exchange(store, JOB, wanted))
    except StudbookError as refusal:
        return refusal.reason
    return "done"


def test_of_many_who_exchange_a_token_at_once_one_succeeds(stud: Stud) -> None:
    with ThreadPoolExecutor(8) as threads:
        ends = list(threads.map(lambda _: give_up(stud, wish()), range(8)))
    assert sorted(ends) == ["TOKEN_SPENT"] * 7 + ["done"]
    entries = stud.read(lambda store: list(store.ledger.entries()))
    assert [(entry.action, entry.actor.id) for entry in entries] == [
        ("token.exchanged", "user:demo:release")
    ]
    assert json.loads(entries[0].content_json)["resources"] == ["workspaces/main/models/wine/**"]


def test_tokens_of_two_issuers_are_two(stud: Stud) -> None:
    assert give_up(stud, wish()) == "done"
    assert give_up(stud, wish(issuer="https://other.example")) == "done"
    assert give_up(stud, wish(digest="b" * 64)) == "done"


@pytest.mark.parametrize(
    ("later_us", "remembered"), [(HOUR_US, True), (2 * HOUR_US + 1_000_000, False)]
)
def test_a_token_is_remembered_until_nobody_takes_it(
    stud: Stud, later_us: int, remembered: bool
) -> None:
    give_up(stud, wish())
    stud.clock = Clock(START_US + later_us)
    give_up(stud, wish(digest="b" * 64))
    known = stud.read(lambda store: store.tokens.is_spent("https://ci.example", "a" * 64))
    assert known is remembered
