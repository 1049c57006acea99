"""What versions came of, as rows that an index finds: the lineage itself is kept whole.

Written when a version is registered, from the lineage, and never changed.
"""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.tables import KEY, metadata

# The datasets that the training of a version used, in the order of its lineage.
version_datasets = sa.Table(
    "version_datasets",
    metadata,
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("dataset", KEY, nullable=False),
    sa.Column("role", KEY, nullable=False),
    sa.Column("digest", KEY, nullable=False),
    sa.Index("version_datasets_by_dataset", "dataset"),
    sa.Index("version_datasets_by_digest", "digest"),
)

# What the training of a version began from: a version of the registry, or a base from elsewhere.
version_parents = sa.Table(
    "version_parents",
    metadata,
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("parent_uid", KEY, sa.ForeignKey("versions.uid")),
    sa.Column("parent", KEY, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("digest", KEY, nullable=False),
    sa.CheckConstraint("(parent = '') = (parent_uid IS NULL)", name="parent_versions_have_uids"),
    sa.Index("version_parents_by_parent", "parent_uid"),
    sa.Index("version_parents_by_digest", "digest"),
)
