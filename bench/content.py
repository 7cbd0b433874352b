"""Deterministic text and messages: the same seed gives the same bytes on every machine."""

from __future__ import annotations

import itertools
import random

from langchain_core.messages import AIMessage, HumanMessage

MESSAGE_CHARACTERS = 600
_LETTERS = "etaoinshrdlucmfwypvbgk"
_WORDS = 4000


def _vocabulary() -> list[str]:
    source = random.Random("wfstore bench vocabulary")
    return ["".join(source.choices(_LETTERS, k=source.randint(2, 10))) for _ in range(_WORDS)]


# Made-up words drawn by Zipf's law, so that text compresses about as prose does; made here, outside of what is timed.
_VOCABULARY = _vocabulary()
_CUMULATIVE_WEIGHTS = list(itertools.accumulate(1 / (rank + 3) for rank in range(_WORDS)))


def text(seed: str, characters: int) -> str:
    """Text of exactly that many ASCII characters, which depends on the seed only."""
    # A word and its space take 7 characters on average, so this is enough words; a rare short draw is filled up.
    drawn = random.Random(seed).choices(_VOCABULARY, cum_weights=_CUMULATIVE_WEIGHTS, k=characters // 4 + 8)
    return " ".join(drawn)[:characters].ljust(characters, ".")


def human(thread: str, turn: int) -> HumanMessage:
    """What the user says in one turn of a thread."""
    return HumanMessage(text(f"{thread} human {turn}", MESSAGE_CHARACTERS), id=f"{thread}-h{turn}")


def answer(thread: str, turn: int) -> AIMessage:
    """What the model says to it."""
    return AIMessage(text(f"{thread} answer {turn}", MESSAGE_CHARACTERS), id=f"{thread}-a{turn}")


def conversation(thread: str, turns: int) -> list[str]:
    """The contents that a thread of that many turns must read back."""
    return [str(message.content) for turn in range(turns) for message in (human(thread, turn), answer(thread, turn))]
