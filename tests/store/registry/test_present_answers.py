"""What is remembered of the present is what is there, whatever is changed, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_service.alias_names import AliasName
from registry_service.aliases import set_alias
from registry_service.names import parse_version_name
from registry_service.present_answers import PresentAnswers
from registry_service.records import Stage
from registry_service.registration import update_version
from registry_service.resolution import resolve_stage
from service_chassis.errors import StudbookError
from tests.store.registry.seeding import GRACE, MODEL, Stud

if TYPE_CHECKING:
    import pytest

    from registry_service.resolution import Resolution

NUMBERS = ("1.0.0", "1.1.0")
CHANGES = st.lists(
    st.tuples(st.sampled_from(["promote", "archive", "tag", "alias"]), st.sampled_from(NUMBERS)),
    max_size=12,
)


def change(stud: Stud, act: str, number: str, turn: int) -> None:
    name = parse_version_name(f"{MODEL}/versions/{number}")
    if act == "promote":
        stud.move(number, Stage.PRODUCTION)
    elif act == "archive":
        stud.move(number, Stage.ARCHIVED)
    elif act == "tag":
        stud.write(
            lambda store: update_version(
                store,
                GRACE,
                name,
                "",
                description=None,
                tags={"turn": str(turn)},
                validate_only=False,
            )
        )
    else:
        alias = AliasName(MODEL, "champion")
        stud.write(
            lambda store: set_alias(
                store, GRACE, alias, str(name), reason="", etag="", validate_only=False
            )
        )


def answer(stud: Stud, remembered: PresentAnswers | None, stage: Stage) -> Resolution | str:
    try:
        if remembered is None:
            return stud.read(lambda store: resolve_stage(store, MODEL, stage))
        return stud.read(lambda store: remembered.resolve_stage(store, MODEL, stage))
    except StudbookError as error:
        return error.reason


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CHANGES)
def test_whatever_is_changed_the_answer_is_the_present_one(
    stud: Stud, changes: list[tuple[str, str]]
) -> None:
    if stud.read(lambda store: store.models.uid(MODEL)) is None:
        stud.create_model()
        for number in NUMBERS:
            stud.register(number)
    # Two processes, each with what it remembers.
    processes = (PresentAnswers(), PresentAnswers())
    for turn, (act, number) in enumerate(changes):
        change(stud, act, number, turn)
        for remembered in processes[: 1 + turn % 2]:
            for stage in (Stage.PRODUCTION, Stage.ARCHIVED):
                for _ in range(2):
                    assert answer(stud, remembered, stage) == answer(stud, None, stage)


def test_nothing_is_asked_twice_while_nothing_changes(
    stud: Stud, monkeypatch: pytest.MonkeyPatch
) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.move("1.0.0", Stage.PRODUCTION)
    remembered = PresentAnswers()
    first = answer(stud, remembered, Stage.PRODUCTION)
    monkeypatch.setattr("registry_service.present_answers.resolve_stage", None)
    assert answer(stud, remembered, Stage.PRODUCTION) == first
