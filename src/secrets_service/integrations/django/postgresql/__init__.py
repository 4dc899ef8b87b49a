"""The `ENGINE` for databases in PostgreSQL."""
