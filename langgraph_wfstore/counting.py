"""How many there are of something, in words."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """The number with its noun: "1 thread", "2 threads".

    Args:
        many: the noun for all numbers but 1; by default with an s.
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"
