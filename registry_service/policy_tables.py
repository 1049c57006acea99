"""The table of promotion policies, one row for each revision; nothing is ever removed."""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.tables import KEY, entry_position, metadata

policies = sa.Table(
    "policies",
    metadata,
    # Of the ledger entry that set the revision; who did it stands in `actors` there.
    entry_position(),
    sa.Column("workspace", KEY, nullable=False),
    sa.Column("name", KEY, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("digest", KEY, nullable=False),
    # What was set, as canonical JSON, over which the digest is.
    sa.Column("content_json", sa.Text, nullable=False),
    sa.Column("update_us", sa.BigInteger, nullable=False),
    # Whether this revision is in force: the latest of a policy that is not deleted.
    sa.Column("in_force", sa.Boolean, nullable=False),
    sa.UniqueConstraint("name", "revision", name="one_policy_per_revision"),
    sa.Index(
        "one_revision_in_force_per_policy",
        "name",
        unique=True,
        sqlite_where=sa.text("in_force"),
        postgresql_where=sa.text("in_force"),
    ),
    sa.Index(
        "policies_in_force",
        "workspace",
        "name",
        sqlite_where=sa.text("in_force"),
        postgresql_where=sa.text("in_force"),
    ),
)
