"""`python -m langgraph_wfstore.backends.postgres [--schema NAME] [--from-version N]`: the SQL of the tables."""

import argparse

from .schema import VERSION, migration_sql

parser = argparse.ArgumentParser(
    prog="python -m langgraph_wfstore.backends.postgres",
    description=f"Print the SQL that makes the tables of a store, or brings them to version {VERSION}.",
)
parser.add_argument("--schema", default="wfstore", help="the schema that holds them (wfstore)")
parser.add_argument("--from-version", type=int, default=0, help="the version that is there; 0, the default: none")
given = parser.parse_args()
print(migration_sql(given.schema, given.from_version), end="")
