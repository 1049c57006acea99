"""What is remembered of the present is what is there, whatever is changed, on both databases."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_service.alias_names import AliasName
from registry_service.aliases import set_alias
from registry_service.names import parse_version_name
from registry_service.present_answers import PresentAnswers
from registry_service.proto_conversion import to_resolved
from registry_service.records import Stage
from registry_service.registration import update_version
from registry_service.registry_database import RegistryDatabase
from registry_service.resolution import resolve_stage
from service_chassis.errors import StudbookError
from tests.store.registry.seeding import GRACE, MODEL, Stud

if TYPE_CHECKING:
    import pytest

    from registry_service.resolution import Resolution
    from registry_service.store import RegistryStore
    from studbook.registry.v1.serving_service_pb2 import ResolveVersionResponse

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


def answer(remembered: PresentAnswers, stage: Stage) -> ResolveVersionResponse | str:
    try:
        return asyncio.run(remembered.of_stage(MODEL, stage))
    except StudbookError as error:
        return error.reason


def present(stud: Stud, stage: Stage) -> ResolveVersionResponse | str:
    try:
        return to_resolved(stud.read(lambda store: resolve_stage(store, MODEL, stage)))
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
    database = RegistryDatabase(stud.database)
    processes = (PresentAnswers(database), PresentAnswers(database))
    for turn, (act, number) in enumerate(changes):
        change(stud, act, number, turn)
        for remembered in processes[: 1 + turn % 2]:
            for stage in (Stage.PRODUCTION, Stage.ARCHIVED):
                for _ in range(2):
                    assert answer(remembered, stage) == present(stud, stage)


def test_nothing_is_asked_twice_while_nothing_changes(
    stud: Stud, monkeypatch: pytest.MonkeyPatch
) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.move("1.0.0", Stage.PRODUCTION)
    remembered = PresentAnswers(RegistryDatabase(stud.database))
    first = answer(remembered, Stage.PRODUCTION)
    monkeypatch.setattr("registry_service.present_answers.resolve_stage", None)
    assert answer(remembered, Stage.PRODUCTION) == first


def test_change_between_the_mark_and_the_answer_is_noticed_later(
    stud: Stud, monkeypatch: pytest.MonkeyPatch
) -> None:
    stud.create_model()
    for number in NUMBERS:
        stud.register(number)
    stud.move("1.0.0", Stage.PRODUCTION)
    remembered = PresentAnswers(RegistryDatabase(stud.database))
    found = present(stud, Stage.PRODUCTION)

    def overtaken(store: RegistryStore, model: str, stage: Stage) -> Resolution:
        answered = resolve_stage(store, model, stage)
        with ThreadPoolExecutor(1) as others:
            others.submit(stud.move, "1.1.0", Stage.PRODUCTION).result()
        return answered

    with monkeypatch.context() as patched:
        patched.setattr("registry_service.present_answers.resolve_stage", overtaken)
        assert answer(remembered, Stage.PRODUCTION) == found
    assert answer(remembered, Stage.PRODUCTION) == present(stud, Stage.PRODUCTION) != found
