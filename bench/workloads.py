"""The workloads by name: `chat-200` is chat of size 200, `fork-20@chat-200` 20 forks of what that left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import agents, chats
from bench.driver import Driver
from bench.micro import micro


@dataclass(frozen=True)
class Workload:
    """A function of a driver and a size (and, for a follow-up, of the chat's turns) that gives metrics."""

    run: Callable[..., dict[str, float]]
    size: int
    quick_size: int
    follows_chat: bool = False
    adds: bool = True
    """Whether it changes what is stored; follow-ups that only read go first."""


WORKLOADS = {
    "chat": Workload(chats.chat, 200, 20),
    "bigdoc": Workload(agents.bigdoc, 200, 10),
    "fanout": Workload(agents.fanout, 20, 2),
    "tool-agent": Workload(agents.tool_agent, 20, 2),
    "threads": Workload(chats.threads, 200, 10),
    "micro": Workload(micro, 2000, 100),
    "resume": Workload(chats.resume, 50, 3, follows_chat=True, adds=False),
    "history": Workload(chats.history, 1, 1, follows_chat=True, adds=False),
    "fork": Workload(chats.fork, 20, 2, follows_chat=True),
}
EVERYTHING = (
    "chat-200,history@chat-200,fork-20@chat-200,chat-1000,resume-50@chat-1000,"
    "bigdoc-200,fanout-20,tool-agent-20,threads-200,micro-2000"
)
QUICK = "chat,history@chat,fork@chat,resume@chat,bigdoc,fanout,tool-agent,threads,micro"


@dataclass(frozen=True)
class Spec:
    """One workload of one size; a follow-up names the chat it starts from."""

    kind: str
    size: int
    chat_turns: int | None = None

    @property
    def name(self) -> str:
        """As it stands on the command line and in the report; `history` runs once unless it says otherwise."""
        own = self.kind if self.kind == "history" and self.size == 1 else f"{self.kind}-{self.size}"
        return own if self.chat_turns is None else f"{own}@chat-{self.chat_turns}"

    @property
    def base(self) -> Spec:
        """The workload that leaves what this one starts from; itself if it starts from nothing."""
        return self if self.chat_turns is None else Spec("chat", self.chat_turns)

    def measure(self, driver: Driver) -> dict[str, float]:
        """Run it and give its metrics; raises ReadBackError if what comes back is wrong."""
        run = WORKLOADS[self.kind].run
        return run(driver, self.size) if self.chat_turns is None else run(driver, self.size, self.chat_turns)


def parse(name: str, quick: bool = False) -> Spec:
    """The workload of a name; a name without a number has the default size, or the quick one.

    Raises ValueError for an unknown workload, or a follow-up without its chat.
    """
    own, _, base = name.partition("@")
    kind, size = _parse_part(own, quick)
    if WORKLOADS[kind].follows_chat != bool(base):
        raise ValueError(f"workload {name!r}: {kind} is written as {kind}{'' if base else '@chat-200'}")
    if not base:
        return Spec(kind, size)
    base_kind, turns = _parse_part(base, quick)
    if base_kind != "chat":
        raise ValueError(f"workload {name!r}: a follow-up starts from a chat, not from {base_kind}")
    return Spec(kind, size, turns)


def _parse_part(part: str, quick: bool) -> tuple[str, int]:
    head, _, number = part.rpartition("-")
    kind, given = (head, int(number)) if number.isdecimal() else (part, 0)
    if kind not in WORKLOADS:
        raise ValueError(f"unknown workload {kind!r}: choose from {', '.join(WORKLOADS)}")
    workload = WORKLOADS[kind]
    return kind, given or (workload.quick_size if quick else workload.size)


def grouped(specs: list[Spec]) -> dict[Spec, list[Spec]]:
    """Each base workload with its follow-ups, those that only read first."""
    groups: dict[Spec, list[Spec]] = {spec.base: [] for spec in specs}
    for spec in dict.fromkeys(specs):
        if spec.chat_turns is not None:
            groups[spec.base].append(spec)
    for follow_ups in groups.values():
        follow_ups.sort(key=lambda spec: WORKLOADS[spec.kind].adds)
    return groups
