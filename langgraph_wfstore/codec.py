"""Channel values to encoded forms and back: which parts of a value are stored as objects of their own.

A list is split into items, a dict that holds lists directly into a shell and its lists; everything else is
one object. The rules look at content alone, so that the same value has the same form everywhere; they are
part of the format (FORMAT.md, section 4).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from .canonical import hex_id
from .errors import DecodeError, UnsupportedValueError, WfStoreError
from .values.collector import collector_paused_for
from .values.elements import Known, Leaf, Masked
from .values.lists import FLAG_BITS, FLAGS, get_varint, put_varint
from .values.masks import is_message, read_mask
from .values.memo import TEXTS, Memo
from .values.shelf import Shelf

ELEMENT, CHUNK, PACK = 0, 1, 2
SMALL_ELEMENT = 64  # bytes; smaller elements that are no messages share a pack
SMALL_LIST = 256  # bytes of all elements; a smaller list is one object, but for several that stand alone
PACK_TAG, CHUNK_TAG = "pack", "chunk/"
WRONG = "whoever wrote it did it wrong, and no other value is affected; import the thread anew from where it came from"
_FLAT = frozenset({int, float, bool, type(None), str})
_SHORT_TEXT = 48  # characters; lists of scalars and short texts are one run of bytes
# A chunk ends where the content says so: after 256 to 4096 bytes, behind three bytes below 32.
_CHUNKS = re.compile(rb"(?s).{256,4096}?[\x00-\x1f]{3}|.{1,4096}")


class Serializer(Protocol):
    """LangGraph's SerializerProtocol."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Serialize to a type tag and bytes."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value behind a type tag and bytes."""


class EncodedList(NamedTuple):
    """A list by element: per item its flag (ELEMENT, CHUNK or PACK) and its serialized form."""

    flags: list[int]
    leaves: list[Leaf]


class EncodedMap(NamedTuple):
    """A dict whose direct lists are stored by element; `holes` gives their positions in the dict's order."""

    shell: Leaf
    holes: tuple[tuple[int, EncodedList], ...]


Encoded = Leaf | EncodedList | EncodedMap


class Codec:
    """Encodes and decodes values with one serializer.

    Args:
        serde: the serializer; should be deterministic, or equal values are stored more than once.
        memo: the live elements that are known; shared by savers that share a store and a serializer's format.
    """

    def __init__(self, serde: Serializer, memo: Memo) -> None:
        self.serde = serde
        self.memo = memo
        self._lossless = getattr(serde, "lossless", False)  # what it reads is what was written, not only like it
        self._dumps = serde.dumps_typed
        self._loads = serde.loads_typed

    def deduplicates(self) -> bool:
        """Whether equal values get equal bytes; an encrypting serializer's do not."""
        probe = {"probe": [1, "a"]}
        return self._dumps(probe) == self._dumps(probe)

    def encode(self, value: Any, where: str) -> Encoded:
        """The encoded form of a value.

        Args:
            value: anything the serializer takes.
            where: what to name in an error, such as "channel 'messages'".

        Raises:
            UnsupportedValueError: the serializer cannot store the value.
        """
        try:
            if type(value) is list and value:
                return self._list(value) or self._leaf(value)
            if type(value) is dict:
                return self._map(value)
            return self.element(value) if type(value) in TEXTS else self._leaf(value)
        except Exception as error:
            raise self._refusal(value, where, error) from error

    def _refusal(self, value: Any, where: str, error: Exception) -> UnsupportedValueError:
        """The error for a value that cannot be stored; serialized whole, it says where in it the trouble is."""
        try:
            self._dumps(value)
        except Exception as whole:  # noqa: BLE001  # it replaces the first one, which is raised from
            error = whole
        if isinstance(error, WfStoreError):
            return UnsupportedValueError(f"{where} cannot be stored: {error} Nothing was written.")
        return UnsupportedValueError(
            f"{where} cannot be stored: the serializer {type(self.serde).__name__} refused a value of type "
            f"{type(value).__qualname__} ({type(error).__name__}: {error}); nothing was written. "
            "Put plain data into the state, or give the saver a serde that takes this type"
        )

    def element(self, value: Any) -> Leaf:
        """The serialized form of one value as it would be an element of a list; remembered like those.

        Raises:
            whatever the serializer raises.
        """
        return self.memo.recall(value) or self._unknown(value)

    def _leaf(self, value: Any) -> Leaf:
        tag, data = self._dumps(value)
        data = bytes(data)
        return Leaf(tag, data, hashlib.sha256(data).digest())

    def _unknown(self, value: Any) -> Leaf:
        """The serialized form of an element that is not known, and is from now on."""
        if type(value) in TEXTS:
            leaf = self._leaf(value)
            if len(value) >= SMALL_ELEMENT:
                self.memo.remember_text(value, leaf)
            return leaf
        look = self.memo.look(value)
        leaf = self._leaf(value)
        if look is not None:
            leaf.shape = look if self._lossless else None
            self.memo.remember(value, Known(look, leaf))
        return leaf

    def _map(self, value: dict[Any, Any]) -> Encoded:
        holes = []
        shell = value
        for position, (key, item) in enumerate(value.items()):
            if type(item) is list and item and (encoded := self._list(item)) is not None:
                if shell is value:
                    shell = value.copy()
                shell[key] = None
                holes.append((position, encoded))
        leaf = self._leaf(shell)
        return EncodedMap(leaf, tuple(holes)) if holes else leaf

    def _list(self, value: list[Any]) -> EncodedList | None:
        """The list by element, or None if it is small enough to be one object.

        Several messages are elements however short they are: one can be redacted without its neighbours.
        """
        if _FLAT.issuperset(map(type, value)) and all(len(v) <= _SHORT_TEXT for v in value if type(v) is str):
            return self._run(value)
        recalled = self.memo.recall_all(value)
        leaves = [leaf or self._unknown(v) for v, leaf in zip(value, recalled, strict=True)]
        alone = [leaf.size >= SMALL_ELEMENT for leaf in leaves]
        if not all(alone):
            alone = [large or is_message(item) for item, large in zip(value, alone, strict=True)]
        if len(leaves) < 8 and not (len(leaves) > 1 and all(alone)) and sum([x.size for x in leaves]) < SMALL_LIST:
            return None
        return EncodedList([ELEMENT] * len(leaves), leaves) if all(alone) else self._packed(leaves, alone)

    def _run(self, value: list[Any]) -> EncodedList | None:
        tag, data = self._dumps(value)
        if len(data) <= 4 * SMALL_LIST:
            return None
        pieces = [Leaf(CHUNK_TAG + tag, p, hashlib.sha256(p).digest()) for p in _CHUNKS.findall(data)]
        return EncodedList([CHUNK] * len(pieces), pieces)

    @staticmethod
    def _packed(leaves: Sequence[Leaf], alone: Sequence[bool]) -> EncodedList:
        """Elements side by side that do not stand alone share packs, which end where an element's own bytes say so."""
        flags: list[int] = []
        items: list[Leaf] = []
        pack = bytearray()

        def close() -> None:
            if pack:
                data = bytes(pack)
                flags.append(PACK)
                items.append(Leaf(PACK_TAG, data, hashlib.sha256(data).digest()))
                pack.clear()

        for leaf, is_alone in zip(leaves, alone, strict=True):
            if is_alone:
                close()
                flags.append(ELEMENT)
                items.append(leaf)
                continue
            for part in (leaf.tag.encode(), leaf.data):
                put_varint(pack, len(part))
                pack += part
            if not zlib.crc32(leaf.data) & 15 or len(pack) > 4096:
                close()
        close()
        return EncodedList(flags, items)

    def decode(self, leaf: Leaf) -> Any:
        """The value of one object, or what stands in its place; what the serializer raises comes as a DecodeError."""
        try:
            return _unmasked(leaf) if type(leaf) is Masked else self._loads((leaf.tag, leaf.data))
        except DecodeError:
            raise
        except Exception as error:
            raise DecodeError(
                f"stored bytes of type {leaf.tag!r} cannot be decoded by {type(self.serde).__name__} "
                f"({type(error).__name__}: {error}); open the store with the serde that wrote them"
            ) from error

    def decode_element(self, name: bytes, number: int, get: Callable[[bytes, int], Leaf], shelf: Shelf) -> Any:
        """An independent value of a list element, by its object id and number; see `decode_list`."""
        template = shelf.templates.get(name)
        if template is not None:
            return self.memo.copy(template)
        leaf = get(name, number)
        value = self.decode(leaf)
        shape = None if type(leaf) is Masked else self.memo.look(value)
        if shape is None:
            return value
        template = Known(shape, leaf)
        if shelf.get(name) is not None:
            shelf.templates[name] = template
        return self.memo.copy(template)

    def decode_list(
        self, names: Sequence[bytes], numbers: Sequence[int], get: Callable[[bytes, int], Leaf], shelf: Shelf
    ) -> list[Any]:
        """A list from its items.

        Args:
            names: object id per item.
            numbers: object number per item, with its flag (ELEMENT, CHUNK or PACK) in the lowest two bits.
            get: the object of an id and number.
            shelf: where decoded elements are kept as templates.
        """
        if names and numbers[0] & FLAGS == CHUNK:
            pieces = [get(name, number >> FLAG_BITS) for name, number in zip(names, numbers, strict=True)]
            for piece in pieces:
                if type(piece) is Masked:
                    return self._left(piece)  # what is left of the others says nothing without it
            whole = Leaf(pieces[0].tag.removeprefix(CHUNK_TAG), b"".join(p.data for p in pieces), b"")
            run = self.decode(whole)
            if type(run) is not list:
                raise DecodeError("the chunks of a list do not make a list; run thread.verify()")
            return run
        out: list[Any] = []
        with collector_paused_for(len(names)):
            at = 0
            while at < len(names):
                block = shelf.block(names, at)
                if block is not None:
                    out += self.memo.copies(block)
                    at += len(block)
                    continue
                name, number = names[at], numbers[at]
                if number & FLAGS == ELEMENT:
                    out.append(self.decode_element(name, number >> FLAG_BITS, get, shelf))
                else:
                    out += self.unpacked(get(name, number >> FLAG_BITS))
                at += 1
        return out

    def unpacked(self, leaf: Leaf) -> list[Any]:
        """The elements of a pack, or what stands in their place."""
        return self._left(leaf) if type(leaf) is Masked else [*map(self.decode, unpack(leaf.data))]

    def _left(self, leaf: Masked) -> list[Any]:
        """What stands in the place of several elements; of a mask that speaks of one value only, that one."""
        found = self.decode(leaf)
        return [*found] if type(found) in (list, tuple) else [found]

    def decode_map(self, shell: Leaf, holes: Sequence[tuple[int, list[Any]]]) -> Any:
        """A dict from its shell and the lists that belong into it, or what stands in its place."""
        value = self.decode(shell)
        if type(shell) is Masked and "fields" not in read_mask(shell.data):
            return value
        return filled(value, holes)


def filled(shell: Any, holes: Sequence[tuple[int, Any]]) -> dict[Any, Any]:
    """A dict from its decoded shell and what belongs to its keys, by their positions.

    Raises:
        DecodeError: the shell is no dict, or has no such key.
    """
    if not isinstance(shell, dict):
        raise DecodeError(
            f"found a value of type {type(shell).__qualname__} where only a dict may be: {WRONG}, or open the store "
            "with the serde that wrote it"
        )
    keys = list(shell)
    for position, value in holes:
        if position >= len(keys):
            raise DecodeError(f"a list belongs to key {position} of a dict that has {len(keys)}: {WRONG}")
        shell[keys[position]] = value
    return shell


def _unmasked(leaf: Masked) -> Any:
    from .serde.masked import value_for  # which imports LangChain's messages

    return value_for(read_mask(leaf.data), hex_id(leaf.name))


def unpack(data: bytes) -> list[Leaf]:
    """The serialized elements of a pack; DecodeError if it is none."""
    out = []
    at = 0
    try:
        while at < len(data):
            parts = []
            for _ in range(2):
                size, at = get_varint(data, at)
                if at + size > len(data):
                    raise ValueError("it ends within an element")
                parts.append(data[at : at + size])
                at += size
            out.append(Leaf(parts[0].decode(), parts[1], b""))
    except ValueError as error:
        raise DecodeError(
            f"{len(data)} bytes that should be several small elements are none ({error}): {WRONG}"
        ) from error
    return out
