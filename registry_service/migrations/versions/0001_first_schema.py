"""The registry's first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_answered_requests()
    _create_ledger()
    _create_ledger_head()
    _create_actors()
    _create_models()
    _create_model_tags()
    _create_versions()
    _create_stays()
    _create_version_files()
    _create_version_lineages()
    _create_version_tags()
    op.execute(
        sa.insert(
            sa.table("ledger_head", *map(sa.column, ("id", "position", "hash", "settled_us")))
        ).values(id=1, position=0, hash=bytes(32), settled_us=0)
    )


def _create_answered_requests() -> None:
    op.create_table(
        "answered_requests",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("request_type", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "request_type", "request_id"),
    )
    op.create_index("ix_answered_requests_expire_time", "answered_requests", ["expire_time"])


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.Column("workspace", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("actor_digest", sa.LargeBinary(), nullable=False),
        sa.Column("action", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content_json", sa.Text(), nullable=False),
        sa.Column("caused_by", sa.BigInteger(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("create_us"),
        sa.UniqueConstraint("previous_hash"),
    )
    op.create_index("ledger_by_model", "ledger", ["model", "position"])
    op.create_index("ledger_by_workspace", "ledger", ["workspace", "position"])


def _create_ledger_head() -> None:
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("settled_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="ledger_has_one_head"),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_actors() -> None:
    op.create_table(
        "actors",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("principal_json", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["position"], ["ledger.position"]),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("ix_actors_actor", "actors", ["actor"])


def _create_models() -> None:
    op.create_table(
        "models",
        sa.Column("uid", KEY, nullable=False),
        sa.Column("workspace", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("create_position", sa.BigInteger(), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.Column("update_us", sa.BigInteger(), nullable=False),
        sa.Column("change_position", sa.BigInteger(), nullable=False),
        sa.Column("delete_us", sa.BigInteger()),
        sa.ForeignKeyConstraint(["create_position"], ["actors.position"]),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_index("models_by_workspace", "models", ["workspace", "name"])
    op.create_index(
        "one_model_per_name",
        "models",
        ["name"],
        unique=True,
        sqlite_where=sa.text("delete_us IS NULL"),
        postgresql_where=sa.text("delete_us IS NULL"),
    )


def _create_model_tags() -> None:
    op.create_table(
        "model_tags",
        sa.Column("model_uid", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_uid"], ["models.uid"]),
        sa.PrimaryKeyConstraint("model_uid", "key"),
    )


def _create_versions() -> None:
    op.create_table(
        "versions",
        sa.Column("uid", KEY, nullable=False),
        sa.Column("model_uid", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("sort_key", KEY, nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("stage", sa.SmallInteger(), nullable=False),
        sa.Column("stage_us", sa.BigInteger(), nullable=False),
        sa.Column("stage_position", sa.BigInteger(), nullable=False),
        sa.Column("was_in_production", sa.Boolean(), nullable=False),
        sa.Column("source_run", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("create_position", sa.BigInteger(), nullable=False),
        sa.Column("create_us", sa.BigInteger(), nullable=False),
        sa.Column("update_us", sa.BigInteger(), nullable=False),
        sa.Column("change_position", sa.BigInteger(), nullable=False),
        sa.Column("delete_us", sa.BigInteger()),
        sa.CheckConstraint("stage <> 3 OR delete_us IS NULL", name="production_is_not_deleted"),
        sa.CheckConstraint("stage = 1 OR state = 2", name="only_ready_versions_leave_none"),
        sa.CheckConstraint("stage BETWEEN 1 AND 4", name="version_stage_is_known"),
        sa.CheckConstraint("state BETWEEN 1 AND 3", name="version_state_is_known"),
        sa.ForeignKeyConstraint(["create_position"], ["actors.position"]),
        sa.ForeignKeyConstraint(["model_uid"], ["models.uid"]),
        sa.PrimaryKeyConstraint("uid"),
        sa.UniqueConstraint("name"),
    )
    op.create_index(
        "one_production_per_model",
        "versions",
        ["model_uid"],
        unique=True,
        sqlite_where=sa.text("stage = 3"),
        postgresql_where=sa.text("stage = 3"),
    )
    op.create_index("versions_by_number", "versions", ["model_uid", "sort_key"])
    op.create_index("versions_by_stage", "versions", ["model_uid", "stage", "stage_us"])
    op.create_index(
        "versions_to_verify",
        "versions",
        ["create_position"],
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )


def _create_stays() -> None:
    op.create_table(
        "stays",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model_uid", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.Column("from_stage", sa.SmallInteger()),
        sa.Column("to_stage", sa.SmallInteger(), nullable=False),
        sa.Column("cause", sa.SmallInteger(), nullable=False),
        sa.Column("caused_by", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("end_us", sa.BigInteger()),
        sa.CheckConstraint("end_us IS NULL OR end_us > start_us", name="stays_last"),
        sa.ForeignKeyConstraint(["model_uid"], ["models.uid"]),
        sa.ForeignKeyConstraint(["position"], ["actors.position"]),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index(
        "one_open_production_stay_per_model",
        "stays",
        ["model_uid"],
        unique=True,
        sqlite_where=sa.text("to_stage = 3 AND end_us IS NULL"),
        postgresql_where=sa.text("to_stage = 3 AND end_us IS NULL"),
    )
    op.create_index(
        "one_open_stay_per_version",
        "stays",
        ["version_uid"],
        unique=True,
        sqlite_where=sa.text("end_us IS NULL"),
        postgresql_where=sa.text("end_us IS NULL"),
    )
    op.create_index("stays_by_stage", "stays", ["model_uid", "to_stage", "start_us"])
    op.create_index("stays_by_version", "stays", ["version_uid", "position"])


def _create_version_files() -> None:
    op.create_table(
        "version_files",
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("path", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("version_uid", "path"),
    )


def _create_version_lineages() -> None:
    op.create_table(
        "version_lineages",
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("lineage", sa.LargeBinary(), nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("version_uid"),
    )


def _create_version_tags() -> None:
    op.create_table(
        "version_tags",
        sa.Column("version_uid", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version_uid"], ["versions.uid"]),
        sa.PrimaryKeyConstraint("version_uid", "key"),
    )
