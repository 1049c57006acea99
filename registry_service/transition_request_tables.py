"""Tables of requests for transitions and of the reviews they got.

Who asked and who reviewed stands in `actors`, at the position of the ledger entry.
"""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.tables import KEY, entry_position, metadata

transition_requests = sa.Table(
    "transition_requests",
    metadata,
    entry_position(),
    sa.Column("model_uid", KEY, sa.ForeignKey("models.uid"), nullable=False),
    sa.Column("model", KEY, nullable=False),
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), nullable=False),
    sa.Column("version", KEY, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("create_us", sa.BigInteger, nullable=False),
    # How it ended, when, and by which ledger entry; NULL while it is open.
    sa.Column("ending", sa.SmallInteger),
    sa.Column("end_us", sa.BigInteger),
    sa.Column("end_position", sa.BigInteger),
    sa.Index(
        "one_open_request_per_version",
        "version_uid",
        unique=True,
        sqlite_where=sa.text("end_us IS NULL"),
        postgresql_where=sa.text("end_us IS NULL"),
    ),
    sa.Index("transition_requests_by_model", "model_uid", "create_us"),
)

transition_reviews = sa.Table(
    "transition_reviews",
    metadata,
    entry_position(),
    sa.Column(
        "request", sa.BigInteger, sa.ForeignKey("transition_requests.position"), nullable=False
    ),
    sa.Column("decision", sa.SmallInteger, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("reviewed_digest", KEY, nullable=False),
    # Those of the reviewer's groups that a policy asked for, as a JSON array.
    sa.Column("groups", sa.Text, nullable=False),
    sa.Column("create_us", sa.BigInteger, nullable=False),
    sa.Index("transition_reviews_by_request", "request", "position"),
)
