"""Leases in PostgreSQL, by the server's clock."""

from __future__ import annotations

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"
_OURS = f"wf.lease.holder = excluded.holder OR wf.lease.expires <= {_NOW}"

# The rule of `base.claimed`, as one statement: another's lease stays until it has expired.
CLAIM = (
    "INSERT INTO wf.lease (name_key, token, holder, expires) "
    f"VALUES (%(key)s, 1, %(holder)s, {_NOW} + %(ttl)s) ON CONFLICT (name_key) DO UPDATE SET "
    f"token = CASE WHEN wf.lease.holder = excluded.holder OR wf.lease.expires > {_NOW} THEN wf.lease.token "
    "ELSE wf.lease.token + 1 END, "
    f"holder = CASE WHEN {_OURS} THEN excluded.holder ELSE wf.lease.holder END, "
    f"expires = CASE WHEN {_OURS} THEN excluded.expires ELSE wf.lease.expires END "
    "RETURNING token, holder, expires"
)
