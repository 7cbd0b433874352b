"""Trees of recorded links, and of what is unknown: what `why.py` and `impact.py` answer with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..printing import lineage_text, lineage_tree, shortened
from ..tracing.infos import CallInfo


@dataclass(slots=True)
class Link:
    """One thing in a lineage, and what it is linked to.

    Attributes:
        kind: "message", "messages" (several that stand further up), "value", "call", "step", "run", "input", "update",
            "merge", "branch" or "unknown".
        id: its id: of the message, call, step, run or checkpoint.
        label: how it prints.
        facts: what is recorded of it that says most; plain data.
        links: what it follows from; in an impact, what is part of it.
        again: whether it stands further up, with its links.
    """

    kind: str
    id: str | None
    label: str
    facts: dict[str, Any] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    again: bool = False

    def shown(self) -> dict[str, Any]:
        """The facts as they print."""
        return {name: value for name, value in self.facts.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        root: dict[str, Any] = {}
        todo = [(self, root)]
        while todo:  # a chain of links may be deeper than the stack
            item, found = todo.pop()
            found |= {"kind": item.kind, "id": item.id, "label": item.label, "facts": dict(item.facts)}
            found |= {"again": item.again, "links": [{} for _ in item.links]}
            todo += zip(item.links, found["links"], strict=True)
        return root

    def walk(self) -> Iterator[Link]:
        """This one and everything below it, each once."""
        todo = [self]
        while todo:
            item = todo.pop()
            yield item
            todo += reversed(item.links)


@dataclass(slots=True)
class Lineage:
    """A tree of links; prints readably, with `rich` in colour.

    Attributes:
        title: the question.
        root: what was asked about.
    """

    title: str
    root: Link

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"title": self.title, "root": self.root.as_dict()}

    def walk(self) -> Iterator[Link]:
        """Every link, from the top."""
        return self.root.walk()

    @property
    def unknown(self) -> list[Link]:
        """The places where a link is not recorded."""
        return [item for item in self.walk() if item.kind == "unknown"]

    def __rich__(self) -> Any:
        return lineage_tree(self)

    def __str__(self) -> str:
        return lineage_text(self)


def call_link(call: CallInfo) -> Link:
    """A call as a link."""
    facts: dict[str, Any] = {"status": call.status if call.status != "ok" else None}
    if call.type == "model":
        usage = call.usage
        tokens = None if usage is None else f"{usage.input or 0} in, {usage.output or 0} out"
        facts |= {"tokens": tokens, "seconds": None if call.seconds is None else f"{call.seconds:.3f}"}
        label = f"model call {call.model or call.name}"
    else:
        facts |= {"arguments": shortened(repr(call.input)), "tool_call_id": call.tool_call_id}
        facts["seconds"] = None if call.seconds is None else f"{call.seconds:.3f}"
        label = f"{call.type} call {call.name}"
    return Link("call", call.call_id, label, {**facts, "call": call.call_id})
