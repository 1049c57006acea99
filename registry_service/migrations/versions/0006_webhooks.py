"""Webhooks and what was delivered to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_webhooks()
    _create_webhook_deliveries()


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("uid", KEY, nullable=False),
        sa.Column("workspace", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("models", KEY, nullable=False),
        sa.Column("events_json", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("secrets_json", sa.Text(), nullable=False),
        sa.Column("create_position", sa.BigInteger(), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.Column("update_us", sa.BigInteger(), nullable=False),
        sa.Column("change_position", sa.BigInteger(), nullable=False),
        sa.Column("told_position", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since_us", sa.BigInteger()),
        sa.Column("next_attempt_us", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", KEY, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state BETWEEN 1 AND 2", name="webhook_state_is_known"),
        sa.ForeignKeyConstraint(["create_position"], ["actors.position"]),
        sa.PrimaryKeyConstraint("uid"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("webhooks_by_workspace", "webhooks", ["workspace", "name"])


def _create_webhook_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_uid", KEY, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("next_attempt_us", sa.BigInteger()),
        sa.ForeignKeyConstraint(["webhook_uid"], ["webhooks.uid"]),
        sa.PrimaryKeyConstraint("webhook_uid", "position"),
    )
