"""How much the parameters of each run take."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "runs", sa.Column("param_bytes", sa.BigInteger(), nullable=False, server_default="0")
    )
    # Characters, as not every SQLite can count bytes; of older runs it is not known better.
    op.execute(
        "UPDATE runs SET param_bytes = coalesce("
        "(SELECT sum(length(key) + length(text_value)) FROM params WHERE run = runs.id), 0)"
    )


def downgrade() -> None:
    op.drop_column("runs", "param_bytes")
