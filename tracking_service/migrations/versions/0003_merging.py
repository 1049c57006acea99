"""Which series have small chunks to merge."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "metric_series", sa.Column("unmerged", sa.Integer(), nullable=False, server_default="0")
    )
    op.execute("UPDATE metric_series SET unmerged = chunks")
    many = sa.text("unmerged >= 16")
    op.create_index(
        "ix_metric_series_unmerged",
        "metric_series",
        ["id"],
        sqlite_where=many,
        postgresql_where=many,
    )


def downgrade() -> None:
    op.drop_index("ix_metric_series_unmerged", "metric_series")
    op.drop_column("metric_series", "unmerged")
