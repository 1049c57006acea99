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

# Columns by which runs are searched, and what of which document they repeat.
_SEARCHED = (
    ("code_branch", ("code", "branch")),
    ("code_repository", ("code", "repository")),
    ("code_dirty", ("code", "dirty")),
    ("code_entry_point", ("code", "entry_point")),
    ("python_version", ("environment", "python_version")),
    ("platform", ("environment", "platform")),
    ("hostname", ("environment", "hostname")),
)


def upgrade() -> None:
    _extend_runs()
    _extend_datasets()
    _extend_blobs()
    _add_search_columns()
    _index_texts()


def downgrade() -> None:
    op.drop_index("ix_params_experiment_key_text_start", "params")
    op.drop_index("ix_tags_experiment_key_text_start", "tags")
    op.create_index("ix_tags_experiment_key_run", "tags", ["experiment", "key", "run"])
    for name, _ in reversed(_SEARCHED):
        op.drop_column("runs", name)
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


def _add_search_columns() -> None:
    runs = sa.table("runs", sa.column("code", DOCUMENT), sa.column("environment", DOCUMENT))
    values = {}
    for name, (document, key) in _SEARCHED:
        is_truth = name == "code_dirty"
        column: sa.Column[object] = sa.Column(name, sa.Boolean() if is_truth else TEXT)
        op.add_column("runs", column)
        runs.append_column(sa.column(name, column.type))
        recorded = runs.c[document][key]
        values[name] = (
            recorded.as_boolean() if is_truth else sa.func.nullif(recorded.as_string(), "")
        )
    op.execute(
        runs.update()
        .where(sa.or_(runs.c.code.is_not(None), runs.c.environment.is_not(None)))
        .values(values)
    )


def _index_texts() -> None:
    op.drop_index("ix_tags_experiment_key_run", "tags")
    for table, column in (("params", "text_value"), ("tags", "value")):
        op.create_index(
            f"ix_{table}_experiment_key_text_start",
            table,
            ["experiment", "key", sa.text(f"substr({column}, 1, 64)"), "run"],
        )
