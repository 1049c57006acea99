"""Who was in which stage when, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry_service.names import parse_version_name
from registry_service.records import Stage
from registry_service.registration import delete_version
from registry_service.resolution import resolve_stage_at
from service_chassis.errors import StudbookError
from tests.store.registry.seeding import GRACE, MODEL, Stud

if TYPE_CHECKING:
    from registry_service.resolution import Resolution


def at(stud: Stud, us: int, stage: Stage = Stage.PRODUCTION) -> Resolution:
    return stud.read(lambda store: resolve_stage_at(store, MODEL, stage, us))


def reason_at(stud: Stud, us: int, stage: Stage = Stage.PRODUCTION) -> str:
    with pytest.raises(StudbookError) as caught:
        at(stud, us, stage)
    return caught.value.reason


def test_intervals_are_half_open_also_across_a_rollback(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.register("1.1.0")
    first = stud.move("1.0.0", Stage.PRODUCTION).version.stage_us
    second = stud.move("1.1.0", Stage.PRODUCTION).version.stage_us
    back = stud.roll_back().version.stage_us
    gone = stud.move("1.0.0", Stage.ARCHIVED).version.stage_us
    assert reason_at(stud, first - 1) == "STAGE_EMPTY"
    expected = [(first, "1.0.0"), (second - 1, "1.0.0"), (second, "1.1.0"), (back - 1, "1.1.0")]
    expected += [(back, "1.0.0"), (gone - 1, "1.0.0")]
    assert [(us, at(stud, us).version.number) for us, _ in expected] == expected
    assert reason_at(stud, gone) == "STAGE_EMPTY"
    answer = at(stud, second)
    assert (answer.start_us, answer.end_us) == (second, back)
    assert answer.version.stage is Stage.ARCHIVED


def test_of_several_in_a_stage_the_one_that_entered_last(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    newest = stud.register("1.1.0")
    assert at(stud, newest.create_us, Stage.NONE).version.number == "1.1.0"
    assert at(stud, newest.create_us - 1, Stage.NONE).version.number == "1.0.0"
    assert at(stud, newest.create_us, Stage.NONE).position == 0
    stud.move("1.1.0", Stage.STAGING)
    last = stud.move("1.0.0", Stage.STAGING).version
    assert at(stud, last.stage_us, Stage.STAGING).version.number == "1.0.0"
    assert at(stud, last.stage_us - 1, Stage.STAGING).version.number == "1.1.0"
    left = stud.move("1.0.0", Stage.ARCHIVED).version.stage_us
    assert at(stud, left, Stage.STAGING).version.number == "1.1.0"


def test_a_deleted_version_is_named(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    moved = stud.move("1.0.0", Stage.STAGING).version
    name = parse_version_name(moved.name)
    stud.write(lambda store: delete_version(store, GRACE, name, "", validate_only=False))
    assert reason_at(stud, moved.stage_us, Stage.STAGING) == "NOT_FOUND"
    head = stud.read(lambda store: store.ledger.head())
    assert reason_at(stud, head.settled_us, Stage.STAGING) == "STAGE_EMPTY"


def test_a_settled_moment_lies_before_every_later_entry(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    settled = stud.read(lambda store: store.ledger.head()).settled_us + 5_000_000
    stud.write(lambda store: store.ledger.settle(settled))
    stud.write(lambda store: store.ledger.settle(settled - 1_000_000))
    assert stud.move("1.0.0", Stage.PRODUCTION).version.stage_us == settled + 1


def test_models_keep_their_histories_apart(stud: Stud) -> None:
    other = "workspaces/main/models/other"
    stud.create_model()
    stud.create_model(other)
    stud.register("1.0.0")
    stud.register("1.0.0", model=other)
    stud.move("1.0.0", Stage.PRODUCTION)
    moved = stud.move("1.0.0", Stage.PRODUCTION, model=other)
    assert moved.displaced is None
    assert at(stud, moved.version.stage_us).version.model == MODEL
