"""What an export leaves out: content and nonce of chosen values; their ids and masks stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..canonical import from_hex_id, hex_id
from ..errors import WfStoreError
from ..redaction.redacting import Redaction
from ..redaction.selecting import Selection
from ..values.masks import write_mask

if TYPE_CHECKING:
    from ..store import WfStore

Selector = str | Callable[[Any], object]


class Withheld(NamedTuple):
    """Masks of the objects that are left out, by number, and how many objects could not be looked into."""

    masks: Mapping[int, bytes]
    unread: int


NOTHING = Withheld({}, 0)


def selection_of(asked: Selector | Iterable[Selector]) -> Selection:
    """What `redact=` asks for.

    Raises:
        TypeError: something is neither a text nor a function, nor several of these.
        WfStoreError: a text begins like a record id, and is none.
    """
    if isinstance(asked, str) or callable(asked):
        asked = [asked]
    if isinstance(asked, bytes | bytearray | Mapping) or not isinstance(asked, Iterable):
        raise _unknown(asked)
    channels, records, tests = set(), set(), []
    for each in asked:
        if isinstance(each, str):
            if each.startswith("sha256:"):
                records.add(_record_id(each))
            else:
                channels.add(each)
        elif callable(each):
            tests.append(each)
        else:
            raise _unknown(each)
    where = (lambda value: any(test(value) for test in tests)) if tests else None
    return Selection(frozenset(channels), where=where, records=frozenset(records))


def _unknown(found: object) -> TypeError:
    return TypeError(
        "redact= takes the name of a channel, the id of a record (sha256:...), a function of one value, or a list of "
        f"these, not {type(found).__name__}: {found!r:.100}. Nothing was exported"
    )


def _record_id(said: str) -> bytes:
    try:
        return from_hex_id(said)
    except ValueError as error:
        raise WfStoreError(f"redact= names {said!r:.100}, which is no id of a record: {error}") from error


def withheld(store: WfStore, thread_id: str, selection: Selection) -> Withheld:
    """What a selection takes out of a thread, with copies of its messages wherever they stand.

    Raises:
        WfStoreError: nothing was found of a channel or a record that was asked for: it might be a typing error.
        Stale: the thread changed while it was read.
        whatever a function of the selection raises.
    """
    redaction = Redaction.of(store.views, store.codec, thread_id, changes=False)
    chosen = redaction.choose(selection._replace(calls=redaction.calls_of(selection.records)))
    missed = [*map(repr, chosen.missed), *(hex_id(name) for name in sorted(selection.records - redaction.record_ids))]
    if missed:
        raise WfStoreError(
            f"thread {thread_id!r} has nothing to withhold of {', '.join(missed)}; nothing was exported. Name channels "
            "that it has, and records by the ids that thread.checkpoints() and thread.calls() give"
        )
    masks = {number: write_mask(mask) for number, mask in redaction.masks(chosen.numbers).items()}
    return Withheld(masks, len(chosen.unread))
