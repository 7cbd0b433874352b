"""SQLite: one file, no server; any number of threads and processes on one machine."""

from .backend import SqliteBackend

__all__ = ["SqliteBackend"]
