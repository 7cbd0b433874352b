"""SQLite: one file, no server; any number of threads and processes on one machine."""

from .backend import SqliteBackend
from .connection import is_open_here

__all__ = ["SqliteBackend", "is_open_here"]
