"""A registry with a long ledger, written straight into its tables.

The entries are sealed by the registry's own function; what the tables must hold, its replay says.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from registry_service.file_selection import digest_files
from registry_service.ledger import (
    REGISTRY,
    SALT_BYTES,
    START,
    Draft,
    Head,
    link_of,
    seal,
)
from registry_service.ledger_replay import Replay
from registry_service.records import File
from registry_service.store.ledger_store import actor_row, entry_row
from registry_service.tables import (
    actors,
    ledger,
    ledger_head,
    metadata,
    model_tags,
    models,
    version_files,
    version_lineages,
    version_tags,
    versions,
)
from service_chassis.caller import Principal
from service_chassis.database import Database
from studbook.registry.v1.lineage_pb2 import Lineage, LineageMetric, LineageRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from registry_service.canonical_json import JsonObject
    from registry_service.ledger import Entry
    from registry_service.ledger_replay import Changed

_PORTION = 10_000
_START_US = 1_770_000_000_000_000
_VERSIONS_OF_A_MODEL = 100
# As many entries as a token lasts for.
_ENTRIES_OF_A_TOKEN = 20
_LINEAGE = Lineage(
    run=LineageRun(
        name="workspaces/main/experiments/e/runs/r",
        metrics=[LineageMetric(key=f"metric{number}", last=number) for number in range(20)],
    )
).SerializeToString(deterministic=True)
_LINEAGE_DIGEST = hashlib.sha256(_LINEAGE).hexdigest()
_FILE = File("model.joblib", "f" * 64, 1_000_000, "application/octet-stream")
_DIGEST = digest_files((_FILE,))
_RULES: list[JsonObject] = [
    {
        "policy": "workspaces/main/policies/production",
        "rule": f"gates/gate{number}",
        "outcome": "PASS",
        "mode": "ENFORCE",
        "figures": {"candidate.metrics.accuracy.last": "0.97"},
        "message": "the accuracy is no worse than that of the version in Production",
    }
    for number in range(5)
]
_TAGS = {"team": "vision", "ticket": "ML-1234"}


def fill(url: str, entries: int) -> None:
    """Write a sound registry with so many entries into a new database.

    Args:
        url: An SQLite database.
        entries: How many entries.
    """
    database = Database(url, "registry_service")
    database.migrate()
    database.close()
    # Rows come before those that they refer to.
    engine = sa.create_engine(url)
    replay = Replay()
    drafts = itertools.islice(_drafts(), entries)
    head = START
    while portion := list(itertools.islice(drafts, _PORTION)):
        sealed = list(_sealed(head, portion))
        for entry in sealed:
            replay.follow(link_of(entry))
        head = Head(sealed[-1].position, sealed[-1].hash, sealed[-1].create_us)
        with engine.begin() as connection:
            _write_entries(connection, sealed, head)
            _write_changed(connection, replay.changed)
        replay.changed = type(replay.changed)()
    with engine.begin() as connection:
        _write_present(connection, replay)
    engine.dispose()


def _sealed(head: Head, drafts: Sequence[Draft]) -> Iterator[Entry]:
    for draft in drafts:
        now_us = max(_START_US, head.settled_us + 1_000_000)
        entry = seal(head, draft, now_us, secrets.token_bytes(SALT_BYTES))
        head = Head(entry.position, entry.hash, entry.create_us)
        yield entry


def _drafts() -> Iterator[Draft]:
    """What is done to model after model, nine entries a version."""
    count = itertools.count()

    def draft(action: str, resource: str, content: JsonObject) -> Draft:
        person = Principal(
            id="user:https://login.example:ada",
            kind="user",
            display_name="Ada",
            issuer="https://login.example",
            subject="ada",
            token_id=f"token-{next(count) // _ENTRIES_OF_A_TOKEN}",
        )
        return Draft(person, action, resource, content, "because it is better")

    for number in itertools.count():
        model = f"workspaces/main/models/model-{number:05}"
        after: JsonObject = {"description": "which", "tags": _TAGS, "protected_aliases": []}
        yield draft("model.create", model, {"model_uid": _uid(model), "after": after})
        present = ""
        for minor in range(_VERSIONS_OF_A_MODEL):
            version = f"{model}/versions/1.{minor}.0"
            # The first stay of a version has no reason.
            yield replace(draft("version.create", version, _registration(version)), reason="")
            verified = _change(version, {"state": "PENDING"}, {"state": "READY"})
            yield Draft(REGISTRY, "version.verify", version, verified)
            moves = [(version, "NONE", "STAGING"), (version, "STAGING", "NONE")]
            moves += [(version, "NONE", "STAGING")]
            moves += [(present, "PRODUCTION", "ARCHIVED")] if present else []
            moves += [(version, "STAGING", "PRODUCTION")]
            moves += [(present, "ARCHIVED", "STAGING")] if present else []
            moves += [(present, "STAGING", "ARCHIVED")] if present else []
            for moved, before, to in moves:
                yield draft("version.transition", moved, _move(moved, before, to))
            present = version


def _uid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _change(version: str, before: JsonObject, after: JsonObject) -> JsonObject:
    return {"version_uid": _uid(version), "before": before, "after": after}


def _move(version: str, before: str, to: str) -> JsonObject:
    return {
        **_change(version, {"stage": before}, {"stage": to}),
        "version_digest": f"sha256:{_DIGEST}",
        "cause": "REQUESTED",
        "displaced": None,
        "broke_glass": False,
        "policies": [],
        "rules": _RULES if to == "PRODUCTION" else [],
    }


def _registration(version: str) -> JsonObject:
    return {
        "version_uid": _uid(version),
        "after": {
            "state": "PENDING",
            "stage": "NONE",
            "source_run": "workspaces/main/experiments/e/runs/r",
            "digest": f"sha256:{_DIGEST}",
            "lineage_digest": f"sha256:{_LINEAGE_DIGEST}",
            "parents": [],
            "files": [
                {
                    "path": _FILE.path,
                    "digest": f"sha256:{_FILE.digest}",
                    "size_bytes": _FILE.size_bytes,
                    "media_type": _FILE.media_type,
                }
            ],
            "description": "deeper than the one before",
            "tags": _TAGS,
        },
    }


def _write_entries(connection: sa.Connection, entries: Sequence[Entry], head: Head) -> None:
    connection.execute(ledger.insert(), list(map(entry_row, entries)))
    connection.execute(actors.insert(), list(map(actor_row, entries)))
    connection.execute(
        ledger_head.update().values(
            position=head.position, hash=head.hash, settled_us=head.settled_us
        )
    )


def _write_changed(connection: sa.Connection, changed: Changed) -> None:
    """Write the rows that will not change any more."""
    for name in {table for table, _ in changed.settled}:
        rows = [row for table, row in changed.settled if table == name]
        connection.execute(metadata.tables[name].insert(), rows)
    uids = [one.version_uid for one in changed.contents]
    lineage = {"lineage": _LINEAGE, "digest": _LINEAGE_DIGEST}
    files = [
        {"version_uid": one.version_uid, **file} for one in changed.contents for file in one.files
    ]
    if uids:
        connection.execute(version_files.insert(), files)
        connection.execute(
            version_lineages.insert(), [{"version_uid": uid, **lineage} for uid in uids]
        )


def _write_present(connection: sa.Connection, replay: Replay) -> None:
    """Write what can still change."""
    connection.execute(models.insert(), list(replay.models.values()))
    connection.execute(versions.insert(), list(replay.versions.values()))
    for name, row in replay.open_rows():
        connection.execute(metadata.tables[name].insert(), row)
    for table, owner, owners in (
        (model_tags, "model_uid", replay.models),
        (version_tags, "version_uid", {row["uid"] for row in replay.versions.values()}),
    ):
        rows = [
            {owner: uid, "key": key, "value": value}
            for uid in owners
            for key, value in replay.tags[uid].items()
        ]
        connection.execute(table.insert(), rows)
