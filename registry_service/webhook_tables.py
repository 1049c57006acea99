"""Tables of webhooks and what was delivered to them."""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.tables import KEY, metadata

# Secrets are not kept; they follow from the service's key, the uid and their number.
webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("uid", KEY, primary_key=True),
    sa.Column("workspace", KEY, nullable=False),
    sa.Column("name", KEY, nullable=False, unique=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("models", KEY, nullable=False),
    sa.Column("events_json", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("state_reason", sa.Text, nullable=False),
    sa.Column("secrets_json", sa.Text, nullable=False),
    sa.Column("create_position", sa.BigInteger, sa.ForeignKey("actors.position"), nullable=False),
    sa.Column("create_us", sa.BigInteger, nullable=False),
    sa.Column("update_us", sa.BigInteger, nullable=False),
    sa.Column("change_position", sa.BigInteger, nullable=False),
    sa.Column("told_position", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failing_since_us", sa.BigInteger),
    sa.Column("next_attempt_us", sa.BigInteger, nullable=False),
    # One process at a time delivers.
    sa.Column("lease_owner", KEY, nullable=False),
    sa.Column("lease_until_us", sa.BigInteger, nullable=False),
    sa.CheckConstraint("state BETWEEN 1 AND 2", name="webhook_state_is_known"),
    sa.Index("webhooks_by_workspace", "workspace", "name"),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("webhook_uid", KEY, sa.ForeignKey("webhooks.uid"), primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event", KEY, nullable=False),
    sa.Column("resource", KEY, nullable=False),
    sa.Column("delivered", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("start_us", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("http_status", sa.Integer, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("next_attempt_us", sa.BigInteger),
)
