"""The two changes that touch many rows of an SQLite file at once: copying a thread, and rewriting a lineage."""

from __future__ import annotations

import sqlite3

from ..base import RUN, SKELETON, Rewrite, Tail, looked_up
from ..packing import pack
from .append import INSERT_THREAD, LAST, RECORD, standing


def copied(db: sqlite3.Connection, tail: Tail, name: bytes, name_key: bytes, life: int, created: int) -> bool:
    """Copy a thread within its lineage; False, and nothing is changed, if it moved on or the name is taken."""
    source = tail.row
    assert source.number is not None
    if standing(db, source.number) != tail.standing:
        return False
    kept = (source.lineage, source.current, source.branches, source.nested)
    try:
        number = db.execute(INSERT_THREAD, (name, name_key, life, *kept, created)).lastrowid
    except sqlite3.IntegrityError:
        return False
    assert number is not None
    low = source.number << 32
    db.execute(
        f"INSERT INTO record({RECORD}) SELECT key - ?1 + ?2, {RECORD.removeprefix('key, ')} "
        "FROM record WHERE key BETWEEN ?1 AND ?3",
        (low, number << 32, low | LAST),
    )
    db.execute(
        "INSERT INTO branch SELECT ?, number, name, base, head FROM branch WHERE thread = ?", (number, source.number)
    )
    db.execute("INSERT INTO link SELECT ?, link, seq FROM link WHERE thread = ?", (number, source.number))
    return True


def rewritten(db: sqlite3.Connection, change: Rewrite) -> bool:
    """Apply a change to the threads of a lineage; False, and nothing is changed, if one of them is not as expected."""
    kin = {r[0] for r in db.execute("SELECT no FROM thread WHERE lineage = ?", (change.lineage,))}
    if kin != set(change.expect):
        return False
    if any(standing(db, number) != expected for number, expected in change.expect.items()):
        return False
    _apply(db, change)
    return True


def _apply(db: sqlite3.Connection, change: Rewrite) -> None:
    place = change.lineage << 32
    db.executemany(
        f"INSERT OR REPLACE INTO record({RECORD}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        [(thread << 32 | r[0], *r[1:4], pack(r[4]), *r[5:16]) for thread, r in change.records],
    )
    emptied = [(thread, r.seq) for thread, r in change.records if r.kind >= RUN and r.state == SKELETON]
    db.executemany("DELETE FROM link WHERE thread = ? AND seq = ?", emptied)
    db.executemany("DELETE FROM object WHERE key = ?", [(place | n,) for n in change.drop_objects])
    db.executemany(
        "UPDATE object SET id = ?, form = ?, tag = ?, nonce = ?, data = ?, lookup = ? WHERE key = ?",
        [(*o[1:5], pack(o[5]), looked_up(o), place | o[0]) for o in change.replace_objects],
    )
    db.executemany(
        "UPDATE object SET nonce = ? WHERE key = ?", [(nonce, place | number) for number, nonce in change.nonces]
    )
    if change.secret is not None:
        db.execute("UPDATE lineage SET secret = ? WHERE no = ?", (change.secret, change.lineage))
    for thread, rows in change.heads.items():
        db.executemany("INSERT OR REPLACE INTO branch VALUES (?,?,?,?,?)", [(thread, *b) for b in rows])
    if change.drop_thread is not None:
        gone = change.drop_thread
        db.execute("DELETE FROM record WHERE key BETWEEN ? AND ?", (gone << 32, gone << 32 | LAST))
        db.execute("DELETE FROM branch WHERE thread = ?", (gone,))
        db.execute("DELETE FROM link WHERE thread = ?", (gone,))
        if change.tombstone is not None:
            db.execute(
                "INSERT INTO tombstone SELECT name_key, ?, ? FROM thread WHERE no = ?",
                (*change.tombstone[1:], gone),
            )
        db.execute("DELETE FROM thread WHERE no = ?", (gone,))
    db.execute("UPDATE thread SET epoch = epoch + 1 WHERE lineage = ?", (change.lineage,))
    db.execute("UPDATE lineage SET epoch = epoch + 1 WHERE no = ?", (change.lineage,))
    if not db.execute("SELECT 1 FROM thread WHERE lineage = ?", (change.lineage,)).fetchone():
        db.execute("DELETE FROM object WHERE key BETWEEN ? AND ?", (place, place | LAST))
        db.execute("DELETE FROM lineage WHERE no = ?", (change.lineage,))
