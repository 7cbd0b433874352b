"""Verify, of objects that hash to their ids: a list consists of objects, and a map of an object and of lists."""

from __future__ import annotations

import hashlib

import pytest

from langgraph_wfstore.backends.base import LIST, MAP, OBJECT, ObjectRow
from langgraph_wfstore.values.lists import FLAG_BITS, list_id, pack_numbers, splice_for
from langgraph_wfstore.values.objects import map_id, nonce_for, object_id
from langgraph_wfstore.verify.objects import _Parts

SECRET = b"s" * 32


def an_object(number: int, data: bytes) -> ObjectRow:
    key = hashlib.sha256(data).digest()
    return ObjectRow(number, object_id("wf1", nonce_for(SECRET, key), key), OBJECT, "wf1", None, data)


def a_list(number: int, *items: ObjectRow) -> ObjectRow:
    data, _ = splice_for([row.number << FLAG_BITS for row in items], None)
    return ObjectRow(number, list_id([b"\0" + row.id for row in items]), LIST, "", None, data)


def a_map(number: int, shell: ObjectRow, *lists: ObjectRow) -> ObjectRow:
    numbers = [shell.number, *(part for at, row in enumerate(lists) for part in (at, row.number))]
    name = map_id(shell.id, [(at, row.id) for at, row in enumerate(lists)])
    return ObjectRow(number, name, MAP, "", None, pack_numbers(numbers))


SHELL, ELEMENT = an_object(1, b"\x81\xa1a\xc0"), an_object(2, b"element")
ITEMS = a_list(3, ELEMENT)
WHOLE = a_map(4, SHELL, ITEMS)


def problems(*more: ObjectRow) -> list[str]:
    said: list[str] = []
    parts = _Parts(lambda place, what: said.append(f"{place}: {what}"))
    for row in (SHELL, ELEMENT, ITEMS, WHOLE, *more):
        parts.take(row, SECRET)
    parts.check_lists()
    return said


def test_lists_of_objects_and_maps_of_an_object_and_lists_are_sound():
    assert problems(a_list(5, ELEMENT, SHELL), a_map(6, SHELL, ITEMS, ITEMS)) == []


@pytest.mark.parametrize("part", [ITEMS, WHOLE], ids=["list", "map"])
def test_a_list_or_map_is_no_item_of_a_list(part):
    assert problems(a_list(5, ELEMENT, part)) == [
        f"object 5: its item {part.number} is a list or a dict, not an object"
    ]


@pytest.mark.parametrize("part", [ITEMS, WHOLE], ids=["list", "map"])
def test_a_list_or_map_is_no_shell_of_a_map(part):
    assert problems(a_map(5, part, ITEMS)) == [f"object 5: its shell {part.number} is a list or a dict, not an object"]


@pytest.mark.parametrize("part", [ELEMENT, WHOLE], ids=["object", "map"])
def test_what_is_no_list_is_no_list_of_a_map(part):
    assert problems(a_map(5, SHELL, part)) == [f"object 5: its part {part.number} is no list"]
