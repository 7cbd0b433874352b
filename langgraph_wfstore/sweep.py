"""Which objects of a lineage nobody refers to any more, and how the lists that stay are stored without them."""

from __future__ import annotations

from .backends.base import LIST, MAP, Backend, ObjectRow
from .lists import FLAG_BITS, StoredList, apply_splice, base_of, splice_for
from .reading import map_numbers


def sweep(backend: Backend, lineage: int, live: set[int]) -> tuple[list[int], list[ObjectRow]]:
    """Find what can go.

    Args:
        live: numbers of all objects that records refer to.

    Returns:
        the numbers of the objects to delete, and the rows of lists to replace because their base goes.
    """
    rows = {row.number: row for row in backend.all_objects(lineage)}
    items = _items(rows)
    kept = _reached(rows, items, live)
    dropped = [number for number in rows if number not in kept]
    return dropped, _rebased(rows, items, kept)


def _items(rows: dict[int, ObjectRow]) -> dict[int, list[int]]:
    """The flagged numbers of every list; bases have smaller numbers than the lists that copy from them."""
    items: dict[int, list[int]] = {}
    for number in sorted(rows):
        if rows[number].form == LIST:
            data = rows[number].data
            items[number] = apply_splice(data, items[base_of(data)] if base_of(data) else [])
    return items


def _reached(rows: dict[int, ObjectRow], items: dict[int, list[int]], live: set[int]) -> set[int]:
    todo = [number for number in live if number in rows]
    kept: set[int] = set()
    while todo:
        number = todo.pop()
        if number in kept:
            continue
        kept.add(number)
        if rows[number].form == LIST:
            todo += [n >> FLAG_BITS for n in items[number]]
        elif rows[number].form == MAP:
            shell, holes = map_numbers(rows[number].data)
            todo += [shell, *(n for _, n in holes)]
    return kept


def _rebased(rows: dict[int, ObjectRow], items: dict[int, list[int]], kept: set[int]) -> list[ObjectRow]:
    """New rows for the lists that stay and whose base, or base's base, goes or changes."""
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
