"""Versions from before their datasets were rows are found by them all the same."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from alembic.migration import MigrationContext
from alembic.operations import Operations

from registry_service.lineage_tables import version_datasets, version_parents
from registry_service.store.lineage_store import Origin
from registry_service.tables import version_lineages
from studbook.registry.v1.lineage_pb2 import Lineage, LineageDataset

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tests.store.registry.seeding import Stud

DATASET = "workspaces/main/datasets/sensors/versions/1"
VERSIONS = 3


def test_stored_lineages_are_taken_apart(stud: Stud) -> None:
    stud.create_model()
    uids = [stud.register(f"{number}.0.0").uid for number in range(VERSIONS)]
    lineage = Lineage(
        datasets=[
            LineageDataset(name=DATASET, role=role, digest=f"sha256:{'d' * 64}")
            for role in ("training", "validation")
        ]
    )

    def make_older(connection: sa.Connection) -> None:
        connection.execute(
            version_lineages.update()
            .where(version_lineages.c.version_uid.in_(uids[:2]))
            .values(lineage=lineage.SerializeToString())
        )
        connection.execute(
            version_lineages.update()
            .where(version_lineages.c.version_uid == uids[2])
            .values(lineage=b"")
        )
        version_parents.drop(connection)
        version_datasets.drop(connection)

    def migrate(connection: sa.Connection) -> None:
        migration = import_module("registry_service.migrations.versions.0007_certificates")
        with Operations.context(MigrationContext.configure(connection)):
            migration.upgrade()

    stud.database.write_now(make_older)
    stud.database.write_now(migrate)
    found = stud.read(lambda store: store.lineages.datasets(Origin(dataset=DATASET), uids))
    assert {uid: [(used.role, used.digest) for used in uses] for uid, uses in found.items()} == {
        uid: [("training", "d" * 64), ("validation", "d" * 64)] for uid in uids[:2]
    }
