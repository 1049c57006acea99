"""Tokens that are good for one use, and were used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "spent_tokens",
        sa.Column("issuer", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("expire_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "digest"),
    )
    op.create_index("spent_tokens_by_expiry", "spent_tokens", ["expire_us"])
