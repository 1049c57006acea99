"""The tables of the tracking service.

Rows refer to one another by whole numbers; names stand in one place only. What is searched by key
(parameters, tags, metric summaries) lies in tables of one row for each key and run, which repeat
the experiment so that one index answers "runs of this experiment, by this key, in this order".

NaN is not a value that databases agree on: SQLite cannot store it and PostgreSQL takes it for the
largest number of all. It is stored as NULL. In the columns where that can happen (the values of
`metric_series`, and `number_value` of a parameter of kind DOUBLE) NULL has no other meaning, so
NaN comes back as NaN; in a filter it matches no comparison and in an order it comes last, on both.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from service_chassis.request_dedup import request_table
from service_chassis.sql_text import ByteOrderedText

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

TEXT = ByteOrderedText
# SQLite counts up a primary key only when its type is INTEGER, which has 64 bits there.
ROW_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True)

FEWEST_UNMERGED = 16
"""So many chunks that were added to a series make it worth looking through."""


def _reference(name: str, target: str, *, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(name, ROW_KEY, sa.ForeignKey(target), primary_key=primary_key, nullable=False)


def _experiment_of_run() -> sa.Column[int]:
    # No foreign key: the run's own is enough, and each one costs a look-up on every insert.
    return sa.Column("experiment", ROW_KEY, nullable=False)


TEXT_START = 64
"""So many characters of a text are indexed, as PostgreSQL limits index entries."""


def text_start(text: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The first characters of a text, as they are indexed.

    The numbers stand in the SQL itself, because only then is it the expression of the index.
    """
    return sa.func.substr(text, sa.text("1"), sa.text(str(TEXT_START)), type_=sa.Text())


experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("id", ROW_KEY, primary_key=True),
    sa.Column("uid", TEXT, nullable=False),
    sa.Column("workspace", TEXT, nullable=False),
    sa.Column("experiment", TEXT, nullable=False),
    sa.Column("description", TEXT, nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("update_time", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("workspace", "experiment"),
    sa.Index(None, "workspace", "create_time", "id"),
)

experiment_tags = sa.Table(
    "experiment_tags",
    metadata,
    _reference("experiment", "experiments.id", primary_key=True),
    sa.Column("key", TEXT, primary_key=True),
    sa.Column("value", TEXT, nullable=False),
    sqlite_with_rowid=False,
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", ROW_KEY, primary_key=True),
    sa.Column("uid", TEXT, nullable=False),
    _reference("experiment", "experiments.id"),
    sa.Column("workspace", TEXT, nullable=False),
    sa.Column("run", TEXT, nullable=False),
    sa.Column("display_name", TEXT, nullable=False),
    sa.Column("description", TEXT, nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("state_reason", TEXT, nullable=False),
    sa.Column("creator_id", TEXT, nullable=False),
    sa.Column("creator", DOCUMENT, nullable=False),
    sa.Column("start_time", sa.BigInteger),
    sa.Column("end_time", sa.BigInteger),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("update_time", sa.BigInteger, nullable=False),
    sa.Column("delete_time", sa.BigInteger),
    # Last call that changed the run itself; writers of metrics are in `metric_writers`.
    sa.Column("heard_time", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    # Without packages, which are many and rarely read.
    sa.Column("environment", DOCUMENT),
    sa.Column("code", DOCUMENT),
    sa.Column("code_commit", TEXT),
    sa.Column("exit_code", sa.Integer),
    sa.Column("signal", TEXT),
    # What runs are searched by of `code` and `environment`; empty texts are NULL.
    sa.Column("code_branch", TEXT),
    sa.Column("code_repository", TEXT),
    sa.Column("code_dirty", sa.Boolean),
    sa.Column("code_entry_point", TEXT),
    sa.Column("python_version", TEXT),
    sa.Column("platform", TEXT),
    sa.Column("hostname", TEXT),
    # What the keys and texts of its parameters take, so that many can be left unread.
    sa.Column("param_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.UniqueConstraint("experiment", "run"),
    sa.Index(None, "experiment", "create_time", "id"),
    sa.Index(None, "workspace", "create_time", "id"),
    # Finds running runs that have fallen silent.
    sa.Index(None, "state", "heard_time"),
)

run_packages = sa.Table(
    "run_packages",
    metadata,
    _reference("run", "runs.id", primary_key=True),
    sa.Column("packages", DOCUMENT, nullable=False),
    sa.Column("conda_packages", DOCUMENT),
)

params = sa.Table(
    "params",
    metadata,
    _reference("run", "runs.id", primary_key=True),
    sa.Column("key", TEXT, primary_key=True),
    _experiment_of_run(),
    # 1 text, 2 whole number, 3 floating-point number, 4 true or false.
    sa.Column("kind", sa.SmallInteger, nullable=False),
    # Always set, so that a parameter can be searched as text whatever its type.
    sa.Column("text_value", TEXT, nullable=False),
    # Whole numbers, and 0 or 1 for false and true.
    sa.Column("int_value", sa.BigInteger),
    # Set for both kinds of number, so that they compare; NULL in kind 3 is NaN.
    sa.Column("number_value", sa.Double),
    sa.Index(None, "experiment", "key", "number_value", "run"),
    sa.Index(
        "ix_params_experiment_key_text_start",
        "experiment",
        "key",
        sa.text("substr(text_value, 1, 64)"),
        "run",
    ),
    sqlite_with_rowid=False,
)

tags = sa.Table(
    "tags",
    metadata,
    _reference("run", "runs.id", primary_key=True),
    sa.Column("key", TEXT, primary_key=True),
    _experiment_of_run(),
    sa.Column("value", TEXT, nullable=False),
    sa.Index(
        "ix_tags_experiment_key_text_start",
        "experiment",
        "key",
        sa.text("substr(value, 1, 64)"),
        "run",
    ),
    sqlite_with_rowid=False,
)

metric_series = sa.Table(
    "metric_series",
    metadata,
    sa.Column("id", ROW_KEY, primary_key=True),
    _reference("run", "runs.id"),
    _experiment_of_run(),
    sa.Column("key", TEXT, nullable=False),
    # NULL is NaN in these five.
    sa.Column("first", sa.Double),
    sa.Column("last", sa.Double),
    sa.Column("min", sa.Double),
    sa.Column("max", sa.Double),
    sa.Column("mean", sa.Double),
    sa.Column("points", sa.BigInteger, nullable=False),
    sa.Column("finite_points", sa.BigInteger, nullable=False),
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("min_step", sa.BigInteger, nullable=False),
    sa.Column("max_step", sa.BigInteger, nullable=False),
    sa.Column("last_time", sa.BigInteger, nullable=False),
    # Number of the latest chunk.
    sa.Column("chunks", sa.BigInteger, nullable=False),
    # How many chunks came since the series was last looked through for small ones to merge.
    sa.Column("unmerged", sa.Integer, nullable=False, server_default="0"),
    sa.UniqueConstraint("run", "key"),
    sa.Index(None, "experiment", "key", "last", "run"),
    sa.Index(None, "experiment", "key", "min", "run"),
    sa.Index(None, "experiment", "key", "max", "run"),
)
sa.Index(
    "ix_metric_series_unmerged",
    metric_series.c.id,
    sqlite_where=metric_series.c.unmerged >= FEWEST_UNMERGED,
    postgresql_where=metric_series.c.unmerged >= FEWEST_UNMERGED,
)

metric_chunks = sa.Table(
    "metric_chunks",
    metadata,
    _reference("series", "metric_series.id", primary_key=True),
    # Chunks of a series are numbered in order of arrival.
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("points", sa.Integer, nullable=False),
    sa.Column("min_step", sa.BigInteger, nullable=False),
    sa.Column("max_step", sa.BigInteger, nullable=False),
    sa.Column("min_time", sa.BigInteger, nullable=False),
    sa.Column("max_time", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

metric_writers = sa.Table(
    "metric_writers",
    metadata,
    _reference("run", "runs.id", primary_key=True),
    sa.Column("writer", TEXT, primary_key=True),
    # A batch with this sequence or a lower one has been stored.
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    sa.Column("heard_time", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("id", ROW_KEY, primary_key=True),
    sa.Column("uid", TEXT, nullable=False),
    sa.Column("workspace", TEXT, nullable=False),
    sa.Column("dataset", TEXT, nullable=False),
    sa.Column("version", TEXT, nullable=False),
    sa.Column("digest", TEXT, nullable=False),
    sa.Column("format", TEXT, nullable=False),
    sa.Column("source", TEXT, nullable=False),
    sa.Column("columns", DOCUMENT, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("creator", DOCUMENT, nullable=False),
    # Set when another system keeps the data.
    sa.Column("reference", DOCUMENT),
    sa.UniqueConstraint("workspace", "dataset", "version"),
    sa.UniqueConstraint("workspace", "dataset", "digest"),
    sa.Index(None, "workspace", "create_time", "id"),
)

# Apart from the columns, because profiles are large and rarely read.
dataset_profiles = sa.Table(
    "dataset_profiles",
    metadata,
    _reference("dataset", "datasets.id", primary_key=True),
    # Place of the column in the dataset, from 0.
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    # A serialised studbook.tracking.v1.ColumnProfile.
    sa.Column("profile", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

dataset_inputs = sa.Table(
    "dataset_inputs",
    metadata,
    _reference("run", "runs.id", primary_key=True),
    _reference("dataset", "datasets.id", primary_key=True),
    sa.Column("role", TEXT, primary_key=True),
    sa.Index(None, "dataset", "run"),
    sqlite_with_rowid=False,
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    _reference("run", "runs.id", primary_key=True),
    sa.Column("path", TEXT, primary_key=True),
    sa.Column("digest", TEXT, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("media_type", TEXT, nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Index(None, "digest"),
    sqlite_with_rowid=False,
)

# Who may refer to which bytes: a digest is worth nothing to a workspace that never had the bytes.
workspace_blobs = sa.Table(
    "workspace_blobs",
    metadata,
    sa.Column("workspace", TEXT, primary_key=True),
    sa.Column("digest", TEXT, primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    # When somebody was last told that the bytes are there; somebody who may yet record them.
    sa.Column("promise_time", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index(None, "digest"),
    sqlite_with_rowid=False,
)

# The sum of a workspace's blobs, kept so that no upload has to add them all up.
workspace_usage = sa.Table(
    "workspace_usage",
    metadata,
    sa.Column("workspace", TEXT, primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

holds = sa.Table(
    "holds",
    metadata,
    _reference("run", "runs.id", primary_key=True),
    sa.Column("holder", TEXT, primary_key=True),
    sa.Column("level", sa.SmallInteger, nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

answered_requests = request_table(metadata)
