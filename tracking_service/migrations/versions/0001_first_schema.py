"""The first schema: experiments, runs, metrics, datasets, artifacts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# As in tracking_service/tables.py at the time; a migration must not change when that file does.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    _create_experiments()
    _create_runs()
    _create_run_contents()
    _create_metrics()
    _create_datasets()
    _create_artifacts()
    _create_answered_requests()


def downgrade() -> None:
    for table in (
        "answered_requests",
        "workspace_blobs",
        "artifacts",
        "dataset_inputs",
        "datasets",
        "metric_writers",
        "metric_chunks",
        "metric_series",
        "holds",
        "tags",
        "params",
        "run_packages",
        "runs",
        "experiment_tags",
        "experiments",
    ):
        op.drop_table(table)


def _create_experiments() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("experiment", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
        sa.UniqueConstraint("workspace", "experiment", name="uq_experiments_workspace_experiment"),
    )
    op.create_index(
        "ix_experiments_workspace_create_time_id",
        "experiments",
        ["workspace", "create_time", "id"],
        unique=False,
    )
    op.create_table(
        "experiment_tags",
        sa.Column("experiment", ROW_KEY, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment"], ["experiments.id"], name="fk_experiment_tags_experiment"
        ),
        sa.PrimaryKeyConstraint("experiment", "key", name="pk_experiment_tags"),
        sqlite_with_rowid=False,
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("experiment", ROW_KEY, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("run", TEXT, nullable=False),
        sa.Column("display_name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("state_reason", TEXT, nullable=False),
        sa.Column("creator_id", TEXT, nullable=False),
        sa.Column("creator", DOCUMENT, nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=True),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("delete_time", sa.BigInteger(), nullable=True),
        sa.Column("heard_time", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("environment", DOCUMENT, nullable=True),
        sa.Column("code", DOCUMENT, nullable=True),
        sa.Column("code_commit", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["experiment"], ["experiments.id"], name="fk_runs_experiment"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("experiment", "run", name="uq_runs_experiment_run"),
    )
    op.create_index(
        "ix_runs_experiment_create_time_id",
        "runs",
        ["experiment", "create_time", "id"],
        unique=False,
    )
    op.create_index(
        "ix_runs_workspace_create_time_id", "runs", ["workspace", "create_time", "id"], unique=False
    )
    op.create_table(
        "run_packages",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("packages", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_run_packages_run"),
        sa.PrimaryKeyConstraint("run", name="pk_run_packages"),
    )


def _create_run_contents() -> None:
    op.create_table(
        "params",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("experiment", ROW_KEY, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("text_value", TEXT, nullable=False),
        sa.Column("int_value", sa.BigInteger(), nullable=True),
        sa.Column("number_value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_params_run"),
        sa.PrimaryKeyConstraint("run", "key", name="pk_params"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_params_experiment_key_number_value_run",
        "params",
        ["experiment", "key", "number_value", "run"],
        unique=False,
    )
    op.create_table(
        "tags",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("experiment", ROW_KEY, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_tags_run"),
        sa.PrimaryKeyConstraint("run", "key", name="pk_tags"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_tags_experiment_key_run", "tags", ["experiment", "key", "run"], unique=False
    )
    op.create_table(
        "holds",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_holds_run"),
        sa.PrimaryKeyConstraint("run", "holder", name="pk_holds"),
        sqlite_with_rowid=False,
    )


def _create_metrics() -> None:
    op.create_table(
        "metric_series",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("experiment", ROW_KEY, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("first", sa.Double(), nullable=True),
        sa.Column("last", sa.Double(), nullable=True),
        sa.Column("min", sa.Double(), nullable=True),
        sa.Column("max", sa.Double(), nullable=True),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("finite_points", sa.BigInteger(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("min_step", sa.BigInteger(), nullable=False),
        sa.Column("max_step", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_metric_series_run"),
        sa.PrimaryKeyConstraint("id", name="pk_metric_series"),
        sa.UniqueConstraint("run", "key", name="uq_metric_series_run_key"),
    )
    op.create_index(
        "ix_metric_series_experiment_key_last_run",
        "metric_series",
        ["experiment", "key", "last", "run"],
        unique=False,
    )
    op.create_index(
        "ix_metric_series_experiment_key_max_run",
        "metric_series",
        ["experiment", "key", "max", "run"],
        unique=False,
    )
    op.create_index(
        "ix_metric_series_experiment_key_min_run",
        "metric_series",
        ["experiment", "key", "min", "run"],
        unique=False,
    )
    op.create_table(
        "metric_chunks",
        sa.Column("series", ROW_KEY, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("min_step", sa.BigInteger(), nullable=False),
        sa.Column("max_step", sa.BigInteger(), nullable=False),
        sa.Column("min_time", sa.BigInteger(), nullable=False),
        sa.Column("max_time", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["series"], ["metric_series.id"], name="fk_metric_chunks_series"),
        sa.PrimaryKeyConstraint("series", "number", name="pk_metric_chunks"),
    )
    op.create_table(
        "metric_writers",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("writer", TEXT, nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("heard_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_metric_writers_run"),
        sa.PrimaryKeyConstraint("run", "writer", name="pk_metric_writers"),
        sqlite_with_rowid=False,
    )


def _create_datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", ROW_KEY, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("dataset", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("columns", DOCUMENT, nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("creator", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.UniqueConstraint(
            "workspace", "dataset", "digest", name="uq_datasets_workspace_dataset_digest"
        ),
        sa.UniqueConstraint(
            "workspace", "dataset", "version", name="uq_datasets_workspace_dataset_version"
        ),
    )
    op.create_index(
        "ix_datasets_workspace_create_time_id",
        "datasets",
        ["workspace", "create_time", "id"],
        unique=False,
    )
    op.create_table(
        "dataset_inputs",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("dataset", ROW_KEY, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.id"], name="fk_dataset_inputs_dataset"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_dataset_inputs_run"),
        sa.PrimaryKeyConstraint("run", "dataset", "role", name="pk_dataset_inputs"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_dataset_inputs_dataset_run", "dataset_inputs", ["dataset", "run"], unique=False
    )


def _create_artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("run", ROW_KEY, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_artifacts_run"),
        sa.PrimaryKeyConstraint("run", "path", name="pk_artifacts"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_artifacts_digest", "artifacts", ["digest"], unique=False)
    op.create_table(
        "workspace_blobs",
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "digest", name="pk_workspace_blobs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_workspace_blobs_digest", "workspace_blobs", ["digest"], unique=False)


def _create_answered_requests() -> None:
    op.create_table(
        "answered_requests",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("request_type", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "principal", "request_type", "request_id", name="pk_answered_requests"
        ),
    )
    op.create_index(
        "ix_answered_requests_expire_time", "answered_requests", ["expire_time"], unique=False
    )
