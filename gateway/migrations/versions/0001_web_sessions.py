"""Sessions of people who logged in in a browser."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "web_sessions",
        sa.Column("digest", KEY, primary_key=True),
        sa.Column("login_digest", KEY, nullable=False, unique=True),
        sa.Column("principal", KEY, nullable=False),
        sa.Column("provider", KEY, nullable=False),
        sa.Column("issuer", KEY, nullable=False),
        sa.Column("subject", KEY, nullable=False),
        sa.Column("device", KEY, nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.Column("seen_s", sa.BigInteger(), nullable=False),
        sa.Column("ends_s", sa.BigInteger(), nullable=False),
        sa.Column("token_ends_s", sa.BigInteger(), nullable=False),
        sa.Column("claimed_s", sa.BigInteger(), nullable=False),
        sa.Column("sealed_tokens", KEY, nullable=False),
    )
    op.create_index("web_sessions_by_principal", "web_sessions", ["principal"])
    op.create_index("web_sessions_by_end", "web_sessions", ["ends_s"])
