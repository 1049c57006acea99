"""Aliases of versions, what was really loaded, and an index for long histories."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NAMES_NOW = sa.text("end_us IS NULL")


def upgrade() -> None:
    _create_alias_stays()
    _create_protected_aliases()
    _create_loaded_versions()
    op.create_index("stays_by_time", "stays", ["model_uid", "start_us", "position"])


def _create_alias_stays() -> None:
    op.create_table(
        "alias_stays",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model_uid", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("alias", KEY, nullable=False),
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("end_us", sa.BigInteger()),
        sa.CheckConstraint("end_us IS NULL OR end_us > start_us", name="alias_stays_last"),
        sa.ForeignKeyConstraint(["model_uid"], ["models.uid"]),
        sa.ForeignKeyConstraint(["position"], ["actors.position"]),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index(
        "one_version_per_alias",
        "alias_stays",
        ["model_uid", "alias"],
        unique=True,
        sqlite_where=_NAMES_NOW,
        postgresql_where=_NAMES_NOW,
    )
    op.create_index("alias_stays_by_alias", "alias_stays", ["model_uid", "alias", "start_us"])
    op.create_index(
        "aliases_of_versions",
        "alias_stays",
        ["version_uid", "alias"],
        sqlite_where=_NAMES_NOW,
        postgresql_where=_NAMES_NOW,
    )


def _create_protected_aliases() -> None:
    op.create_table(
        "protected_aliases",
        sa.Column("model_uid", KEY, nullable=False),
        sa.Column("alias", KEY, nullable=False),
        sa.ForeignKeyConstraint(["model_uid"], ["models.uid"]),
        sa.PrimaryKeyConstraint("model_uid", "alias"),
    )


def _create_loaded_versions() -> None:
    op.create_table(
        "loaded_versions",
        sa.Column("model_uid", KEY, nullable=False),
        sa.Column("reporter", KEY, nullable=False),
        sa.Column("instance", KEY, nullable=False),
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("load_us", sa.BigInteger(), nullable=False),
        sa.Column("report_us", sa.BigInteger(), nullable=False),
        sa.Column("reporter_json", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_uid"], ["models.uid"]),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("model_uid", "reporter", "instance"),
    )
    op.create_index("loaded_by_report", "loaded_versions", ["model_uid", "report_us"])
