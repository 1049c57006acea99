"""Tables of aliases: what they name and named, and which of them are protected."""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.tables import KEY, entry_position, metadata

# Which version an alias named, from start_us up to but not including end_us. Who made it so stands
# in `actors`, at the position of the ledger entry. Nothing is ever removed.
alias_stays = sa.Table(
    "alias_stays",
    metadata,
    entry_position(),
    sa.Column("model_uid", KEY, sa.ForeignKey("models.uid"), nullable=False),
    sa.Column("model", KEY, nullable=False),
    sa.Column("alias", KEY, nullable=False),
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), nullable=False),
    sa.Column("version", KEY, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("start_us", sa.BigInteger, nullable=False),
    sa.Column("end_us", sa.BigInteger),
    sa.CheckConstraint("end_us IS NULL OR end_us > start_us", name="alias_stays_last"),
    sa.Index(
        "one_version_per_alias",
        "model_uid",
        "alias",
        unique=True,
        sqlite_where=sa.text("end_us IS NULL"),
        postgresql_where=sa.text("end_us IS NULL"),
    ),
    sa.Index("alias_stays_by_alias", "model_uid", "alias", "start_us"),
    sa.Index(
        "aliases_of_versions",
        "version_uid",
        "alias",
        sqlite_where=sa.text("end_us IS NULL"),
        postgresql_where=sa.text("end_us IS NULL"),
    ),
)

protected_aliases = sa.Table(
    "protected_aliases",
    metadata,
    sa.Column("model_uid", KEY, sa.ForeignKey("models.uid"), primary_key=True),
    sa.Column("alias", KEY, primary_key=True),
)
