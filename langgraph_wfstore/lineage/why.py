"""Why a thread says what it says: from a value back to the inputs, along recorded links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..appending.trace import link as link_to
from ..backends.base import RecordRow
from ..errors import CheckpointNotFoundError
from ..printing import shortened
from ..records import CallRecord, EndRecord
from ..redacted import is_redacted, redacted_key
from ..threads.view import Entry
from ..tracing.infos import TRUNCATED, CallInfo, RunInfo, StepInfo
from ..tracing.normal import content_key, hash_of, message, tool_calls
from ..values.masks import is_message
from .evidence import Evidence
from .items import Parts, Place
from .lineage import Lineage, Link, call_link
from .origins import START, Origins, holds, place_in

if TYPE_CHECKING:
    from ..store import WfStore

_MESSAGE_NAMES = {"human": "user", "ai": "assistant"}
_FOLDED = 8  # so many messages side by side that are shown already are one link


def why(store: WfStore, thread_id: str, checkpoint_id: str | None, channel: str, index: int | None) -> Lineage:
    """See `Thread.why`."""
    evidence = Evidence(store, thread_id)
    entry = evidence.ancestry.entry(checkpoint_id if checkpoint_id is not None else evidence.ancestry.head())
    if entry is None or entry.row is None or entry.record is None or not entry.shown:
        raise CheckpointNotFoundError(
            f"thread {thread_id!r} has no checkpoint {checkpoint_id!r}; thread.checkpoints() lists them"
        )
    place = place_in(entry, entry.record, channel)
    if place is None:
        known = [c.name for c in entry.record.channels if c.value is not None]
        names = ", ".join(sorted(repr(name) for name in known if not name.startswith(("__", "branch:"))))
        raise ValueError(f"checkpoint {entry.checkpoint_id!r} has no channel {channel!r}; it has {names}")
    return _Why(evidence, entry, channel).answer(place, index)


class _Why:
    """One answer: a tree that is grown depth first, each thing with its links where it is first met."""

    def __init__(self, evidence: Evidence, entry: Entry, channel: str) -> None:
        assert entry.row is not None
        self._evidence = evidence
        self._checkpoint_id = entry.checkpoint_id
        self._channel = channel
        self._origins = Origins(evidence, entry.checkpoint_id, channel)
        self._of_merged: dict[str, Origins] = {}
        self._limit = entry.row.seq
        self._shown: set[tuple[str, str]] = set()
        self._seen: dict[bytes, list[Link]] = {}
        self._met: list[tuple[Link, Iterator[Link]]] = []

    def answer(self, place: Place, index: int | None) -> Lineage:
        names = self._evidence.items.ids(*place)
        if index is None or names is None:
            title = f"why does {self._channel!r} hold what it holds"
            root = self._whole(place)
        else:
            if not -len(names) <= index < len(names):
                raise IndexError(
                    f"channel {self._channel!r} has {len(names)} elements at checkpoint {self._checkpoint_id!r}, none "
                    f"at {index}; index=None asks about the whole value"
                )
            at = index % len(names)
            title = f"why does {self._channel}[{at}] say what it says"
            root = self._element(place, at, names[at])
        self._grow()
        return Lineage(title, root)

    def _grow(self) -> None:
        """Follow what was met, depth first; a long chain takes no deeper stack than a short one."""
        growing: list[tuple[Link, Iterator[Link]]] = []
        while True:
            growing += reversed(self._met)
            self._met = []
            if not growing:
                return
            link, because = growing[-1]
            found = next(because, None)
            if found is None:
                growing.pop()
            else:
                link.links.append(found)

    def _once(self, link: Link, because: Callable[[], Iterator[Link]], key: str | None = None) -> Link:
        """The link, which gets what it follows from if it is met for the first time."""
        name = (link.kind, key or link.id or link.label)
        if name in self._shown:
            link.again = link.kind != "run"
        else:
            self._shown.add(name)
            self._met.append((link, because()))
        return link

    # ------------------------------------------------------------------ values of channels

    def _whole(self, place: Place) -> Link:
        """A channel's value: the superstep that changed it last."""
        value = self._evidence.items.value(*place)
        facts = {"value": shortened(repr(value))}
        root = Link("value", self._checkpoint_id, f"channel {self._channel!r}", facts)
        root.links.append(self._writer(self._origins.of_whole(place[2]), None, value))
        return root

    def _element(self, place: Place, at: int, name: bytes) -> Link:
        item = self._evidence.items.element(*place, at)
        key = redacted_key(item)  # where its line goes back to before it was redacted
        name = name if key is None or self._origins.of_element(key) is None else key
        if is_message(item):
            return self._message(item, name)
        root = Link("value", None, f"{self._channel}[{at}]", {"value": shortened(repr(item))})
        root.links.append(self._writer(self._origins.of_element(name), name, item))
        return root

    def _writer(self, origin: Entry | None, name: bytes | None, item: Any) -> Link:
        """What wrote the value that came with a checkpoint."""
        if origin is None or origin.record is None or origin.row is None:
            return Link("unknown", None, "unknown: the checkpoint that it came with is not there any more")
        record = origin.record
        above = self._evidence.ancestry.entry(record.parent_checkpoint_id)
        if record.parent_checkpoint_id is not None and above is None:
            return Link("unknown", record.checkpoint_id, "unknown: it was there in the oldest checkpoint that is kept")
        if record.source == "input":
            return self._input(origin)
        if (other := self._evidence.ancestry.merged(origin)) is not None:
            return self._merged(origin, other, name, item)
        if record.source in ("update", "fork"):
            facts = {"checkpoint": record.checkpoint_id, "at": record.ts}
            return Link("update", record.checkpoint_id, "written by update_state, by nobody's step", facts)
        tasks = None if above is None else self._origins.tasks(above, name, item)
        if above is not None and above.record is not None and above.record.source == "input" and tasks == {START}:
            return self._input(above)
        return self._by_steps(above, origin, tasks, item)

    def _merged(self, merge: Entry, other: str, name: bytes | None, item: Any) -> Link:
        """What wrote a value that a merge took from its second parent."""
        facts = {"checkpoint": merge.checkpoint_id, "of": other}
        link = Link("merge", merge.checkpoint_id, "came in by a merge", facts)
        origins = self._of_merged.setdefault(other, Origins(self._evidence, other, self._channel))
        channel = merge.channels.get(self._channel)
        ref = None if channel is None else channel.value
        key = redacted_key(item)
        origin = origins.of_whole(ref) if name is None else origins.of_element(name)
        if origin is None and key is not None:
            origin = origins.of_element(key)
        if origin is None:
            link.links.append(Link("unknown", None, "unknown: what was merged does not have it, so the merge made it"))
        else:
            link.links.append(self._writer(origin, name, item))
        return link

    def _by_steps(self, above: Entry | None, origin: Entry, tasks: set[str] | None, item: Any) -> Link:
        """The steps whose tasks wrote a value; of a run that saved only at its end, those that gave it."""
        assert origin.record is not None
        if tasks is None and (run := self._origins.given_run(above, origin, item)) is not None:
            return self._given(run)
        steps = self._origins.steps(above, origin)
        if tasks is None:  # there are no writes; what its steps gave is there
            writers = [step for step in steps if holds(step.output, item)] or steps
        else:
            writers = [step for step in steps if step.task_id in tasks]
        if len(writers) == 1:
            return self._step(writers[0])
        if writers:
            several = Link("unknown", origin.checkpoint_id, "unknown which of these steps wrote it")
            several.links += [self._step(step) for step in writers]
            return several
        if not steps and origin.record.parent_checkpoint_id is None:
            return self._input(origin)
        return Link("unknown", origin.checkpoint_id, "unknown: no recorded step wrote it; was it made without capture?")

    # ------------------------------------------------------------------ runs and steps

    def _input(self, origin: Entry) -> Link:
        """The input of the run that put an input checkpoint."""
        run = self._origins.input_run(origin)
        if run is None:
            return Link("input", origin.checkpoint_id, "given as input, to a run that was not captured")
        return self._given(run)

    def _given(self, run: RunInfo) -> Link:
        return Link("input", run.run_id, "given as input", {"run": run.run_id}, self._run_once(run.run_id))

    def _run_once(self, run_id: str) -> list[Link]:
        """The run that something was made in, the first time it is met."""
        run = None if ("run", run_id) in self._shown else self._evidence.trace(run_id).run(run_id)
        if run is None:
            return []
        facts = {"workflow": None if run.workflow is None else run.workflow[:19], "checkpoint": run.checkpoint_id}
        link = Link("run", run.run_id, f"run of {run.name or 'a graph'}", {"run": run.run_id, **facts})
        return [self._once(link, lambda: iter(()))]

    def _step(self, step: StepInfo) -> Link:
        """A step: the calls made in it, or else what it read."""
        facts: dict[str, Any] = {"checkpoint": step.checkpoint_id, "status": step.status, "attempt": step.attempt}
        link = Link("step", step.step_id, f"step {step.number} {step.node}", facts)

        def because() -> Iterator[Link]:
            yield from self._run_once(step.run_id)
            calls = self._evidence.trace(step.run_id).calls_in(step.step_id)
            yield from map(self._call, calls)
            if not calls:
                yield Link("unknown", step.checkpoint_id, "unknown which parts of the state it read it used")

        return self._once(link, because)

    # ------------------------------------------------------------------ messages

    def _message(self, item: Any, name: bytes | None, *, seen: bool = False) -> Link:
        """A message: the call that gave it, or else what wrote it.

        Args:
            name: its object id; None if it has none.
            seen: whether a call saw it; then it may be in no checkpoint.
        """
        kind = str(getattr(item, "type", "message"))
        text = item.content if isinstance(item.content, str) else repr(item.content)
        asked = [call.get("name") for call in tool_calls(item)]
        facts = {"text": shortened(text) if text else None, "calls": ", ".join(map(str, asked)) or None}
        own = _id(item)
        link = Link("message", own, f"{_MESSAGE_NAMES.get(kind, kind)} message", {**facts, "id": own})

        def because() -> Iterator[Link]:
            found = self._tool_call_of(item) if kind == "tool" else self._model_call_of(item)
            if found:
                yield from found
                return
            origin = self._origins.of_element(name) if name is not None else None
            if origin is None and seen:
                yield Link("value", None, "made in the step: no checkpoint that is kept holds it")
            else:
                yield self._writer(origin, name, item)

        return self._once(link, because, own or f"content {hash_of(message(item)).hex()}")

    def _model_call_of(self, item: Any) -> list[Link]:
        """The model call that gave a message, by the message's id and content."""
        own = _id(item)
        ends = self._ended(link_to("message", own)) if own is not None else []
        if not ends:
            return []
        keys = [content_key(item)]
        same = [end for row, end in ends if is_redacted(item) or self._evidence.gave(row, end, keys) is not False]
        if same:
            return self._call_of(same[-1])
        changed = "the call that gave this message gave another content: it was changed since"
        return [Link("unknown", own, changed), *self._call_of(ends[-1][1])]

    def _tool_call_of(self, item: Any) -> list[Link]:
        """The tool call that gave a message, by the tool call's id."""
        own = getattr(item, "tool_call_id", None)
        if type(own) is not str:
            return []
        begun = [
            (row, record)
            for row, record in self._evidence.linked(link_to("tool", own))
            if isinstance(record, CallRecord) and record.type == "tool" and row.seq < self._limit
        ]
        if not begun:
            none = Link("unknown", own, "no call of that id was recorded: the tool did not run, or not under capture")
            return [none, *self._asked(own)]
        row, record = begun[-1]
        trace = self._evidence.trace(record.run_id)
        call, end = trace.call(record.call_id), trace.ends.get(row.id)
        found = [] if call is None else [self._call(call)]
        form = message(item)
        keys = (content_key(item), hash_of(form["parts"][0].get("response")) if form["parts"] else b"")
        if end is None or end[1].content is None or is_redacted(item):
            return found
        if self._evidence.gave(*end, keys) is False:
            found.insert(0, Link("unknown", own, "the message says something else than the tool gave"))
        return found

    def _ended(self, link: int) -> list[tuple[RecordRow, EndRecord]]:
        """The ends of calls that have a link, before the checkpoint that was asked about."""
        found = [(row, record) for row, record in self._evidence.linked(link) if row.seq < self._limit]
        return [(row, record) for row, record in found if isinstance(record, EndRecord) and record.of == "call"]

    def _asked(self, tool_call_id: str) -> list[Link]:
        """The model call that asked for a tool call."""
        ends = self._ended(link_to("tool", tool_call_id))
        return self._call_of(ends[-1][1]) if ends else []

    def _call_of(self, end: EndRecord) -> list[Link]:
        call = self._evidence.trace(end.run_id).call(end.id)
        return [] if call is None else [self._call(call)]

    # ------------------------------------------------------------------ calls

    def _call(self, call: CallInfo) -> Link:
        link = call_link(call)
        trace = self._evidence.trace(call.run_id)
        step = trace.step(call.step_id)
        if step is not None:
            link.facts = {"step": f"{step.number} {step.node}", **link.facts}

        def because() -> Iterator[Link]:
            yield from self._run_once(call.run_id)
            if call.type != "model":
                yield from map(self._call, trace.calls_inside(call.call_id))
                yield from self._asked(call.tool_call_id) if call.tool_call_id is not None else ()
            else:
                yield from self._given_to(call)

        return self._once(link, because)

    def _given_to(self, call: CallInfo) -> Iterator[Link]:
        """What a model was given."""
        row, record = self._evidence.trace(call.run_id).record_of(call)
        parts = None if record.input is None else self._evidence.items.parts(row, record, record.input)
        if parts is not None and parts.numbers is not None:
            yield from self._given_parts(parts)
        elif call.input is None or _is_left_out(call.input):
            yield Link("unknown", call.call_id, "unknown: what it was given was not recorded")
        else:
            names = [None] if parts is None else parts.names
            given = call.input if isinstance(call.input, list) else [call.input]
            self._expect(given)
            for item, name in zip(given, names, strict=True):
                yield self._saw(item, name)

    def _given_parts(self, parts: Parts) -> Iterator[Link]:
        """The elements of a list; what is shown already is not read again, and many of those side by side are one."""
        new = [at for at, name in enumerate(parts.names) if name not in self._seen]
        values = self._evidence.items.values(parts, new) if new else {}
        self._expect([value for some in values.values() for value in some])
        shown: list[Link] = []
        for at, name in enumerate(parts.names):
            if name in self._seen:
                shown += self._seen[name]
                continue
            yield from _folded(shown)
            shown = []
            links = []
            for value, own in zip(values[at], self._evidence.items.expand([name]), strict=True):
                links.append(self._saw(value, own))
                yield links[-1]
            self._seen[name] = links
        yield from _folded(shown)

    def _expect(self, given: list[Any]) -> None:
        """Read at once what these messages will be looked up by."""
        messages = [item for item in given if is_message(item)]
        named = [("message", _id(item)) for item in messages]
        named += [("tool", getattr(item, "tool_call_id", None)) for item in messages]
        self._evidence.expect(link_to(what, name) for what, name in named if type(name) is str)

    def _saw(self, item: Any, name: bytes | None) -> Link:
        if _is_left_out(item):
            return Link("unknown", None, "unknown: a message that was not recorded whole")
        if not is_message(item):
            return Link("value", None, "prompt", {"text": shortened(repr(item))})
        if getattr(item, "type", "") == "system":
            return Link("message", _id(item), "system message", {"text": shortened(str(item.content))})
        return self._message(item, name, seen=True)


def _folded(shown: list[Link]) -> Iterator[Link]:
    """Links that were shown before; many are one."""
    if len(shown) <= _FOLDED:
        for link in shown:
            yield Link(link.kind, link.id, link.label, link.facts, again=link.again or bool(link.links))
        return
    facts = {"first": shown[0].id, "last": shown[-1].id, "count": len(shown)}
    yield Link("messages", None, f"{len(shown)} messages", facts, again=True)


def _is_left_out(value: Any) -> bool:
    """Whether something stands in the place of a value that was not stored."""
    return isinstance(value, dict) and set(value) == {TRUNCATED}


def _id(message: Any) -> str | None:
    """The id of a message; nothing checks what stands in it once it was made."""
    own = getattr(message, "id", None)
    return own if type(own) is str else None
