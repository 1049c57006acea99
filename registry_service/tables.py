"""The tables of the registry.

Nothing is ever removed from `ledger` and `stays`, nor from `versions`, whose numbers stay taken
after deletion. Personal data of those who act stands in `actors` alone.
"""

from __future__ import annotations

import sqlalchemy as sa

from service_chassis.request_dedup import request_table
from service_chassis.sql_text import ByteOrderedText

metadata = sa.MetaData()

# For names, numbers and keys: compared byte by byte on both databases.
KEY = ByteOrderedText


def entry_position() -> sa.Column[int]:
    """The key of rows that belong to a ledger entry, whose actor stands in `actors`."""
    return sa.Column(
        "position",
        sa.BigInteger,
        sa.ForeignKey("actors.position"),
        primary_key=True,
        autoincrement=False,
    )


# The end of the ledger, in one row. Who changes the registry locks it, takes the next position and
# time, and lets it go with the transaction; so entries become visible in their order.
ledger_head = sa.Table(
    "ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("settled_us", sa.BigInteger, nullable=False),
    sa.CheckConstraint("id = 1", name="ledger_has_one_head"),
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("create_us", sa.BigInteger, nullable=False, unique=True),
    sa.Column("workspace", KEY, nullable=False),
    sa.Column("model", KEY, nullable=False),
    sa.Column("actor_digest", sa.LargeBinary, nullable=False),
    sa.Column("action", KEY, nullable=False),
    sa.Column("resource", KEY, nullable=False),
    sa.Column("outcome", sa.SmallInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("content_json", sa.Text, nullable=False),
    sa.Column("caused_by", sa.BigInteger, nullable=False),
    sa.Column("previous_hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Index("ledger_by_workspace", "workspace", "position"),
    sa.Index("ledger_by_model", "model", "position"),
)

# Who acted, by ledger position. Apart from the ledger, so that a person can be erased.
actors = sa.Table(
    "actors",
    metadata,
    sa.Column(
        "position",
        sa.BigInteger,
        sa.ForeignKey("ledger.position"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("actor", KEY, nullable=False, index=True),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("principal_json", sa.Text, nullable=False),
    # Of the ledger entry by which the actor was erased.
    sa.Column("erased_by", sa.BigInteger),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("uid", KEY, primary_key=True),
    sa.Column("workspace", KEY, nullable=False),
    sa.Column("name", KEY, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("create_position", sa.BigInteger, sa.ForeignKey("actors.position"), nullable=False),
    sa.Column("create_us", sa.BigInteger, nullable=False),
    sa.Column("update_us", sa.BigInteger, nullable=False),
    sa.Column("change_position", sa.BigInteger, nullable=False),
    sa.Column("delete_us", sa.BigInteger),
    sa.Index(
        "one_model_per_name",
        "name",
        unique=True,
        sqlite_where=sa.text("delete_us IS NULL"),
        postgresql_where=sa.text("delete_us IS NULL"),
    ),
    sa.Index("models_by_workspace", "workspace", "name"),
)

model_tags = sa.Table(
    "model_tags",
    metadata,
    sa.Column("model_uid", KEY, sa.ForeignKey("models.uid"), primary_key=True),
    sa.Column("key", KEY, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("uid", KEY, primary_key=True),
    sa.Column("model_uid", KEY, sa.ForeignKey("models.uid"), nullable=False),
    sa.Column("model", KEY, nullable=False),
    sa.Column("name", KEY, nullable=False, unique=True),
    sa.Column("number", KEY, nullable=False),
    sa.Column("sort_key", KEY, nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("state_reason", sa.Text, nullable=False),
    sa.Column("stage", sa.SmallInteger, nullable=False),
    sa.Column("stage_us", sa.BigInteger, nullable=False),
    sa.Column("stage_position", sa.BigInteger, nullable=False),
    sa.Column("was_in_production", sa.Boolean, nullable=False),
    sa.Column("source_run", KEY, nullable=False),
    sa.Column("digest", KEY, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("create_position", sa.BigInteger, sa.ForeignKey("actors.position"), nullable=False),
    sa.Column("create_us", sa.BigInteger, nullable=False),
    sa.Column("update_us", sa.BigInteger, nullable=False),
    sa.Column("change_position", sa.BigInteger, nullable=False),
    sa.Column("delete_us", sa.BigInteger),
    sa.CheckConstraint("state BETWEEN 1 AND 3", name="version_state_is_known"),
    sa.CheckConstraint("stage BETWEEN 1 AND 4", name="version_stage_is_known"),
    sa.CheckConstraint("stage = 1 OR state = 2", name="only_ready_versions_leave_none"),
    sa.CheckConstraint("stage <> 3 OR delete_us IS NULL", name="production_is_not_deleted"),
    sa.Index(
        "one_production_per_model",
        "model_uid",
        unique=True,
        sqlite_where=sa.text("stage = 3"),
        postgresql_where=sa.text("stage = 3"),
    ),
    sa.Index("versions_by_number", "model_uid", "sort_key"),
    sa.Index("versions_by_stage", "model_uid", "stage", "stage_us"),
    sa.Index(
        "versions_to_verify",
        "create_position",
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    ),
)

version_tags = sa.Table(
    "version_tags",
    metadata,
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), primary_key=True),
    sa.Column("key", KEY, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

version_files = sa.Table(
    "version_files",
    metadata,
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), primary_key=True),
    sa.Column("path", KEY, primary_key=True),
    sa.Column("digest", KEY, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
)

version_lineages = sa.Table(
    "version_lineages",
    metadata,
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), primary_key=True),
    sa.Column("lineage", sa.LargeBinary, nullable=False),
    sa.Column("digest", KEY, nullable=False),
)

# How long each version stood in each stage, from start_us up to but not including end_us. The row
# belongs to the ledger entry that began it.
stays = sa.Table(
    "stays",
    metadata,
    entry_position(),
    sa.Column("model_uid", KEY, sa.ForeignKey("models.uid"), nullable=False),
    sa.Column("model", KEY, nullable=False),
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), nullable=False),
    sa.Column("version", KEY, nullable=False),
    sa.Column("from_stage", sa.SmallInteger),
    sa.Column("to_stage", sa.SmallInteger, nullable=False),
    sa.Column("cause", sa.SmallInteger, nullable=False),
    sa.Column("caused_by", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("start_us", sa.BigInteger, nullable=False),
    sa.Column("end_us", sa.BigInteger),
    # Whether the policies were passed by.
    sa.Column("broke_glass", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.CheckConstraint("end_us IS NULL OR end_us > start_us", name="stays_last"),
    sa.Index(
        "one_open_production_stay_per_model",
        "model_uid",
        unique=True,
        sqlite_where=sa.text("to_stage = 3 AND end_us IS NULL"),
        postgresql_where=sa.text("to_stage = 3 AND end_us IS NULL"),
    ),
    sa.Index(
        "one_open_stay_per_version",
        "version_uid",
        unique=True,
        sqlite_where=sa.text("end_us IS NULL"),
        postgresql_where=sa.text("end_us IS NULL"),
    ),
    sa.Index("stays_by_stage", "model_uid", "to_stage", "start_us"),
    sa.Index("stays_by_time", "model_uid", "start_us", "position"),
    sa.Index("stays_by_version", "version_uid", "position"),
)

answered_requests = request_table(metadata)
