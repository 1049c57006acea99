"""Requests for transitions and their reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_transition_requests()
    _create_transition_reviews()


def _create_transition_requests() -> None:
    op.create_table(
        "transition_requests",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model_uid", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.Column("ending", sa.SmallInteger()),
        sa.Column("end_us", sa.BigInteger()),
        sa.Column("end_position", sa.BigInteger()),
        sa.ForeignKeyConstraint(["position"], ["actors.position"]),
        sa.ForeignKeyConstraint(["model_uid"], ["models.uid"]),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index(
        "one_open_request_per_version",
        "transition_requests",
        ["version_uid"],
        unique=True,
        sqlite_where=sa.text("end_us IS NULL"),
        postgresql_where=sa.text("end_us IS NULL"),
    )
    op.create_index(
        "transition_requests_by_model", "transition_requests", ["model_uid", "create_us"]
    )


def _create_transition_reviews() -> None:
    op.create_table(
        "transition_reviews",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.SmallInteger(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("reviewed_digest", KEY, nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["position"], ["actors.position"]),
        sa.ForeignKeyConstraint(["request"], ["transition_requests.position"]),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("transition_reviews_by_request", "transition_reviews", ["request", "position"])
