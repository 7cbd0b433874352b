"""Whatever the order of arrival, the listing is a linear extension of the causal order."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from plain_puts import examples, memory_store, put

from langgraph_wfstore.store import WfStore


@dataclass
class Node:
    """A checkpoint: what it follows in its own namespace, and in the namespaces above it."""

    namespace: str
    id: str
    parent: str | None
    parents: dict[str, str] = field(default_factory=dict)

    def before(self) -> set[tuple[str, str]]:
        own = set() if self.parent is None else {(self.namespace, self.parent)}
        return own | set(self.parents.items())


def dag_of(random: Random, size: int, deep: bool = False) -> list[Node]:
    """A thread as runs with sub-graphs and forks make it; parents come first, ids are in no order."""
    made: dict[str, list[Node]] = {"": []}
    nodes: list[Node] = []
    names = [f"{n:04d}" for n in range(size)]
    random.shuffle(names)
    for name in names:
        namespace = random.choice(["", "", "", "a:1", "b:2", *(["a:1|c:3"] if deep else [])])
        above = [part for part in ("", "a:1") if namespace.startswith(part) and part != namespace]
        if any(not made.get(each) for each in above):
            namespace, above = "", []
        line = made.setdefault(namespace, [])
        parent = random.choice(line[-1:] * 4 + line) if line else None
        parents = {}
        for each in reversed(above):  # the inner one decides: what it belongs to is what the outer one names
            parents[each] = random.choice(made[each][-2:]).id
        if "a:1" in parents:
            parents[""] = next(node.parents[""] for node in made["a:1"] if node.id == parents["a:1"])
        nodes.append(Node(namespace, name, None if parent is None else parent.id, parents))
        line.append(nodes[-1])
    return nodes


def arrivals_of(random: Random, nodes: list[Node], free: bool) -> list[Node]:
    """An order of arrival: any at all if `free`, else one that keeps the order within each namespace."""
    left = list(nodes)
    random.shuffle(left)
    arrived: set[tuple[str, str]] = set()
    order: list[Node] = []
    while left:
        ready = [n for n in left if free or n.parent is None or (n.namespace, n.parent) in arrived]
        node = ready[0]
        left.remove(node)
        arrived.add((node.namespace, node.id))
        order.append(node)
    return order


def put_node(store: WfStore, node: Node) -> None:
    put(store, node.id, node.parent, {"n": 1}, namespace=node.namespace, parents=node.parents)


def problems_of(store: WfStore, nodes: list[Node]) -> list[str]:
    """What the listing, oldest first, has before something that it follows."""
    listed = [(s.record.namespace, s.record.checkpoint_id) for s in store.history("t", None, store.codec)][::-1]
    assert sorted(listed) == sorted((node.namespace, node.id) for node in nodes)
    place = {key: at for at, key in enumerate(listed)}
    return [
        f"{(node.namespace, node.id)} is listed before {key}"
        for node in nodes
        for key in node.before()
        if place[node.namespace, node.id] < place[key]
    ]


DAGS = st.builds(dag_of, st.integers(0, 10**9).map(Random), st.integers(1, 24))
DEEP_DAGS = st.builds(dag_of, st.integers(0, 10**9).map(Random), st.integers(1, 24), st.just(True))
RANDOMS = st.integers(0, 10**9).map(Random)


@examples(150)
@given(DAGS, RANDOMS)
def test_children_may_arrive_before_what_they_belong_to(nodes, random):
    store = memory_store()
    for node in arrivals_of(random, nodes, free=False):
        put_node(store, node)
    assert problems_of(store, nodes) == []
    assert store.thread("t").verify().problems == ()


@examples(150)
@given(DEEP_DAGS, RANDOMS)
def test_children_of_children_may_arrive_before_what_they_belong_to(nodes, random):
    store = memory_store()
    for node in arrivals_of(random, nodes, free=False):
        put_node(store, node)
    assert problems_of(store, nodes) == []


@examples(100)
@given(DAGS, RANDOMS)
def test_parents_may_arrive_behind_their_children(nodes, random):
    store = memory_store()
    for node in arrivals_of(random, nodes, free=True):
        put_node(store, node)
    assert problems_of(store, nodes) == []
    assert store.thread("t").verify().problems == ()


@examples(100)
@given(DAGS, RANDOMS)
def test_the_writers_may_be_several_processes(nodes, random):
    first = memory_store()
    stores = [first, WfStore(first.backend), WfStore(first.backend)]
    for node in arrivals_of(random, nodes, free=False):
        if not random.randrange(4):
            stores[random.randrange(1, 3)] = WfStore(first.backend)
        put_node(random.choice(stores), node)
    assert problems_of(first, nodes) == []
    assert first.thread("t").verify().problems == ()


@examples(60)
@given(DAGS, RANDOMS)
def test_every_page_and_every_bound_keeps_the_same_order(nodes, random):
    store = memory_store()
    for node in arrivals_of(random, nodes, free=False):
        put_node(store, node)
    listed = [(s.record.namespace, s.record.checkpoint_id) for s in store.history("t", None, store.codec)]
    for at, key in enumerate(listed):
        after = [
            (s.record.namespace, s.record.checkpoint_id) for s in store.history("t", None, store.codec, before=key)
        ]
        assert after == listed[at + 1 :]
    for namespace in {node.namespace for node in nodes}:
        own = [s.record.checkpoint_id for s in store.history("t", namespace, store.codec)]
        assert own == [name for each, name in listed if each == namespace]
