"""What tests of PostgreSQL stores begin with: a schema of their own, and something said on a thread."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing.sample_graphs import chat_graph

CONFIG: Any = {"configurable": {"thread_id": "t"}}
_made = itertools.count(1)


def next_schema() -> str:
    """The name of a schema that no other test of this process uses."""
    return f"unit{next(_made)}"


def talk(saver: WfStoreSaver, text: str = "hello") -> None:
    """A turn of a chat."""
    chat_graph(saver).invoke({"messages": [("user", text)]}, CONFIG)


def run_sql(url: str, *statements: str) -> None:
    """Statements, each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as db:
        for statement in statements:
            db.execute(statement.encode())
