"""How a program ended, when it was last heard of, profiles of datasets, references to data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROW_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    _extend_runs()
    _extend_datasets()
    _extend_blobs()


def downgrade() -> None:
    op.drop_table("workspace_usage")
    op.drop_column("workspace_blobs", "promise_time")
    op.drop_table("dataset_profiles")
    op.drop_column("datasets", "reference")
    op.drop_column("run_packages", "conda_packages")
    op.drop_index("ix_runs_state_heard_time", "runs")
    op.drop_column("runs", "signal")
    op.drop_column("runs", "exit_code")


def _extend_runs() -> None:
    op.add_column("runs", sa.Column("exit_code", sa.Integer()))
    op.add_column("runs", sa.Column("signal", TEXT))
    op.create_index("ix_runs_state_heard_time", "runs", ["state", "heard_time"], unique=False)
    op.add_column("run_packages", sa.Column("conda_packages", DOCUMENT))


def _extend_datasets() -> None:
    op.add_column("datasets", sa.Column("reference", DOCUMENT))
    op.create_table(
        "dataset_profiles",
        sa.Column("dataset", ROW_KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.id"], name="fk_dataset_profiles_dataset"),
        sa.PrimaryKeyConstraint("dataset", "position", name="pk_dataset_profiles"),
        sqlite_with_rowid=False,
    )


def _extend_blobs() -> None:
    op.add_column(
        "workspace_blobs",
        sa.Column("promise_time", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.execute("UPDATE workspace_blobs SET promise_time = create_time")
    op.create_table(
        "workspace_usage",
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", name="pk_workspace_usage"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO workspace_usage (workspace, size_bytes) "
        "SELECT workspace, SUM(size_bytes) FROM workspace_blobs GROUP BY workspace"
    )
