"""What Alembic needs to migrate the database of any service."""
