"""Moving threads from other LangGraph checkpointers into a store, and out of it into any of them.

It opens LangGraph's own savers, and reads and writes through the interface that all savers have.
"""

from .migrating import amigrate, amigrate_out, migrate, migrate_out
from .report import MigrationProblem, MigrationReport

__all__ = ["MigrationProblem", "MigrationReport", "amigrate", "amigrate_out", "migrate", "migrate_out"]
