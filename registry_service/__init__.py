"""The registry service: models, versions, stages, ledger and lineage."""
