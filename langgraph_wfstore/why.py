"""Why a thread says what it says: from a value back to the inputs, along recorded links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .ancestry import Ancestry
from .backends.base import RecordRow
from .errors import CheckpointNotFoundError
from .lineage import Lineage, Link, call_link
from .normal import content_key, hash_of, message
from .printing import shortened
from .reading import StoredCheckpoint
from .records import CallRecord, EndRecord, RunRecord, StepRecord
from .trace import link as link_to
from .traces import TRUNCATED, CallInfo, RunInfo, StepInfo, Trace, Traces
from .view import Entry, read_rows

if TYPE_CHECKING:
    from .store import WfStore

_START = "__start__"  # LangGraph's task that takes the input to the channels
_MESSAGE_NAMES = {"human": "user", "ai": "assistant"}


def why(store: WfStore, thread_id: str, checkpoint_id: str | None, channel: str, index: int | None) -> Lineage:
    """See `Thread.why`."""
    return _Why(store, thread_id).answer(checkpoint_id, channel, index)


class _Why:
    def __init__(self, store: WfStore, thread_id: str) -> None:
        self._store = store
        self._thread_id = thread_id
        self._traces = Traces(store, thread_id)
        self._ancestry = Ancestry(store, thread_id)
        self._runs: dict[str, Trace] = {}
        self._shown: set[tuple[str, str]] = set()
        self._origins: dict[bytes, Entry] = {}
        self._walk: Iterator[tuple[bytes, Entry]] = iter(())
        self._limit = 0
        self._channel = ""

    def answer(self, checkpoint_id: str | None, channel: str, index: int | None) -> Lineage:
        asked = checkpoint_id if checkpoint_id is not None else self._ancestry.head()
        entry = self._ancestry.entry(asked)
        found = None
        if asked is not None:
            found = self._store.get(self._thread_id, "", asked, self._store.codec).checkpoint
        if found is None or entry is None or entry.row is None:
            raise CheckpointNotFoundError(
                f"thread {self._thread_id!r} has no checkpoint {checkpoint_id!r}; thread.checkpoints() lists them"
            )
        value = self._value(found, channel)
        self._limit = entry.row.seq
        self._channel = channel
        self._walk = self._added(found.record.checkpoint_id, channel)
        if index is None or not isinstance(value, list):
            return Lineage(f"why does {channel!r} hold what it holds", self._whole(found, channel, value))
        if not -len(value) <= index < len(value):
            raise IndexError(
                f"channel {channel!r} has {len(value)} elements at checkpoint {asked!r}, none at {index}; "
                "index=None asks about the whole value"
            )
        at = index % len(value)
        root = self._element(found, entry, channel, value, at)
        return Lineage(f"why does {channel}[{at}] say what it says", root)

    @staticmethod
    def _value(found: StoredCheckpoint, channel: str) -> Any:
        if channel not in found.values:
            known = ", ".join(sorted(repr(name) for name in found.values if not name.startswith(("__", "branch:"))))
            raise ValueError(f"checkpoint {found.record.checkpoint_id!r} has no channel {channel!r}; it has {known}")
        return found.values[channel]

    # ------------------------------------------------------------------ values of channels

    def _whole(self, found: StoredCheckpoint, channel: str, value: Any) -> Link:
        """A channel's value: the superstep that changed it last."""
        root = Link("value", found.record.checkpoint_id, f"channel {channel!r}", {"value": shortened(repr(value))})
        ref = next(c.value for c in found.record.channels if c.name == channel)
        origin: Entry | None = None
        for entry, record in self._ancestry.back(found.record.checkpoint_id):
            if not any(c.name == channel and c.value == ref for c in record.channels):
                break
            origin = entry
        root.links.append(self._writer(origin, channel, None, value))
        return root

    def _element(self, found: StoredCheckpoint, entry: Entry, channel: str, value: list[Any], at: int) -> Link:
        item = value[at]
        ref = next(c.value for c in found.record.channels if c.name == channel)
        assert entry.row is not None and entry.record is not None and ref is not None
        ids = self._ancestry.items(entry.row, entry.record, ref)
        name = ids[at] if ids is not None else None
        if _is_message(item):
            return self._message(item, lambda: self._origin(found, channel, name, item, at))
        root = Link("value", None, f"{channel}[{at}]", {"value": shortened(repr(item))})
        root.links.append(self._writer(self._origin(found, channel, name, item, at), channel, name, item))
        return root

    def _added(self, checkpoint_id: str, channel: str) -> Iterator[tuple[bytes, Entry]]:
        """Going back, each element of a list channel with the checkpoint that it came with."""
        newer: tuple[Entry, set[bytes]] | None = None
        for entry, record in self._ancestry.back(checkpoint_id):
            ref = next((c.value for c in record.channels if c.name == channel), None)
            assert entry.row is not None
            items = set() if ref is None else set(self._ancestry.items(entry.row, record, ref) or ())
            if newer is not None:
                yield from ((name, newer[0]) for name in newer[1] - items)
            newer = entry, items
        if newer is not None:
            yield from ((name, newer[0]) for name in newer[1])

    def _origin(self, found: StoredCheckpoint, channel: str, name: bytes | None, item: Any, at: int) -> Entry | None:
        """The checkpoint that an element came with."""
        if name is not None:
            while name not in self._origins:
                step = next(self._walk, None)
                if step is None:
                    return None
                self._origins.setdefault(*step)
            return self._origins[name]
        origin: Entry | None = None
        for entry, _ in self._ancestry.back(found.record.checkpoint_id):
            state = self._traces.state(entry.checkpoint_id, "") or {}
            value = state.get(channel)
            if not isinstance(value, list) or len(value) <= at or value[at] != item:
                break
            origin = entry
        return origin

    def _writer(self, origin: Entry | None, channel: str, name: bytes | None, item: Any) -> Link:
        """What wrote the value that came with a checkpoint."""
        if origin is None or origin.record is None or origin.row is None:
            return Link("unknown", None, "unknown: the checkpoint that it came with is not there any more")
        record = origin.record
        if record.parent_checkpoint_id is not None and self._ancestry.entry(record.parent_checkpoint_id) is None:
            return Link("unknown", record.checkpoint_id, "unknown: it was there in the oldest checkpoint that is kept")
        if record.source == "input":
            return self._input(origin)
        if (other := self._ancestry.merged(origin)) is not None:
            return self._merged(origin, other, channel, name, item)
        if record.source in ("update", "fork"):
            facts = {"checkpoint": record.checkpoint_id, "at": record.ts}
            return Link("update", record.checkpoint_id, "written by update_state, by nobody's step", facts)
        above = self._ancestry.entry(record.parent_checkpoint_id)
        steps = self._steps_before(above, origin)
        tasks = None if above is None else self._tasks(above, channel, name, item)
        if above is not None and above.record is not None and above.record.source == "input" and tasks == {_START}:
            return self._input(above)
        if tasks is None and (given := self._given_to_run(above, origin, item)) is not None:
            return given
        if tasks is None:  # of a run that saved only at its end there are no writes; what its steps gave is there
            writers = [step for step in steps if _holds(step.output, item)] or steps
        else:
            writers = [step for step in steps if step.task_id in tasks]
        if not writers and not steps and record.parent_checkpoint_id is None:
            return self._input(origin)
        if not writers:
            return Link(
                "unknown", record.checkpoint_id, "unknown: no recorded step wrote it; was it made without capture?"
            )
        if len(writers) == 1:
            return self._step(writers[0])
        several = Link("unknown", record.checkpoint_id, "unknown which of these steps wrote it")
        several.links += [self._step(step) for step in writers]
        return several

    def _merged(self, merge: Entry, other: str, channel: str, name: bytes | None, item: Any) -> Link:
        """What wrote a value that a merge took from its second parent."""
        link = Link(
            "merge", merge.checkpoint_id, "came in by a merge", {"checkpoint": merge.checkpoint_id, "of": other}
        )
        if name is not None:
            origin = next((entry for added, entry in self._added(other, channel) if added == name), None)
        else:
            ref, origin = merge.channels[channel].value, None
            for entry, _ in self._ancestry.back(other):
                held = entry.channels.get(channel)
                if held is None or held.value != ref:
                    break
                origin = entry
        if origin is None:
            link.links.append(Link("unknown", None, "unknown: what was merged does not have it, so the merge made it"))
        else:
            link.links.append(self._writer(origin, channel, name, item))
        return link

    def _tasks(self, above: Entry, channel: str, name: bytes | None, item: Any) -> set[str] | None:
        """The tasks whose writes hold a value; if none does, those that wrote its channel; None if none are there."""
        holding, writing = set(), set()
        for row, record in self._ancestry.writes_at(above):
            for write in record.writes:
                if write.channel != channel:
                    continue
                ids = self._ancestry.items(row, record, write.value)
                task = _START if record.task_path.endswith(f", {_START}") else record.task_id
                if name is not None and (name == write.value.id or (ids is not None and name in ids)):
                    holding.add(task)
                elif name is None or ids is None:
                    value = self._ancestry.load(row, record, write.value).value(self._store.codec, write.value)
                    if value == item or (isinstance(value, list) and item in value):
                        holding.add(task)
                writing.add(task)
        return holding or writing or None

    def _given_to_run(self, above: Entry | None, origin: Entry, item: Any) -> Link | None:
        """The input, if a run that saved only at its end was given this."""
        assert origin.row is not None
        after = above.row.seq if above is not None and above.row is not None else 0
        for _, record in self._ancestry.between(after, origin.row.seq):
            if isinstance(record, RunRecord):
                run = next(iter(self._trace(record.run_id).runs()))
                if _holds(run.input, item):
                    return Link("input", run.run_id, "given as input", {"run": run.run_id}, self._run_once(run.run_id))
        return None

    def _steps_before(self, above: Entry | None, origin: Entry) -> list[StepInfo]:
        """The steps whose superstep made a checkpoint; of a run that saved only at its end, its last ones."""
        assert origin.row is not None
        after = above.row.seq if above is not None and above.row is not None else 0
        anchor = None if above is None else above.checkpoint_id
        found = [
            record
            for _, record in self._ancestry.between(after, origin.row.seq)
            if isinstance(record, StepRecord) and not record.namespace
        ]
        here = [record for record in found if record.checkpoint_id == anchor] or found
        last = {record.task_id: record for record in here}  # of several attempts, and of several runs, the last one
        return [self._step_info(record) for record in last.values()]

    def _trace(self, run_id: str) -> Trace:
        if run_id not in self._runs:
            self._runs[run_id] = self._traces.of([run_id])
        return self._runs[run_id]

    def _step_info(self, record: StepRecord) -> StepInfo:
        return next(s for s in self._trace(record.run_id).steps() if s.step_id == record.step_id)

    # ------------------------------------------------------------------ runs and steps

    def _input(self, origin: Entry) -> Link:
        """The input of the run that put an input checkpoint."""
        assert origin.record is not None and origin.row is not None
        started_from = origin.record.parent_checkpoint_id
        rows = self._store.backend.runs(self._ancestry.number)
        runs = [(row, r) for row, r in read_rows(rows) if isinstance(r, RunRecord) and r.checkpoint_id == started_from]
        if not runs:
            return Link("input", origin.checkpoint_id, "given as input, to a run that was not captured")
        seq = origin.row.seq
        _, record = min(runs, key=lambda found: abs(found[0].seq - seq))
        run = next(iter(self._trace(record.run_id).runs()))
        return Link("input", run.run_id, "given as input", {"run": run.run_id}, self._run_once(run.run_id))

    def _run(self, run: RunInfo) -> Link:
        facts = {"workflow": None if run.workflow is None else run.workflow[:19], "checkpoint": run.checkpoint_id}
        link = Link("run", run.run_id, f"run of {run.name or 'a graph'}", {"run": run.run_id, **facts})
        return self._once(link, list)

    def _run_once(self, run_id: str) -> list[Link]:
        """The run that something was made in, the first time it is met."""
        if ("run", run_id) in self._shown:
            return []
        return [self._run(next(iter(self._trace(run_id).runs())))]

    def _step(self, step: StepInfo) -> Link:
        """A step: the calls made in it, or else what it read."""
        facts: dict[str, Any] = {"checkpoint": step.checkpoint_id, "status": step.status, "attempt": step.attempt}
        link = Link("step", step.step_id, f"step {step.number} {step.node}", facts)

        def because() -> list[Link]:
            calls = [c for c in self._trace(step.run_id).calls() if c.step_id == step.step_id and c.parent is None]
            run = self._run_once(step.run_id)
            if not calls:
                reads = Link("unknown", step.checkpoint_id, "unknown which parts of the state it read it used")
                return [*run, reads]
            return [*run, *[self._call(call) for call in calls]]

        return self._once(link, because)

    # ------------------------------------------------------------------ messages and calls

    def _message(self, item: Any, origin: Callable[[], Entry | None], seen: bool = False) -> Link:
        """A message: the call that gave it, or else what wrote it; one that a call saw may be in no checkpoint."""
        kind = str(getattr(item, "type", "message"))
        text = item.content if isinstance(item.content, str) else repr(item.content)
        asked = [call.get("name") for call in getattr(item, "tool_calls", None) or ()]
        facts = {"text": shortened(text) if text else None, "calls": ", ".join(map(str, asked)) or None}
        name = getattr(item, "id", None)
        link = Link("message", name, f"{_MESSAGE_NAMES.get(kind, kind)} message", {**facts, "id": name})
        key = name or f"content {hash_of(message(item)).hex()}"

        def because() -> list[Link]:
            found = self._tool_call_of(item) if kind == "tool" else self._model_call_of(item)
            if found:
                return found
            came_with = origin()
            if came_with is None and seen:
                return [Link("value", None, "made in the step: no checkpoint that is kept holds it")]
            return [self._writer(came_with, self._channel, None, item)]

        return self._once(link, because, key)

    def _model_call_of(self, item: Any) -> list[Link]:
        """The model call that gave a message, by the message's id and content."""
        name = getattr(item, "id", None)
        if type(name) is not str:
            return []
        ends = [(row, end) for row, end in self._ended(link_to("message", name)) if end.of == "call"]
        same = [end for _, end in ends if end.content == self._ancestry.keyed(content_key(item))]
        if same:
            return [self._call_by_id(same[-1].run_id, same[-1].id)]
        if ends:
            changed = Link(
                "unknown", name, "the call that gave this message gave another content: it was changed since"
            )
            return [changed, self._call_by_id(ends[-1][1].run_id, ends[-1][1].id)]
        return []

    def _tool_call_of(self, item: Any) -> list[Link]:
        """The tool call that gave a message, by the tool call's id."""
        name = getattr(item, "tool_call_id", None)
        if type(name) is not str:
            return []
        begun = [
            (row, record)
            for row, record in self._traces.linked([link_to("tool", name)])
            if isinstance(record, CallRecord) and record.type == "tool" and row.seq < self._limit
        ]
        if not begun:
            none = Link("unknown", name, "no call of that id was recorded: the tool did not run, or not under capture")
            return [none, *self._asked(name)]
        _, record = begun[-1]
        found = [self._call_by_id(record.run_id, record.call_id)]
        end = next((e for _, e in self._trace(record.run_id).ends.values() if e.id == record.call_id), None)
        form = message(item)
        keys = (content_key(item), hash_of(form["parts"][0].get("response")) if form["parts"] else b"")
        if end is not None and end.content is not None and end.content not in map(self._ancestry.keyed, keys):
            found.insert(0, Link("unknown", name, "the message says something else than the tool gave"))
        return found

    def _ended(self, link: int) -> list[tuple[RecordRow, EndRecord]]:
        found = self._traces.linked([link])
        return [(row, r) for row, r in found if isinstance(r, EndRecord) and row.seq < self._limit]

    def _asked(self, tool_call_id: str) -> list[Link]:
        """The model call that asked for a tool call."""
        ends = [e for _, e in self._ended(link_to("tool", tool_call_id)) if e.of == "call"]
        return [self._call_by_id(ends[-1].run_id, ends[-1].id)] if ends else []

    def _call_by_id(self, run_id: str, call_id: str) -> Link:
        return self._call(next(c for c in self._trace(run_id).calls() if c.call_id == call_id))

    def _call(self, call: CallInfo) -> Link:
        link = call_link(call)

        def because() -> list[Link]:
            found = self._run_once(call.run_id)
            if call.type != "model":
                inside = [c for c in self._trace(call.run_id).calls() if c.parent == call.call_id]
                asked = self._asked(call.tool_call_id) if call.tool_call_id is not None else []
                return [*found, *[self._call(c) for c in inside], *asked]
            if call.input is None or _is_left_out(call.input):
                return [*found, Link("unknown", call.call_id, "unknown: what it was given was not recorded")]
            given = call.input if isinstance(call.input, list) else [call.input]
            return [*found, *[self._saw(item) for item in given]]

        step = next((s for s in self._trace(call.run_id).steps() if s.step_id == call.step_id), None)
        if step is not None:
            link.facts = {"step": f"{step.number} {step.node}", **link.facts}
        return self._once(link, because)

    def _saw(self, item: Any) -> Link:
        if _is_left_out(item):
            return Link("unknown", None, "unknown: a message that was not recorded whole")
        if not _is_message(item):
            return Link("value", None, "prompt", {"text": shortened(repr(item))})
        if getattr(item, "type", "") == "system":
            return Link("message", getattr(item, "id", None), "system message", {"text": shortened(str(item.content))})
        return self._message(item, lambda: self._origin_of_message(item), seen=True)

    def _origin_of_message(self, item: Any) -> Entry | None:
        """The checkpoint that a message came with that a call saw."""
        name = self._ancestry.object_id(item)
        while name not in self._origins:
            step = next(self._walk, None)
            if step is None:
                return None
            self._origins.setdefault(*step)
        return self._origins[name]

    def _once(self, link: Link, because: Any, key: str | None = None) -> Link:
        """The link with what it follows from, the first time it is met."""
        name = (link.kind, key or link.id or link.label)
        if name in self._shown:
            link.again = link.kind != "run"
            return link
        self._shown.add(name)
        link.links = because()
        return link


def _is_left_out(value: Any) -> bool:
    """Whether something stands in the place of a value that was not stored."""
    return isinstance(value, dict) and set(value) == {TRUNCATED}


def _is_message(item: Any) -> bool:
    return hasattr(item, "additional_kwargs") and hasattr(item, "content")


def _holds(value: Any, item: Any) -> bool:
    """Whether a value is this, or has it as an element or in one of its values; messages by what they say."""
    if _is_message(value) and _is_message(item):
        return bool(value.type == item.type and message(value) == message(item))
    if isinstance(value, dict):
        return any(_holds(part, item) for part in value.values())
    if isinstance(value, list | tuple):
        return value == item or any(_holds(part, item) for part in value)
    return type(value) is type(item) and bool(value == item)
