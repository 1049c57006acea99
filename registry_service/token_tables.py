"""The table of tokens that are good for one use."""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.tables import KEY, metadata

# Tokens that were used, until nobody would take them anyway. The ledger keeps an entry of each.
spent_tokens = sa.Table(
    "spent_tokens",
    metadata,
    sa.Column("issuer", KEY, primary_key=True),
    # SHA-256 of what tells the token from all others of its issuer.
    sa.Column("digest", KEY, primary_key=True),
    sa.Column("expire_us", sa.BigInteger, nullable=False),
    sa.Index("spent_tokens_by_expiry", "expire_us"),
)
