"""Which objects of a lineage nobody refers to any more, and how the lists that stay are stored without them."""

from __future__ import annotations

from ..backends.base import LIST, ObjectRow
from ..values.content import Content
from ..values.lists import StoredList, base_of, splice_for


def sweep(content: Content, live: set[int]) -> tuple[list[int], list[ObjectRow]]:
    """Find what can go.

    Args:
        live: numbers of all objects that records refer to.

    Returns:
        the numbers of the objects to delete, and the rows of lists to replace because their base goes.
    """
    kept = content.reached(live)
    dropped = [number for number in content.rows if number not in kept]
    return dropped, _rebased(content, kept)


def _rebased(content: Content, kept: set[int]) -> list[ObjectRow]:
    """New rows for the lists that stay and whose base, or base's base, goes or changes."""
    rows, items = content.rows, content.items
    changed: list[ObjectRow] = []
    stored: dict[int, StoredList] = {}
    previous: StoredList | None = None
    for number in sorted(n for n in kept if rows[n].form == LIST):
        base = stored.get(base_of(rows[number].data))
        if base_of(rows[number].data) and base is None:
            data, base = splice_for(items[number], previous)
            changed.append(rows[number]._replace(data=data))
        depth = 0 if base is None else base.depth + 1
        stored[number] = previous = StoredList(number, (), tuple(items[number]), depth, base)
    return changed
