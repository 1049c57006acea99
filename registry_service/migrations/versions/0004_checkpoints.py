"""Signed checkpoints of the ledger, its identity, and who was erased from it."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "ledger_identity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ledger", KEY, nullable=False),
        sa.CheckConstraint("id = 1", name="ledger_has_one_identity"),
        sa.PrimaryKeyConstraint("id"),
    )
    identity = sa.table("ledger_identity", sa.column("id"), sa.column("ledger"))
    op.execute(sa.insert(identity).values(id=1, ledger=str(uuid.uuid4())))
    op.create_table(
        "checkpoints",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.Column("key_id", KEY, nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.add_column("actors", sa.Column("erased_by", sa.BigInteger()))
