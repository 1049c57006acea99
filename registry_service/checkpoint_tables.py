"""Tables of the ledger's identity and of its checkpoints."""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.tables import KEY, metadata

# Which ledger this is, in one row, written when the tables are made.
ledger_identity = sa.Table(
    "ledger_identity",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ledger", KEY, nullable=False),
    sa.CheckConstraint("id = 1", name="ledger_has_one_identity"),
)

# Without a reference to the ledger: they are to remain when somebody cuts its end off.
checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("create_us", sa.BigInteger, nullable=False),
    sa.Column("key_id", KEY, nullable=False),
    sa.Column("envelope", sa.LargeBinary, nullable=False),
)
