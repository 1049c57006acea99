"""Promotion policies, and the mark of transitions that passed them by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_policies()
    op.add_column(
        "stays",
        sa.Column("broke_glass", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def _create_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("workspace", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("content_json", sa.Text(), nullable=False),
        sa.Column("update_us", sa.BigInteger(), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["position"], ["actors.position"]),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("name", "revision", name="one_policy_per_revision"),
    )
    for name, columns, unique in (
        ("one_revision_in_force_per_policy", ["name"], True),
        ("policies_in_force", ["workspace", "name"], False),
    ):
        op.create_index(
            name,
            "policies",
            columns,
            unique=unique,
            sqlite_where=sa.text("in_force"),
            postgresql_where=sa.text("in_force"),
        )
