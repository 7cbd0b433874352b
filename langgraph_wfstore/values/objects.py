"""Where a lineage keeps its objects: private ids, numbers, and the rows that one operation adds."""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable

from ..backends.base import LIST, LOOKED_UP, MAP, OBJECT, ObjectRow
from ..canonical import digest
from ..codec import Encoded, EncodedList, EncodedMap
from ..records import Ref
from .elements import Leaf
from .lists import FLAG_BITS, StoredList, items_of, list_id, pack_numbers, splice_for
from .shelf import Shelf

_KEYS_HELD = 200_000
_ITEMS_HELD = 400_000


class Place:
    """Where one object is: its number and id in a lineage, and both with the flag of a list element."""

    __slots__ = ("flagged", "id", "item", "lineage", "number")

    def __init__(self, lineage: Lineage, number: int, name: bytes) -> None:
        self.lineage = lineage
        self.number = number
        self.id = name
        self.item = b"\0" + name
        self.flagged = number << FLAG_BITS


class Lineage:
    """What this process knows of one lineage.

    Args:
        secret: keys the nonces, so that ids of short texts cannot be guessed.
        last: number of the last object.
        complete: whether every object is in `places`, so that what is not there is new.

    Attributes:
        places: where objects are, by type tag and hash of their bytes.
        numbers: numbers of lists and maps by id, as far as they are known.
        names: ids of objects by number, as far as they were met.
    """

    def __init__(self, secret: bytes, last: int, *, complete: bool) -> None:
        self.secret = secret
        self.last = last
        self.complete = complete
        self.places: dict[tuple[str, bytes], Place] = {}
        self.numbers: dict[bytes, int] = {}
        self.names: dict[int, bytes] = {}
        self._lists: OrderedDict[bytes, StoredList] = OrderedDict()
        self._items = 0

    def object_id(self, leaf: Leaf) -> bytes:
        """The id of an object: it names the content to those who have the nonce, and to nobody else."""
        return object_id(leaf.tag, nonce_for(self.secret, leaf.key), leaf.key)

    def id_of(self, leaf: Leaf) -> bytes:
        """The id under which an object is stored, as far as that is known here; else the one that it would get.

        They differ if it was stored before a redaction replaced the secret.
        """
        place = self.places.get((leaf.tag, leaf.key))
        return self.object_id(leaf) if place is None else place.id

    def list(self, name: bytes) -> StoredList | None:
        """A list of that id, if it is held."""
        return self._lists.get(name)

    def hold(self, name: bytes, stored: StoredList) -> None:
        """Keep a list as the base of later ones; the oldest go when too many items are held."""
        if name in self._lists:
            self._lists.move_to_end(name)
            return
        self._lists[name] = stored
        self._items += len(stored.names)
        while self._items > _ITEMS_HELD and len(self._lists) > 1:
            _, gone = self._lists.popitem(last=False)
            self._items -= len(gone.names)

    def learn(self, leaf: Leaf, place: Place) -> None:
        """Remember where an object is."""
        if len(self.places) >= _KEYS_HELD:
            self.places.clear()
            self.names.clear()
            self.numbers.clear()
            self.complete = False
        leaf.place = place
        self.places[leaf.tag, leaf.key] = place
        self.names[place.number] = place.id


def new_secret() -> bytes:
    """A lineage secret: 32 random bytes."""
    return secrets.token_bytes(32)


def nonce_for(secret: bytes, key: bytes) -> bytes:
    """The nonce of an object under a lineage's secret: 16 bytes of HMAC-SHA256."""
    inner, outer = _begun(secret)
    message = inner.copy()
    message.update(key)
    whole = outer.copy()
    whole.update(message.digest())
    return whole.digest()[:16]


@functools.lru_cache(maxsize=1024)
def _begun(secret: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """The two hashes of an HMAC, begun with the key (RFC 2104); going on from a copy takes half the time."""
    block = secret.ljust(64, b"\0")
    return hashlib.sha256(bytes(b ^ 0x36 for b in block)), hashlib.sha256(bytes(b ^ 0x5C for b in block))


def forget_secrets() -> None:
    """Keep no secret in memory beside those of the lineages that are known."""
    _begun.cache_clear()


def object_id(tag: str, nonce: bytes, key: bytes) -> bytes:
    """The id of an object: digest("object", type tag, nonce, SHA-256 of the bytes)."""
    return digest("object", tag.encode(), nonce, key)


def map_id(shell: bytes, holes: Iterable[tuple[int, bytes]]) -> bytes:
    """The id of a dict with lists: digest("map", shell id, (position as 8 bytes, list id)*)."""
    parts = [shell]
    for position, name in holes:
        parts += (position.to_bytes(8, "big"), name)
    return digest("map", *parts)


class Placement:
    """The objects that one operation refers to.

    Args:
        lineage: where they go.
        numbers: the numbers of those of these ids that the engine finds.

    Attributes:
        rows: the objects that the operation adds.
        numbered: the numbers of the values that were referred to, by id.
    """

    def __init__(self, lineage: Lineage, numbers: Callable[[list[bytes]], dict[bytes, int]]) -> None:
        self._lineage = lineage
        self._numbers = numbers
        self._there: dict[bytes, int] = {}
        self._new: dict[tuple[str, bytes], Place] = {}
        self._learned: list[tuple[Leaf, Place]] = []
        self._named: dict[bytes, int] = {}
        self._held: list[tuple[bytes, StoredList]] = []
        self.numbered: dict[bytes, int] = {}
        self.rows: list[ObjectRow] = []

    def commit(self, shelf: Shelf) -> None:
        """Tell the lineage, and put what is new on the shelf: the operation is on its way."""
        lineage = self._lineage
        for leaf, place in self._learned:
            lineage.learn(leaf, place)
            shelf.put(place.id, leaf)
        for name, stored in self._held:
            lineage.hold(name, stored)
        lineage.numbers.update(self._named)
        lineage.last += len(self.rows)

    def prepare(self, values: Iterable[Encoded]) -> None:
        """Ask the engine for the large objects of these values that are not known here: somebody may have stored them.

        Whether a small one is stored already is known here, or it is stored again.
        """
        lineage = self._lineage
        if lineage.complete:
            return
        unknown = {
            lineage.object_id(leaf): None
            for value in values
            for leaf in _leaves(value)
            if leaf.size >= LOOKED_UP
            and (leaf.place is None or leaf.place.lineage is not lineage)
            and (leaf.tag, leaf.key) not in lineage.places
        }
        if unknown:
            self._there = self._numbers([*unknown])

    def ref(self, value: Encoded, previous: StoredList | None = None) -> Ref:
        """The reference to a value that was prepared; what is new of it is added.

        Args:
            value: the encoded value.
            previous: the list that stood in the same place before, to be spliced.
        """
        if isinstance(value, Leaf):
            place = self._place(value)
            ref, number = Ref("object", place.id), place.number
        elif isinstance(value, EncodedList):
            name, number = self._list(value, previous)
            ref = Ref("list", name)
        else:
            name, number = self._map(value)
            ref = Ref("map", name)
        self.numbered[ref.id] = number
        return ref

    def _place(self, leaf: Leaf) -> Place:
        place = leaf.place
        if place is not None and place.lineage is self._lineage:
            return place  # type: ignore[no-any-return]  # Leaf.place is Any to keep elements.py below this module
        content = (leaf.tag, leaf.key)
        place = self._lineage.places.get(content)
        if place is not None:
            leaf.place = place
            return place
        place = self._new.get(content)
        if place is None:
            name = self._lineage.object_id(leaf)
            number = self._there.get(name)
            if number is None:
                number = self._add(name, OBJECT, leaf.tag, leaf.data)
            place = self._new[content] = Place(self._lineage, number, name)
            self._learned.append((leaf, place))
        return place

    def _list(self, value: EncodedList, previous: StoredList | None) -> tuple[bytes, int]:
        lineage = self._lineage
        places: list[Place] = [leaf.place for leaf in value.leaves]
        if None in places or {place.lineage for place in places} != {lineage}:
            places = [self._place(leaf) for leaf in value.leaves]
        names = tuple([place.id for place in places])
        numbers = tuple([place.flagged for place in places])
        if any(value.flags):
            numbers = tuple([number | flag for number, flag in zip(numbers, value.flags, strict=True)])
            name = list_id(items_of(names, numbers))
        else:
            name = list_id([place.item for place in places])
        held = lineage.list(name)
        if held is not None:
            lineage.hold(name, held)
            return name, held.number
        number = self._known(name)
        if number is not None:
            return name, number
        data, base = splice_for(numbers, previous)
        number = self._add(name, LIST, "", data)
        self._named[name] = number
        self._held.append((name, StoredList(number, names, numbers, 0 if base is None else base.depth + 1, base)))
        return name, number

    def _map(self, value: EncodedMap) -> tuple[bytes, int]:
        shell = self._place(value.shell)
        lists = [(position, *self._list(items, None)) for position, items in value.holes]
        name = map_id(shell.id, [(position, list_name) for position, list_name, _ in lists])
        number = self._known(name)
        if number is None:
            parts = [shell.number]
            for position, _, list_number in lists:
                parts += (position, list_number)
            number = self._named[name] = self._add(name, MAP, "", pack_numbers(parts))
        return name, number

    def _known(self, name: bytes) -> int | None:
        number = self._named.get(name)
        return self._lineage.numbers.get(name) if number is None else number

    def _add(self, name: bytes, form: int, tag: str, data: bytes) -> int:
        number = self._lineage.last + len(self.rows) + 1
        self.rows.append(ObjectRow(number, name, form, tag, None, data))
        return number


def _leaves(value: Encoded) -> Iterable[Leaf]:
    if isinstance(value, Leaf):
        return (value,)
    if isinstance(value, EncodedList):
        return value.leaves
    return (value.shell, *(leaf for _, items in value.holes for leaf in items.leaves))
