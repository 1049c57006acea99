"""Promotion against a model of it: random moves, checked against plain lists after each."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from registry_service.ledger import Entry, Outcome, verify_chain
from registry_service.names import parse_version_name
from registry_service.records import Stage
from registry_service.registration import delete_version
from registry_service.resolution import resolve_stage_at
from registry_service.stages import is_allowed
from service_chassis.database import Database
from service_chassis.errors import StudbookError
from tests.store.registry.full_registry import audit
from tests.store.registry.seeding import GRACE, MODEL, Clock, Stud, caller

NUMBERS = ("1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0")
TRAINER = caller("ada", models_transition=("**",))

numbers = st.sampled_from(NUMBERS)
stages = st.sampled_from(list(Stage))


class Promotions(RuleBasedStateMachine):
    """The registry, and beside it what it should say.

    Attributes:
        stage: Stage by number, of the versions that exist.
        gone: Numbers that were deleted.
        served: Numbers that were in Production.
        history: What was in Production, from when on; None for nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'registry.db'}"
        database = Database(url, "registry_service", pool_size=1)
        database.migrate()
        self.clock = Clock()
        self.stud = Stud(database, self.clock)
        self.stud.create_model()
        self.stage: dict[str, Stage] = {}
        self.gone: set[str] = set()
        self.served: set[str] = set()
        self.history: list[tuple[int, str | None]] = [(0, None)]

    def teardown(self) -> None:
        assert audit(self.stud) == []
        self.stud.database.close()
        self.folder.cleanup()

    @property
    def present(self) -> str | None:
        return self.history[-1][1]

    @rule(number=numbers)
    def register(self, number: str) -> None:
        reason = refusal(lambda: self.stud.register(number))
        if number in self.stage or number in self.gone:
            assert reason == "VERSION_EXISTS"
        else:
            assert reason is None
            self.stage[number] = Stage.NONE

    @rule(number=numbers, stage=stages, trainer=st.booleans())
    def move(self, number: str, stage: Stage, *, trainer: bool) -> None:
        by = TRAINER if trainer else GRACE
        reason = refusal(lambda: self.stud.move(number, stage, by=by))
        assert reason == self.expected_refusal(number, stage, trainer=trainer)
        if reason is None:
            self.moved(number, stage)

    def expected_refusal(self, number: str, stage: Stage, *, trainer: bool) -> str | None:
        if trainer and stage is Stage.PRODUCTION:
            return "PERMISSION_MISSING"
        if number not in self.stage:
            return "NOT_FOUND"
        before = self.stage[number]
        if before is stage:
            return None
        if trainer and before is Stage.PRODUCTION:
            return "PERMISSION_MISSING"
        if not is_allowed(before, stage, was_in_production=number in self.served):
            return "TRANSITION_NOT_ALLOWED"
        return None

    def moved(self, number: str, stage: Stage) -> None:
        before = self.stage[number]
        if before is stage:
            return
        start_us = self.stud.version(number).stage_us
        if stage is Stage.PRODUCTION:
            if self.present:
                self.stage[self.present] = Stage.ARCHIVED
            self.history.append((start_us, number))
            self.served.add(number)
        elif before is Stage.PRODUCTION:
            self.history.append((start_us, None))
        self.stage[number] = stage

    @rule()
    def roll_back(self) -> None:
        earlier = [
            number for _, number in self.history if number is not None and number != self.present
        ]
        reason = refusal(self.stud.roll_back)
        if earlier:
            assert reason is None
            self.moved(earlier[-1], Stage.PRODUCTION)
        else:
            assert reason == "NOTHING_TO_ROLL_BACK"

    @rule(number=numbers)
    def delete(self, number: str) -> None:
        name = parse_version_name(f"{MODEL}/versions/{number}")
        reason = refusal(
            lambda: self.stud.write(
                lambda store: delete_version(store, GRACE, name, "", validate_only=False)
            )
        )
        if number not in self.stage:
            assert reason == "NOT_FOUND"
        elif number in self.served:
            assert reason == "RESOURCE_HELD"
        else:
            assert reason is None
            del self.stage[number]
            self.gone.add(number)

    @rule(back_us=st.integers(0, 10_000_000))
    def clock_steps_back(self, back_us: int) -> None:
        self.clock.us -= back_us

    @rule(ahead_us=st.integers(0, 100_000))
    def somebody_asks_for_the_present(self, ahead_us: int) -> None:
        moment = self.clock() + ahead_us
        self.stud.write(lambda store: store.ledger.settle(moment))

    @invariant()
    def versions_are_where_they_should_be(self) -> None:
        assert self.stud.production() == (self.present or "")
        found = {number: self.stud.version(number).stage for number in self.stage}
        assert found == self.stage
        assert list(found.values()).count(Stage.PRODUCTION) <= 1

    @invariant()
    def history_answers_at_every_boundary(self) -> None:
        for index, (start_us, number) in enumerate(self.history):
            assert self.production_at(start_us) == number
            if index:
                assert self.production_at(start_us - 1) == self.history[index - 1][1]

    def production_at(self, us: int) -> str | None:
        try:
            answer = self.stud.read(
                lambda store: resolve_stage_at(store, MODEL, Stage.PRODUCTION, us)
            )
        except StudbookError:
            return None
        return answer.version.number

    @invariant()
    def ledger_verifies_and_tells_the_same(self) -> None:
        entries = self.stud.read(lambda store: list(store.ledger.entries()))
        assert verify_chain(entries) is None
        assert replayed(entries) == self.stage


def replayed(entries: list[Entry]) -> dict[str, Stage]:
    """Where each version stands, from the ledger alone."""
    stage: dict[str, Stage] = {}
    for entry in entries:
        number = entry.resource.rpartition("/")[2]
        content: dict[str, Any] = json.loads(entry.content_json)
        if entry.outcome is not Outcome.DONE or not entry.action.startswith("version."):
            continue
        if entry.action == "version.delete":
            del stage[number]
        elif "stage" in content["after"]:
            before = stage.get(number)
            assert before is None or content["before"]["stage"] == before.name
            stage[number] = Stage[content["after"]["stage"]]
    return stage


def refusal(act: Any) -> str | None:
    try:
        act()
    except StudbookError as error:
        return error.reason
    return None


Promotions.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow],
)
TestPromotions = Promotions.TestCase
