"""What the provider knows a login by, so that it can end the session; its orders to do so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    # Of sessions that there are already it is not known; they end as before.
    for name in ("login_subject", "provider_session"):
        op.add_column("web_sessions", sa.Column(name, KEY, nullable=False, server_default=""))
    op.create_index("web_sessions_by_login", "web_sessions", ["issuer", "login_subject"])
    op.create_index("web_sessions_by_provider", "web_sessions", ["issuer", "provider_session"])
    op.create_table(
        "web_logouts",
        sa.Column("digest", KEY, primary_key=True),
        sa.Column("until_s", sa.BigInteger(), nullable=False),
    )
