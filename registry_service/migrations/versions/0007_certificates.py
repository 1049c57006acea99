"""What versions came of, as rows that an index finds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studbook.registry.v1 import lineage_pb2

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_AT_ONCE = 500


def upgrade() -> None:
    _create_version_datasets()
    _create_version_parents()
    _fill_version_datasets()


def _create_version_datasets() -> None:
    op.create_table(
        "version_datasets",
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("dataset", KEY, nullable=False),
        sa.Column("role", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("version_uid", "place"),
    )
    op.create_index("version_datasets_by_dataset", "version_datasets", ["dataset"])
    op.create_index("version_datasets_by_digest", "version_datasets", ["digest"])


def _create_version_parents() -> None:
    op.create_table(
        "version_parents",
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parent_uid", KEY),
        sa.Column("parent", KEY, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.CheckConstraint(
            "(parent = '') = (parent_uid IS NULL)", name="parent_versions_have_uids"
        ),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.ForeignKeyConstraint(["parent_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("version_uid", "place"),
    )
    op.create_index("version_parents_by_parent", "version_parents", ["parent_uid"])
    op.create_index("version_parents_by_digest", "version_parents", ["digest"])


def _fill_version_datasets() -> None:
    """Of the versions that are there already; none of them has a parent."""
    lineages = sa.table("version_lineages", sa.column("version_uid"), sa.column("lineage"))
    datasets = sa.table(
        "version_datasets",
        *map(sa.column, ("version_uid", "place", "dataset", "role", "digest")),
    )
    connection = op.get_bind()
    found = connection.execute(sa.select(lineages.c.version_uid, lineages.c.lineage)).yield_per(
        _AT_ONCE
    )
    for portion in found.partitions():
        rows = [
            {
                "version_uid": row.version_uid,
                "place": place,
                "dataset": dataset.name,
                "role": dataset.role,
                "digest": dataset.digest.removeprefix("sha256:"),
            }
            for row in portion
            for place, dataset in enumerate(lineage_pb2.Lineage.FromString(row.lineage).datasets)
        ]
        if rows:
            connection.execute(datasets.insert(), rows)
