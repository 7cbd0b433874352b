"""What is already known of live values: which bytes an unchanged element has, and copies of decoded ones.

A chat of a thousand turns would otherwise be serialized and decoded whole at every step. Two rules keep that
safe: a remembered element counts only if nothing that its bytes depend on has changed since (it is looked at
every time, nested containers included), and what is handed out shares no mutable container with anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from .blocks import TOGETHER, Block
from .elements import Known, Leaf, Shape

TEXTS = frozenset({str, bytes})  # what cannot change, and may be long


class Memo:
    """What live elements look like, by identity of the live object.

    That an element is known is only a hint where to look: what counts is that it looks as it did, so that neither an
    element that was changed nor another one in the place of one that is gone is mistaken for it.

    Texts and bytes, which cannot change, are known by what they say.

    Args:
        capacity: how many models to remember at the most; the older half goes when it is reached.
        characters: of how many texts, in characters, or bytes; likewise.
    """

    def __init__(self, capacity: int = 60_000, characters: int = 8_000_000) -> None:
        self._half = max(1, capacity // 2)
        self._characters = characters // 2
        self._models: dict[type, bool] = {}
        self.clear()

    def clear(self) -> None:
        """Forget everything that was said: content was redacted."""
        self._read = 0
        self._texts: dict[object, Leaf] = {}
        self._texts_before: dict[object, Leaf] = {}
        self._known: dict[int, Known] = {}
        self._before: dict[int, Known] = {}
        self._blocks: dict[int, Block] = {}

    def recall(self, value: Any) -> Leaf | None:
        """The serialized form of `value`, if it is known and nothing in it has changed."""
        if type(value) in TEXTS:
            key = _key(value)
            return self._texts.get(key) or self._texts_before.get(key)
        known = self._known.get(id(value)) or self._before.get(id(value))
        return known.leaf if known is not None and _is_like(value, known.shape) else None

    def recall_all(self, values: Sequence[Any]) -> list[Leaf | None]:
        """For each of the elements of a list what `recall` gives."""
        found: list[Leaf | None] = []
        at = alone = 0
        while at < len(values):
            value = values[at]
            block = self._blocks.get(id(value))
            if block is not None and block.holds(values[at : at + len(block)]):
                found += block.leaves
                at += len(block)
                alone = 0
                continue
            leaf = self.recall(value)
            found.append(leaf)
            at += 1
            alone = 0 if leaf is None else alone + 1
            if alone == TOGETHER:
                self._join(values[at - TOGETHER : at])
                alone = 0
        return found

    def _join(self, values: Sequence[Any]) -> None:
        """From now on look together at elements that were recalled one by one and stand side by side."""
        members = [self._known.get(id(value)) or self._before.get(id(value)) for value in values]
        if None not in members:
            self._enter(values, Block([known for known in members if known is not None]))

    def look(self, value: Any) -> Shape | None:
        """What to keep from before `value` is serialized, so that a change during it is noticed later.

        None if it cannot be remembered: it is no model, has extras or private attributes, or holds what nothing
        vouches for.
        """
        kind = type(value)
        is_model = self._models.get(kind)
        if is_model is None:
            is_model = issubclass(kind, BaseModel)
            if len(self._models) < 10_000:
                self._models[kind] = is_model
        if not is_model or value.__pydantic_extra__ or value.__pydantic_private__ is not None:
            return None
        try:
            return Shape(value)
        except (ValueError, TypeError):  # a field holds what marshal or orjson does not write
            return None

    def remember(self, value: Any, known: Known) -> None:
        """Remember `value`, which looked like this before it was serialized."""
        self._turn(1)
        self._known[id(value)] = known

    def remember_text(self, value: str | bytes, leaf: Leaf) -> None:
        """Remember the serialized form of a text, or of bytes."""
        self._read += len(value)
        if self._read > self._characters:
            self._read = len(value)
            self._texts_before, self._texts = self._texts, {}
        self._texts[_key(value)] = leaf

    def _enter(self, models: Sequence[Any], block: Block) -> None:
        self._turn(len(models))
        self._known.update(zip(map(id, models), block.members, strict=True))
        self._blocks[id(models[0])] = block

    def _turn(self, more: int) -> None:
        """Forget the older half if so many more are too many."""
        if len(self._known) + more > self._half and self._known:
            self._before, self._known = self._known, {}
            self._blocks = {key: block for key, block in list(self._blocks.items()) if key in self._before}

    def copy(self, known: Known) -> Any:
        """An independent copy, remembered, so that it need not be serialized if it comes back unchanged."""
        model = known.shape.copy()
        self.remember(model, known)
        return model

    def copies(self, block: Block) -> list[Any]:
        """Independent copies of consecutive elements, remembered."""
        models = block.copies()
        self._enter(models, block)
        return models


def _key(value: str | bytes) -> object:
    return value if type(value) is str else (value,)  # they have equal hashes, and must not be compared


def _is_like(value: Any, shape: Shape) -> bool:
    return isinstance(value, BaseModel) and shape.fits(value)
