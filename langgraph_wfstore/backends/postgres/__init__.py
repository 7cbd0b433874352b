"""PostgreSQL: many machines on one store, one round trip per append."""

from .backend import PostgresBackend
from .schema import migration_sql

__all__ = ["PostgresBackend", "migration_sql"]
