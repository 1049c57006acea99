"""Table of what instances said they had loaded."""

from __future__ import annotations

import sqlalchemy as sa

from registry_service.tables import KEY, metadata

# The last report of each instance of each caller about a model. Not part of the ledger, which
# those who load models do not write.
loaded_versions = sa.Table(
    "loaded_versions",
    metadata,
    sa.Column("model_uid", KEY, sa.ForeignKey("models.uid"), primary_key=True),
    sa.Column("reporter", KEY, primary_key=True),
    sa.Column("instance", KEY, primary_key=True),
    sa.Column("version_uid", KEY, sa.ForeignKey("versions.uid"), nullable=False),
    sa.Column("version", KEY, nullable=False),
    sa.Column("digest", KEY, nullable=False),
    sa.Column("load_us", sa.BigInteger, nullable=False),
    sa.Column("report_us", sa.BigInteger, nullable=False),
    sa.Column("reporter_json", sa.Text, nullable=False),
    sa.Index("loaded_by_report", "model_uid", "report_us"),
)
