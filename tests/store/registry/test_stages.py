"""Moving versions between stages, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from registry_service.ledger import Outcome, verify_chain
from registry_service.names import parse_version_name
from registry_service.promotion import StageChange, change_stage, record_refusal
from registry_service.records import Cause, Stage, Version
from registry_service.registration import delete_version
from registry_service.tables import versions
from service_chassis.errors import StudbookError
from tests.store.registry.seeding import GRACE, MODEL, RUN, Stud, caller

if TYPE_CHECKING:
    from registry_service.ledger import Entry
    from registry_service.store import RegistryStore


def refusal(act: object) -> StudbookError:
    with pytest.raises(StudbookError) as caught:
        act()  # type: ignore[operator]
    return caught.value


def entries(stud: Stud) -> list[Entry]:
    return stud.read(lambda store: list(store.ledger.entries()))


def test_putting_a_version_into_production_archives_the_former(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.register("1.1.0")
    first = stud.move("1.0.0", Stage.PRODUCTION, reason="first")
    assert first.displaced is None
    second = stud.move("1.1.0", Stage.PRODUCTION, reason="better")
    assert second.displaced is not None
    assert second.displaced.number == "1.0.0"
    assert second.transition is not None
    assert stud.production() == "1.1.0"
    archived = stud.version("1.0.0")
    assert archived == second.displaced
    assert archived.stage is Stage.ARCHIVED
    assert archived.stage_us == second.version.stage_us


def test_the_displaced_version_has_an_entry_of_its_own(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.register("1.1.0")
    stud.move("1.0.0", Stage.PRODUCTION)
    stud.move("1.1.0", Stage.PRODUCTION, reason="better")
    cause, effect = entries(stud)[-2:]
    assert (cause.resource, effect.resource) == (
        f"{MODEL}/versions/1.1.0",
        f"{MODEL}/versions/1.0.0",
    )
    assert effect.caused_by == cause.position
    assert '"cause":"DISPLACED"' in effect.content_json
    stays = stud.read(lambda store: store.stays.transitions_of(stud_version(store, "1.0.0").uid))
    assert [stay.cause for stay in stays] == [Cause.REQUESTED, Cause.DISPLACED]
    assert stays[0].end_us == stays[1].start_us == cause.create_us
    assert stays[1].caused_by == cause.position


def stud_version(store: RegistryStore, number: str) -> Version:
    found = store.versions.find(f"{MODEL}/versions/{number}")
    assert found is not None
    return found


def test_a_stage_already_reached_is_ok_and_leaves_no_entry(stud: Stud) -> None:
    stud.create_model()
    stale = stud.register("1.0.0").etag
    stud.move("1.0.0", Stage.PRODUCTION)
    before = entries(stud)
    again = stud.move("1.0.0", Stage.PRODUCTION, etag=stale, expected="")
    assert again.unchanged
    assert again.transition is None
    assert entries(stud) == before


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ((Stage.PRODUCTION,), Stage.NONE),
        ((Stage.ARCHIVED,), Stage.NONE),
        ((Stage.PRODUCTION, Stage.STAGING), Stage.NONE),
    ],
)
def test_moves_that_the_table_does_not_have_are_refused(
    stud: Stud, path: tuple[Stage, ...], refused: Stage
) -> None:
    stud.create_model()
    stud.register("1.0.0")
    for stage in path:
        stud.move("1.0.0", stage)
    error = refusal(lambda: stud.move("1.0.0", refused))
    assert error.reason == "TRANSITION_NOT_ALLOWED"
    assert error.metadata == {"from": path[-1].name, "to": refused.name}


def test_only_ready_versions_leave_none(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0", verified=False)
    stud.register("1.1.0", fault="model.joblib: no bytes")
    for number, state in (("1.0.0", "PENDING"), ("1.1.0", "FAILED")):
        error = refusal(lambda n=number: stud.move(n, Stage.STAGING))
        assert error.reason == "VERSION_NOT_READY"
        assert error.metadata["state"] == state


def test_a_version_that_does_not_exist(stud: Stud) -> None:
    stud.create_model()
    assert refusal(lambda: stud.move("1.0.0", Stage.STAGING)).reason == "NOT_FOUND"
    unknown = "workspaces/main/models/unknown"
    error = refusal(lambda: stud.move("1.0.0", Stage.PRODUCTION, model=unknown))
    assert error.reason == "NOT_FOUND"


def test_etag_and_expected_production_guard_the_change(stud: Stud) -> None:
    stud.create_model()
    old = stud.register("1.0.0")
    stud.register("1.1.0")
    stud.move("1.0.0", Stage.STAGING)
    error = refusal(lambda: stud.move("1.0.0", Stage.PRODUCTION, etag=old.etag))
    assert error.reason == "ETAG_MISMATCH"
    assert error.metadata["etag"] == stud.version("1.0.0").etag
    stud.move("1.0.0", Stage.PRODUCTION, etag=stud.version("1.0.0").etag, expected="")
    error = refusal(lambda: stud.move("1.1.0", Stage.PRODUCTION, expected=""))
    assert error.reason == "PRODUCTION_CHANGED"
    assert error.metadata == {
        "model": MODEL,
        "expected": "none",
        "actual": f"{MODEL}/versions/1.0.0",
    }
    stud.move("1.1.0", Stage.PRODUCTION, expected=f"{MODEL}/versions/1.0.0")
    assert stud.production() == "1.1.0"


def test_leaving_production_takes_what_entering_takes(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.register("1.1.0")
    trainer = caller("ada", models_transition=("**",))
    stud.move("1.1.0", Stage.STAGING, by=trainer)
    error = refusal(lambda: stud.move("1.0.0", Stage.PRODUCTION, by=trainer))
    assert error.reason == "PERMISSION_MISSING"
    assert error.metadata["permission"] == "models.promote"
    stud.move("1.0.0", Stage.PRODUCTION)
    error = refusal(lambda: stud.move("1.0.0", Stage.ARCHIVED, by=trainer))
    assert error.metadata["permission"] == "models.promote"


def test_the_displaced_version_takes_permission_too(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.register("2.0.0")
    stud.move("1.0.0", Stage.PRODUCTION)
    newest_only = caller("ci", models_transition=("**",), models_promote=(f"{MODEL}/versions/2.*",))
    error = refusal(lambda: stud.move("2.0.0", Stage.PRODUCTION, by=newest_only))
    assert error.metadata["resource"] == f"{MODEL}/versions/1.0.0"
    assert stud.production() == "1.0.0"


def test_missing_permission_is_told_before_existence(stud: Stud) -> None:
    stud.create_model()
    trainer = caller("ada", models_transition=("**",))
    error = refusal(lambda: stud.move("9.9.9", Stage.PRODUCTION, by=trainer))
    assert error.reason == "PERMISSION_MISSING"


def test_refusals_are_entered_in_the_ledger(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    trainer = caller("ada", models_transition=("**",))
    change = StageChange(f"{MODEL}/versions/1.0.0", Stage.PRODUCTION, reason="please")
    error = refusal(lambda: stud.move("1.0.0", Stage.PRODUCTION, by=trainer))
    stud.write(lambda store: record_refusal(store, trainer, change, error))
    last = entries(stud)[-1]
    assert last.outcome is Outcome.REFUSED
    assert last.actor == trainer.principal
    assert "models.promote" in last.reason
    assert '"requested_because":"please"' in last.content_json
    unknown = StageChange(f"{MODEL}/versions/9.9.9", Stage.PRODUCTION)
    stud.write(lambda store: record_refusal(store, trainer, unknown, error))
    assert entries(stud)[-1] == last


def test_production_is_entered_first_only_with_the_run_held(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    error = refusal(lambda: stud.move("1.0.0", Stage.PRODUCTION, held=False))
    assert error.reason == "TRANSACTION_CONFLICT"
    stud.move("1.0.0", Stage.PRODUCTION)
    stud.move("1.0.0", Stage.ARCHIVED)
    stud.move("1.0.0", Stage.PRODUCTION, held=False)
    assert stud.production() == "1.0.0"


def test_rolling_back(stud: Stud) -> None:
    stud.create_model()
    for number in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
        stud.register(number)
    assert refusal(stud.roll_back).reason == "NOTHING_TO_ROLL_BACK"
    stud.move("1.0.0", Stage.PRODUCTION)
    assert refusal(stud.roll_back).reason == "NOTHING_TO_ROLL_BACK"
    stud.move("1.1.0", Stage.PRODUCTION)
    stud.move("1.2.0", Stage.PRODUCTION)
    back = stud.roll_back()
    assert back.version.number == "1.1.0"
    assert back.displaced is not None
    assert back.displaced.number == "1.2.0"
    assert back.transition is not None
    assert back.transition.cause is Cause.ROLLBACK
    assert stud.roll_back("1.0.0").version.number == "1.0.0"
    assert stud.roll_back("1.0.0").unchanged
    assert refusal(lambda: stud.roll_back("1.3.0")).reason == "NOTHING_TO_ROLL_BACK"
    assert refusal(lambda: stud.roll_back("7.0.0")).reason == "NOT_FOUND"
    stud.move("1.0.0", Stage.ARCHIVED)
    assert stud.production() == ""
    assert stud.roll_back().version.number == "1.0.0"


def test_what_was_in_production_cannot_be_deleted(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.move("1.0.0", Stage.PRODUCTION)
    stud.move("1.0.0", Stage.ARCHIVED)
    name = parse_version_name(f"{MODEL}/versions/1.0.0")
    error = refusal(
        lambda: stud.write(
            lambda store: delete_version(store, GRACE, name, "", validate_only=False)
        )
    )
    assert error.reason == "RESOURCE_HELD"
    assert error.metadata == {"resource": str(name), "holder": MODEL}


def test_the_database_itself_holds_one_production(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.register("1.1.0")
    stud.move("1.0.0", Stage.PRODUCTION)
    second = versions.update().where(versions.c.number == "1.1.0").values(stage=Stage.PRODUCTION)
    with pytest.raises(IntegrityError):
        stud.database.write_now(lambda connection: connection.execute(second))
    assert stud.version("1.1.0").stage is Stage.NONE


def test_a_refused_change_leaves_no_trace(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    before = entries(stud)
    change = StageChange(f"{MODEL}/versions/1.0.0", Stage.PRODUCTION)

    def fails_at_the_end(store: RegistryStore) -> None:
        change_stage(store, GRACE, change, run_is_held=True)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        stud.write(fails_at_the_end)
    assert entries(stud) == before
    assert stud.version("1.0.0").stage is Stage.NONE


def test_time_goes_on_when_the_clock_steps_back(stud: Stud) -> None:
    stud.create_model()
    stud.register("1.0.0")
    stud.register("1.1.0")
    stud.move("1.0.0", Stage.PRODUCTION)
    stud.clock.us -= 3_600_000_000  # type: ignore[attr-defined]
    stud.move("1.1.0", Stage.PRODUCTION)
    assert verify_chain(entries(stud)) is None
    times = [entry.create_us for entry in entries(stud)]
    assert times == sorted(set(times))
    assert stud.version("1.1.0").stage_us > stud.version("1.0.0").create_us


def test_the_run_of_a_version_is_kept(stud: Stud) -> None:
    stud.create_model()
    assert stud.register("1.0.0").source_run == RUN
    count = stud.database.read_now(
        lambda connection: connection.execute(sa.text("SELECT count(*) FROM stays")).scalar_one()
    )
    assert count == 1
