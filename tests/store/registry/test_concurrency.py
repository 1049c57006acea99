"""Many callers at once, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import sqlalchemy as sa

from registry_service.ledger import verify_chain
from registry_service.records import Stage
from registry_service.tables import stays
from service_chassis.errors import StudbookError
from tests.store.registry.seeding import Stud

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.database import Database

CALLERS = 16


def all_at_once(work: Callable[[int], object]) -> list[object]:
    """What each of 16 callers got, errors included, all having begun together."""
    together = threading.Barrier(CALLERS)

    def one(number: int) -> object:
        together.wait()
        try:
            return work(number)
        except StudbookError as error:
            return error

    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(one, range(CALLERS)))


def test_promoting_different_versions_leaves_one_in_production(
    database_factory: Callable[[str], Database],
) -> None:
    stud = Stud(database_factory("registry_service"))
    stud.create_model()
    for number in range(CALLERS):
        stud.register(f"1.{number}.0")
    got = all_at_once(lambda number: stud.move(f"1.{number}.0", Stage.PRODUCTION))
    assert not [item for item in got if isinstance(item, StudbookError)]
    assert stud.production()
    check_history(stud)


def test_of_those_who_expect_nothing_there_one_succeeds(
    database_factory: Callable[[str], Database],
) -> None:
    stud = Stud(database_factory("registry_service"))
    stud.create_model()
    for number in range(CALLERS):
        stud.register(f"1.{number}.0")
    got = all_at_once(lambda number: stud.move(f"1.{number}.0", Stage.PRODUCTION, expected=""))
    refused = [item.reason for item in got if isinstance(item, StudbookError)]
    assert refused == ["PRODUCTION_CHANGED"] * (CALLERS - 1)
    check_history(stud)


def test_one_number_is_given_once(database_factory: Callable[[str], Database]) -> None:
    stud = Stud(database_factory("registry_service"))
    stud.create_model()
    got = all_at_once(lambda _: stud.register("1.0.0", verified=False))
    refused = [item.reason for item in got if isinstance(item, StudbookError)]
    assert refused == ["VERSION_EXISTS"] * (CALLERS - 1)


def test_one_model_is_created_once(database_factory: Callable[[str], Database]) -> None:
    stud = Stud(database_factory("registry_service"))
    got = all_at_once(lambda _: stud.create_model())
    refused = [item.reason for item in got if isinstance(item, StudbookError)]
    assert refused == ["ALREADY_EXISTS"] * (CALLERS - 1)


def check_history(stud: Stud) -> None:
    assert stud.read(lambda store: verify_chain(store.ledger.entries())) is None
    rows = stud.database.read_now(
        lambda connection: connection.execute(
            sa.select(stays.c.start_us, stays.c.end_us)
            .where(stays.c.to_stage == Stage.PRODUCTION)
            .order_by(stays.c.start_us)
        ).all()
    )
    # Each stay in Production ends in the instant in which the next begins.
    assert [row.end_us for row in rows[:-1]] == [row.start_us for row in rows[1:]]
    assert rows[-1].end_us is None
