"""Threads as artifacts: out of any engine and into any, whole or not at all, with the same record ids and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.types import Command

from langgraph_wfstore.artifact import importing, staging
from langgraph_wfstore.artifact.searching import holds
from langgraph_wfstore.errors import ArtifactError, ConflictError, IntegrityError, WfStoreError

from .contract import Contract, Reopen, assert_sound
from .contract_subgraphs import nested_graph
from .material import THREAD, counts_of
from .sample_graphs import chat_graph, plain_snapshot, says_human
from .sample_threads import CONFIG, SAMPLES, agent, chat, redacted, waiting

if TYPE_CHECKING:
    from langgraph_wfstore import WfStore, WfStoreSaver


def records_of(store: WfStore, thread_id: str = THREAD) -> list[tuple[bytes, int, bytes, bytes | None]]:
    """What stands in every record of a thread that does not depend on the store: id, state, body and seal."""
    tail = store.views.tail(thread_id)
    return [(row.id, row.state, row.body, row.seal) for row in store.backend.records(tail.row.number or 0, 0, 10_000)]


def told_of(saver: WfStoreSaver, thread_id: str = THREAD) -> dict[str, Any]:
    """All that the store's own views say of a thread, without its id."""
    thread = saver.store.thread(thread_id)
    infos = [(c.checkpoint_id, c.parent_id, c.metadata, c.writes, c.merged, c.values) for c in thread.checkpoints()]
    branches = [(b.name, b.base, b.head, b.current) for b in thread.branches()]
    calls = [(c.call_id, c.input, c.output, c.status, c.usage) for c in thread.calls()]
    steps = [(s.step_id, s.node, s.status, s.seconds) for s in thread.steps()]
    return {"checkpoints": infos, "branches": branches, "calls": calls, "steps": steps, "runs": len(thread.runs())}


class _Beside:
    """What the parts of this contract need besides the store: another one, and a folder."""

    @pytest.fixture
    def elsewhere(self) -> Iterator[WfStoreSaver]:
        """Another store, which has nothing to do with the first one."""
        from langgraph_wfstore import WfStoreSaver

        with WfStoreSaver(":memory:") as saver:
            yield saver

    @pytest.fixture
    def bit_by_bit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Threads are imported as if they were large."""
        monkeypatch.setattr(staging, "_HELD", 0)
        monkeypatch.setattr(importing, "_RECORDS", 3)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """For artifacts alone: a store may be in `tmp_path`."""
        folder = tmp_path / "artifacts"
        folder.mkdir()
        return folder


class ArtifactsContract(_Beside, Contract):
    """Export and import of threads of every kind."""

    @pytest.fixture(params=SAMPLES)
    def sample(self, request: pytest.FixtureRequest, saver: WfStoreSaver) -> str:
        """A thread of each kind is in the store."""
        SAMPLES[request.param](saver)
        return str(request.param)

    def test_there_and_back_it_is_the_same(
        self, sample: str, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path
    ) -> None:
        first, second, third = (folder / f"{number}.wfz" for number in range(3))
        report = saver.store.thread(THREAD).export(first)
        elsewhere.store.import_artifact(first)
        elsewhere.store.thread(THREAD).export(second, compress=True)
        copy = saver.store.import_artifact(second, "again")
        assert records_of(elsewhere.store) == records_of(saver.store, "again") == records_of(saver.store)
        assert told_of(elsewhere) == told_of(saver, "again") == told_of(saver)
        assert_sound(elsewhere, THREAD)
        assert_sound(saver, THREAD, "again")
        elsewhere.store.thread(THREAD).export(third)
        assert third.read_bytes() == first.read_bytes()
        assert copy.head == report.head == elsewhere.store.thread(THREAD).head
        assert sorted(path.name for path in folder.iterdir()) == ["0.wfz", "1.wfz", "2.wfz"]

    @pytest.mark.usefixtures("bit_by_bit")
    def test_a_large_thread_comes_bit_by_bit_and_is_shown_whole(
        self, sample: str, saver: WfStoreSaver, folder: Path
    ) -> None:
        before = counts_of(saver)
        saver.store.thread(THREAD).export(folder / "a.wfz")
        seen: list[list[str]] = []
        copy = saver.store.import_artifact(
            folder / "a.wfz", "again", progress=lambda *_: seen.append(list(saver.store.thread_ids()))
        )
        assert {tuple(each) for each in seen} == {(THREAD,)}
        assert list(saver.store.thread_ids()) == [THREAD, "again"] == [t.thread_id for t in saver.store.threads()]
        assert records_of(saver.store, "again") == records_of(saver.store)
        assert told_of(saver, "again") == told_of(saver)
        assert copy.verify().ok
        after = saver.store.stats()
        assert after["threads"] == 2 and after["checkpoints"] == 2 * before["checkpoints"]

    def test_copied_to_another_store_it_is_the_same(
        self, sample: str, saver: WfStoreSaver, elsewhere: WfStoreSaver
    ) -> None:
        assert saver.store.copy_to(elsewhere.store).copied == (THREAD,)
        assert records_of(elsewhere.store) == records_of(saver.store)
        assert told_of(elsewhere) == told_of(saver)
        assert_sound(elsewhere, THREAD)
        assert saver.store.copy_to(elsewhere.store).present == (THREAD,)
        report = elsewhere.store.copy_to(saver.store)
        assert (report.copied, report.present, report.refused, report.lacking) == ((), (THREAD,), (), ())


class ArtifactUseContract(_Beside, Contract):
    """What one does with artifacts."""

    def test_a_store_is_not_copied_to_itself_however_it_was_opened(self, saver: WfStoreSaver, reopen: Reopen) -> None:
        chat(saver)
        for same in (saver.store, reopen().store):
            with pytest.raises(WfStoreError, match="are one store"):
                saver.store.copy_to(same)

    def test_an_open_question_is_answered_in_another_store(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path
    ) -> None:
        waiting(saver)
        saver.store.thread(THREAD).export(folder / "a.wfz")
        elsewhere.store.import_artifact(folder / "a.wfz")
        here, there = nested_graph(saver, asks=True), nested_graph(elsewhere, asks=True)
        assert plain_snapshot(there.get_state(CONFIG, subgraphs=True)) == plain_snapshot(
            here.get_state(CONFIG, subgraphs=True)
        )
        assert there.invoke(Command(resume="yes"), CONFIG) == here.invoke(Command(resume="yes"), CONFIG)
        assert_sound(elsewhere, THREAD)

    def test_an_imported_conversation_goes_on_without_storing_it_again(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, reopen: Reopen, folder: Path
    ) -> None:
        chat(elsewhere)
        elsewhere.store.thread(THREAD).export(folder / "a.wfz")
        saver.store.import_artifact(folder / "a.wfz")
        before = saver.store.stats()["objects"]
        chat_graph(reopen()).invoke(says_human(9), CONFIG)
        messages = chat_graph(saver).get_state(CONFIG).values["messages"]
        assert len(messages) == 10
        chat_graph(elsewhere).invoke(says_human(9), CONFIG)
        grown = elsewhere.store.stats()["objects"]
        assert saver.store.stats()["objects"] - before <= grown - before + 2
        assert_sound(saver, THREAD)

    def test_importing_twice_does_nothing(self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path) -> None:
        chat(elsewhere)
        elsewhere.store.thread(THREAD).export(folder / "a.wfz")
        saver.store.import_artifact(folder / "a.wfz")
        before = counts_of(saver)
        saver.store.import_artifact(folder / "a.wfz")
        assert counts_of(saver) == before
        chat_graph(saver).invoke(says_human(9), CONFIG)
        saver.store.import_artifact(folder / "a.wfz")  # it has all of it, and more
        assert len(chat_graph(saver).get_state(CONFIG).values["messages"]) == 10

    def test_another_thread_of_that_id_stays_what_it_is(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path
    ) -> None:
        chat(elsewhere)
        agent(saver)
        elsewhere.store.thread(THREAD).export(folder / "a.wfz")
        before = records_of(saver.store)
        with pytest.raises(ConflictError, match="does not begin with"):
            saver.store.import_artifact(folder / "a.wfz")
        ((name, why),) = elsewhere.store.copy_to(saver.store).refused
        assert name == THREAD and "does not begin with" in why
        assert records_of(saver.store) == before

    def test_an_earlier_state_is_not_overwritten(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path
    ) -> None:
        chat(elsewhere)
        elsewhere.store.copy_to(saver.store)
        chat_graph(elsewhere).invoke(says_human(9), CONFIG)
        elsewhere.store.thread(THREAD).export(folder / "a.wfz")
        with pytest.raises(ConflictError, match="earlier state of the same thread"):
            saver.store.import_artifact(folder / "a.wfz")

    def test_a_deleted_thread_is_imported_into_a_new_life(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path
    ) -> None:
        chat(saver)
        saver.store.thread(THREAD).export(folder / "a.wfz")
        saver.store.delete_thread(THREAD)
        saver.store.import_artifact(folder / "a.wfz")
        (info,) = saver.store.threads()
        assert info.life == 2
        chat_graph(saver).invoke(says_human(9), CONFIG)
        assert len(chat_graph(saver).get_state(CONFIG).values["messages"]) == 10
        assert_sound(saver, THREAD)

    def test_a_damaged_artifact_leaves_nothing(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        redacted(elsewhere)
        path = folder / "a.wfz"
        elsewhere.store.thread(THREAD).export(path)
        data = bytearray(path.read_bytes())
        before = counts_of(saver)
        for at in range(7, len(data), len(data) // 15):
            path.write_bytes(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
            with pytest.raises((ArtifactError, IntegrityError)):
                saver.store.import_artifact(path)
        assert counts_of(saver) == before and saver.store.threads() == []

    @pytest.mark.usefixtures("bit_by_bit")
    def test_what_does_not_verify_is_not_left_half(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        """The last look at the whole thread fails, after all of it is in the store."""
        chat(elsewhere)
        elsewhere.store.thread(THREAD).export(folder / "a.wfz")
        before = counts_of(saver)

        def fails(*_: object) -> None:
            raise IntegrityError("it does not verify")

        with monkeypatch.context() as patched:
            patched.setattr(staging, "_verify", fails)
            with pytest.raises(IntegrityError, match="does not verify"):
                saver.store.import_artifact(folder / "a.wfz")
        after = saver.store.stats()
        counts = ("threads", "checkpoints", "writes", "objects", "seals")
        assert [after[name] for name in counts] == [before[name] for name in counts]

    @pytest.mark.usefixtures("bit_by_bit")
    def test_an_import_that_was_killed_is_swept_by_a_later_one(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        chat(elsewhere)
        elsewhere.store.thread(THREAD).export(folder / "a.wfz")

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(staging, "drop", lambda *_: None)
            patched.setattr(staging, "_verify", killed)
            patched.setattr(staging, "_LEASE", 10**6)
            with pytest.raises(KeyboardInterrupt):
                saver.store.import_artifact(folder / "a.wfz")
        assert saver.store.stats()["threads"] == 1 and saver.store.threads() == []
        saver.store.import_artifact(folder / "a.wfz")
        assert saver.store.stats()["threads"] == 1
        assert_sound(saver, THREAD)


class WithheldContract(_Beside, Contract):
    """What is left out at export is not in the file, and everything else is, and verifies."""

    def exported(self, saver: WfStoreSaver, path: Path, *redact: Any) -> None:
        chat(saver)
        saver.store.thread(THREAD).export(path, redact=redact)

    def test_a_whole_thread_over_one_of_which_something_was_withheld_says_what_it_lacks(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path
    ) -> None:
        chat(elsewhere)
        source = elsewhere.store.thread(THREAD)
        whole, part = folder / "whole.wfz", folder / "part.wfz"
        source.export(whole)
        withheld = source.export(part, redact=["messages"]).withheld
        first = saver.store.import_artifact(part).imported
        assert first is not None and first.new and not first.lacking
        before = records_of(saver.store)
        again = saver.store.import_artifact(part).imported
        assert again is not None and not again.new and not again.lacking
        over = saver.store.import_artifact(whole).imported
        assert over is not None and not over.new and over.lacking == withheld > 0
        assert f"without {withheld} values that the file holds" in str(over) and "under another id" in str(over)
        report = elsewhere.store.copy_to(saver.store)
        assert report.present == (THREAD,) and report.lacking == ((THREAD, withheld),)
        assert records_of(saver.store) == before
        other = saver.store.import_artifact(whole, "whole").imported
        assert other is not None and other.new and not other.lacking
        saver.store.delete_thread(THREAD)
        assert elsewhere.store.copy_to(saver.store).lacking == ()
        assert told_of(saver) == told_of(elsewhere)

    def test_a_value_is_left_out_by_what_it_is(
        self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path
    ) -> None:
        said = str(says_human(1)["messages"][0].content)

        def secret(value: Any) -> bool:
            return isinstance(value, str) and said in value

        self.exported(saver, folder / "whole.wfz")
        assert holds(folder / "whole.wfz", said)
        report = saver.store.thread(THREAD).export(folder / "a.wfz", redact=[secret])
        assert not holds(folder / "a.wfz", said)
        assert report.withheld > 0 and report.withheld_bytes > len(said) and "withheld" in str(report)
        head = saver.store.thread(THREAD).head
        thread = elsewhere.store.import_artifact(folder / "a.wfz")
        verified = thread.verify(expect_head=head)
        assert verified.ok and verified.redacted == report.withheld
        assert records_of(elsewhere.store)[:-1] == records_of(saver.store)
        messages = chat_graph(elsewhere).get_state(CONFIG).values["messages"]
        assert [m.content for m in messages].count("[redacted]") == 2 and len(messages) == 8
        elsewhere.store.import_artifact(folder / "a.wfz")
        assert records_of(elsewhere.store)[:-1] == records_of(saver.store)
        chat_graph(elsewhere).invoke(says_human(9), CONFIG)
        assert_sound(elsewhere, THREAD)

    def test_a_channel_is_left_out(self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path) -> None:
        self.exported(saver, folder / "a.wfz", "messages")
        assert not any(holds(folder / "a.wfz", str(says_human(n)["messages"][0].content)) for n in range(4))
        assert elsewhere.store.import_artifact(folder / "a.wfz").verify().ok

    def test_a_record_is_left_out(self, saver: WfStoreSaver, elsewhere: WfStoreSaver, folder: Path) -> None:
        agent(saver)
        thread = saver.store.thread(THREAD)
        (call,) = thread.calls(kind="tool")
        report = thread.export(folder / "a.wfz", redact=[call.record_id])
        assert report.withheld > 0
        there = elsewhere.store.import_artifact(folder / "a.wfz")
        assert there.verify().ok
        (other,) = there.calls(kind="tool")
        assert other.input != call.input and other.call_id == call.call_id

    @pytest.mark.parametrize("wrong", [5, None, b"messages", {"messages": 1}, ["messages", 5]])
    def test_what_redact_takes_is_said(self, saver: WfStoreSaver, folder: Path, wrong: Any) -> None:
        chat(saver)
        with pytest.raises(TypeError, match=r"redact= takes the name of a channel, .* or a list of these, not"):
            saver.store.thread(THREAD).export(folder / "a.wfz", redact=wrong)
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("name", ["mesages", "sha256:" + "00" * 32])
    def test_what_is_not_there_is_no_way_to_leave_nothing_out(
        self, saver: WfStoreSaver, folder: Path, name: str
    ) -> None:
        chat(saver)
        with pytest.raises(WfStoreError, match="nothing to withhold"):
            saver.store.thread(THREAD).export(folder / "a.wfz", redact=[name])
        assert list(folder.iterdir()) == []
