"""What an administrator does to the database by hand is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from registry_service.store import RegistryStore
from registry_service.tables import metadata
from tests.store.registry.full_registry import audit, audit_in, checkpoint, erase, fill, spend
from tests.store.registry.seeding import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_service.table_comparison import Finding
    from tests.store.registry.seeding import Stud

# Whole tables that are not in the ledger, and why. docs/security.md says what covers them.
NOT_IN_THE_LEDGER = {
    "answered_requests": "an answer proves nothing; what was done, the ledger says",
}
# Rows that come and go without an entry, and so can be removed unseen.
REMOVED_AS_TIME_GOES_BY = {
    "checkpoints": "who needs one keeps it elsewhere",
    "loaded_versions": "the word of a program, kept for some days",
    "webhook_deliveries": "the latest are kept",
}
_REPORT = "what a program says of itself; nothing rests on it"
_TELLING = "how telling goes, which is no change of the registry"
NOR_THESE_COLUMNS = {
    **{
        ("loaded_versions", column): _REPORT
        for column in ("reporter", "instance", "digest", "load_us", "report_us", "reporter_json")
    },
    **{
        ("webhook_deliveries", column): _TELLING
        for column in (
            "event",
            "delivered",
            "attempts",
            "start_us",
            "duration_ms",
            "http_status",
            "error",
            "next_attempt_us",
        )
    },
    **{
        ("webhooks", column): _TELLING
        for column in (
            "failures",
            "failing_since_us",
            "next_attempt_us",
            "lease_owner",
            "lease_until_us",
        )
    },
    ("ledger_head", "id"): "there is one row, which a constraint holds",
    ("ledger_identity", "id"): "there is one row, which a constraint holds",
}
# What counts up by itself: it is found where it cannot have come to.
COUNTING = {("ledger_head", "settled_us"), ("webhooks", "told_position")}
TABLES = sorted(set(metadata.tables) - set(NOT_IN_THE_LEDGER))


class Vandal:
    """Whoever has the database's password: changes rows, with all constraints put aside."""

    def __init__(self, stud: Stud) -> None:
        self._stud = stud
        self._engine = stud.database.engine

    def harm(self, *statements: sa.Executable) -> list[Finding]:
        """What is found after some statements; they are undone. Refused ones harm nothing."""
        with self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                raw: Any = connection.connection.dbapi_connection
                raw.execute("PRAGMA foreign_keys = OFF")
            with connection.execution_options(studbook_write=True).begin() as transaction:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET session_replication_role = replica")
                for statement in statements:
                    connection.execute(statement)
                found = audit_in(RegistryStore(connection, self._stud.clock))
                transaction.rollback()
            if connection.dialect.name == "sqlite":
                raw.execute("PRAGMA foreign_keys = ON")
            else:
                connection.exec_driver_sql("SET session_replication_role = DEFAULT")
                connection.rollback()
        return found

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        return self._stud.database.read_now(
            lambda connection: [
                dict(row) for row in connection.execute(sa.select(table)).mappings()
            ]
        )


def other_values(value: object) -> Iterator[object]:
    """Values of the same kind that are not this one; some may be refused by a constraint."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, value - 1, value + 2, value - 2, value + 10**6)
        case str():
            yield from (value + "x", "x")
        case bytes():
            yield from (bytes([value[0] ^ 1]) + value[1:] if value else b"x", b"")
        case None:
            yield from (1, "x", 10**16)


def row_is(table: sa.Table, row: dict[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == row[column.name] for column in table.primary_key.columns))


@pytest.fixture
def vandal(stud: Stud) -> Vandal:
    fill(stud)
    erase(stud)
    erase(stud, "user:demo:bo")
    checkpoint(stud)
    assert audit(stud) == []
    return Vandal(stud)


@pytest.mark.parametrize("name", TABLES)
def test_every_column_that_is_altered_is_found(vandal: Vandal, name: str) -> None:
    table = metadata.tables[name]
    rows = vandal.rows(table)
    assert rows, "a table without rows proves nothing"
    for column in table.columns:
        if (name, column.name) in {*NOR_THESE_COLUMNS, *COUNTING}:
            continue
        altered = False
        for row in (rows[0], rows[len(rows) // 2], rows[-1]):
            found = None
            for value in other_values(row[column.name]):
                alter = table.update().where(row_is(table, row)).values({column.name: value})
                try:
                    found = vandal.harm(alter)
                except sa.exc.DBAPIError:
                    continue
                break
            assert found != [], f"{name}.{column.name} of {row} altered to {value!r} is not found"
            altered = altered or found is not None
        assert altered, f"{name}.{column.name}: every other value was refused"


@pytest.mark.parametrize("name", sorted(set(TABLES) - set(REMOVED_AS_TIME_GOES_BY)))
def test_every_row_that_is_removed_is_found(vandal: Vandal, name: str) -> None:
    table = metadata.tables[name]
    for row in vandal.rows(table):
        if name == "ledger_head":
            with pytest.raises(sa.exc.NoResultFound):
                vandal.harm(table.delete().where(row_is(table, row)))
            continue
        assert vandal.harm(table.delete().where(row_is(table, row))), f"{row} of {name} was removed"


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"checkpoints"}))
def test_every_row_that_is_added_is_found(vandal: Vandal, name: str) -> None:
    table = metadata.tables[name]
    found, refusals = None, []
    for row in vandal.rows(table):
        added = dict(row)
        for column in table.columns:
            if column.primary_key or column.unique or column.name in {"name", "start_us"}:
                added[column.name] = _fresh(row[column.name])
        if added.get("end_us") is not None and "start_us" in added:
            added["end_us"] = added["start_us"] + 1
        try:
            found = vandal.harm(table.insert().values(added))
        except sa.exc.DBAPIError as refusal:
            refusals.append(refusal)
            continue
        break
    if name in {"ledger_head", "ledger_identity"}:
        assert found is None  # a constraint allows one row
        return
    assert found, refusals


def _fresh(value: Any) -> Any:
    if isinstance(value, int):
        return value + 10**6
    return value + b"x" if isinstance(value, bytes) else f"{value}x"


def test_time_that_is_moved_back_is_found(vandal: Vandal) -> None:
    head = metadata.tables["ledger_head"]
    settled = vandal.rows(head)[0]["settled_us"]
    (finding,) = vandal.harm(head.update().values(settled_us=settled - 1))
    assert finding.place == "ledger_head"


def test_time_that_is_moved_ahead_is_found(vandal: Vandal) -> None:
    head = metadata.tables["ledger_head"]
    an_hour_on = vandal.rows(head)[0]["settled_us"] + 3600 * 1_000_000
    (finding,) = vandal.harm(head.update().values(settled_us=an_hour_on))
    assert (finding.place, "in the future" in finding.problem) == ("ledger_head", True)


def test_time_that_was_read_is_no_finding(stud: Stud) -> None:
    fill(stud)
    stud.write(lambda store: store.ledger.settle(store.now_us()))
    assert audit(stud) == []


def test_webhook_that_is_made_to_skip_what_is_to_come_is_found(vandal: Vandal) -> None:
    webhooks = metadata.tables["webhooks"]
    (row,) = vandal.rows(webhooks)
    (head,) = vandal.rows(metadata.tables["ledger_head"])
    for told in (head["position"] + 1, row["create_position"] - 1):
        (finding,) = vandal.harm(webhooks.update().values(told_position=told))
        assert (finding.place, finding.subject) == ("webhooks", row["name"])


def test_first_entry_that_does_not_fit_is_named(vandal: Vandal) -> None:
    ledger = metadata.tables["ledger"]
    alter = ledger.update().where(ledger.c.position.in_([4, 7])).values(reason="another")
    assert [finding.position for finding in vandal.harm(alter)] == [4]
    stays = metadata.tables["stays"]
    rows = sorted(vandal.rows(stays), key=lambda row: row["position"])
    alter = stays.update().where(stays.c.position == rows[2]["position"]).values(reason="another")
    (finding,) = vandal.harm(alter)
    assert (finding.position, finding.place) == (rows[2]["position"], "stays")
    assert "reason" in finding.problem


def test_end_that_is_cut_off_is_found_by_a_checkpoint(stud: Stud) -> None:
    fill(stud)
    before = stud.read(lambda store: store.ledger.head())
    stud.create_model("workspaces/main/models/late")
    kept = checkpoint(stud)
    cut = stud.read(lambda store: store.ledger.head()).position
    assert cut == before.position + 1

    def cut_off(connection: sa.Connection) -> None:
        tables = metadata.tables
        name = "workspaces/main/models/late"
        models = tables["models"]
        connection.execute(models.delete().where(models.c.name == name))
        for table in ("actors", "ledger", "checkpoints"):
            gone = tables[table].c.position > before.position
            connection.execute(tables[table].delete().where(gone))
        connection.execute(
            tables["ledger_head"]
            .update()
            .values(position=before.position, hash=before.hash, settled_us=before.settled_us)
        )

    stud.database.write_now(cut_off)
    assert audit(stud) == []  # nothing in the database gives it away
    (finding,) = audit(stud, [kept])
    assert (finding.position, finding.place) == (cut, "ledger")


def test_ledger_of_another_identity_is_found_by_a_checkpoint(vandal: Vandal) -> None:
    identity = metadata.tables["ledger_identity"]
    (finding,) = vandal.harm(identity.update().values(ledger="another"))
    assert finding.place == "checkpoints"


def test_actor_that_is_made_to_look_erased_is_found(vandal: Vandal) -> None:
    actors = metadata.tables["actors"]
    erased = next(row for row in vandal.rows(actors) if row["erased_by"] is None)
    looks = {
        "actor": "erased",
        "salt": b"",
        "principal_json": (
            '{"display_name":"","id":"erased","issuer":"","kind":"","pipeline_claims":{},'
            '"subject":"","token_id":""}'
        ),
    }
    for erased_by in (None, 10**6, erased["position"] + 1, len(vandal.rows(actors))):
        alter = actors.update().where(actors.c.position == erased["position"])
        assert vandal.harm(alter.values(**looks, erased_by=erased_by)), erased_by


def test_token_that_could_be_exchanged_again_is_found(stud: Stud) -> None:
    """Before it is, by the row that is missing; after that by the ledger, for ever."""
    fill(stud)
    spend(stud, "f" * 64)
    spent = metadata.tables["spent_tokens"]
    remove = spent.delete().where(spent.c.digest == "f" * 64)
    stud.database.write_now(lambda connection: connection.execute(remove))
    first = stud.read(lambda store: store.ledger.head()).position
    (finding,) = audit(stud)
    assert (finding.position, finding.place, finding.subject) == (first, "spent_tokens", "f" * 64)

    spend(stud, "f" * 64)
    stud.create_model("workspaces/main/models/meanwhile")
    stud.clock = Clock(stud.clock() + 10**12)
    spend(stud, "e" * 64)
    (finding,) = audit(stud)
    assert (finding.position, finding.place) == (first + 1, "ledger")
    assert f"entry {first} had exchanged" in finding.problem


def test_tokens_that_nobody_takes_any_more_are_missed_by_nobody(stud: Stud) -> None:
    fill(stud)
    assert audit(stud) == []
    start = stud.clock()
    # When it has expired but for the clocks of others, when its row may go, and when it has gone.
    for later_us in (3700 * 10**6, 2 * 3600 * 10**6, 10**12):
        stud.clock = Clock(start + later_us)
        assert audit(stud) == []
        spend(stud, f"{later_us:064d}")
        assert audit(stud) == []
    rows = stud.database.read_now(
        lambda connection: connection.execute(sa.select(metadata.tables["spent_tokens"])).all()
    )
    assert len(rows) == 1
