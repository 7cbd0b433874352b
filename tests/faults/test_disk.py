"""Full disks, files that cannot be written, are damaged, newer or not ours: a clear error each, nothing lost."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import children
import pytest

from langgraph_wfstore import (
    BackendUnavailableError,
    DecodeError,
    IntegrityError,
    ThreadNotFoundError,
    WfStore,
    WfStoreError,
    WfStoreSaver,
)
from langgraph_wfstore.testing.api import within
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of


def put(saver: WfStoreSaver, number: int, size: int = 2000, thread_id: str = "t", after: Any = None) -> Any:
    noise = random.Random(f"{thread_id} {number}").randbytes(size)
    checkpoint = checkpoint_of({"number": number, "noise": noise}, {"number": number + 1, "noise": number + 1})
    stored = saver.put(after or config_of(thread_id), checkpoint, metadata_of(number), checkpoint["channel_versions"])
    saver.put_writes(stored, [("number", number), ("noise", noise[:50])], "task")
    return stored


def fill(saver: WfStoreSaver) -> tuple[list[Any], WfStoreError]:
    """Puts until something is raised; what was acknowledged, and what was raised."""
    done: list[Any] = []
    try:
        while len(done) < 10_000:
            done.append(put(saver, len(done), after=done[-1] if done else None))
    except WfStoreError as error:
        return done, error
    raise AssertionError("there is no limit here")


def assert_kept(saver: WfStoreSaver, done: list[Any]) -> None:
    """Everything acknowledged is there; of the put that failed there is at most the checkpoint."""
    stored = [*saver.list(config_of())]
    assert [found.checkpoint["channel_values"]["number"] for found in stored][-len(done) :] == [*range(len(done))][::-1]
    for config, found in zip(reversed(done), stored[-len(done) :], strict=True):
        assert found.config == config
        assert len(found.pending_writes) == 2
    assert len(stored) <= len(done) + 1
    assert_sound(saver, "t")


# ------------------------------------------------------------------ full


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.getuid() != 0 or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk; the test with a file size limit stands in for it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_the_store_goes_on_when_there_is_space_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(700_000))
        with WfStoreSaver(disk / "agent.db") as saver:
            done, error = fill(saver)
            assert isinstance(error, BackendUnavailableError)
            assert "full" in str(error) and "agent.db" in str(error)
            assert len(done) > 10
            for _ in range(3):  # it stays so, and reading goes on
                with pytest.raises(BackendUnavailableError, match="full"):
                    put(saver, 99_999, 200_000, "another")
                assert_kept(saver, done)
            ballast.unlink()
            put(saver, 1, thread_id="after")
            assert_kept(saver, done)
            assert_sound(saver, "after")
        with WfStoreSaver(disk / "agent.db") as saver:
            assert_kept(saver, done)


def test_a_store_that_cannot_be_created_on_a_full_disk_can_be_created_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = disk / "ballast"
        with contextlib.suppress(OSError):
            ballast.write_bytes(bytes(2 << 20))
        with pytest.raises(BackendUnavailableError, match=r"agent\.db"):
            put(WfStoreSaver(disk / "agent.db"), 0)
        ballast.unlink()
        with WfStoreSaver(disk / "agent.db") as saver:
            put(saver, 0)
            assert_sound(saver, "t")


def test_a_file_size_limit_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"

    def limited() -> tuple[list[Any], str, str]:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
        with WfStoreSaver(path) as saver:
            done, error = fill(saver)
            assert_kept(saver, done)
            with pytest.raises(BackendUnavailableError):
                put(saver, 0, 1_600_000, "another")
            return done, type(error).__name__, str(error)

    done, kind, text = children.run(limited)
    assert kind == "BackendUnavailableError"
    assert "agent.db" in text and "nothing of this operation was written" in text
    assert len(done) > 10
    with WfStoreSaver(path) as saver:
        assert_kept(saver, done)
        put(saver, 0, thread_id="after")
        assert_sound(saver, "after")


# ------------------------------------------------------------------ read-only


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A store with a few checkpoints, closed."""
    path = tmp_path / "folder" / "agent.db"
    path.parent.mkdir()
    with WfStoreSaver(path) as saver:
        config = None
        for number in range(30):
            config = put(saver, number, after=config)
    return path


@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_a_place_that_may_not_be_written_is_told(written: Path, what: str) -> None:
    before = written.read_bytes()
    if what != "folder":
        written.chmod(0o444)
    if what != "file":
        written.parent.chmod(0o555)

    def try_to_write() -> str:
        children.give_up_privileges()
        with pytest.raises(BackendUnavailableError) as raised, WfStoreSaver(written) as saver:
            put(saver, 1, thread_id="new")
        return str(raised.value)

    try:
        text = children.run(try_to_write)
    finally:
        written.parent.chmod(0o755)
        written.chmod(0o644)
    assert str(written) in text
    assert "read-only" in text or "writ" in text
    assert written.read_bytes() == before
    with WfStoreSaver(written) as saver:
        assert [info.thread_id for info in saver.store.threads()] == ["t"]
        put(saver, 1, thread_id="new")


def test_a_new_store_in_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)

    def create() -> None:
        children.give_up_privileges()
        with pytest.raises(BackendUnavailableError, match=r"new\.db.*folder"):
            WfStore.open(folder / "new.db")

    children.run(create)
    with pytest.raises(BackendUnavailableError, match=r"new\.db.*no folder"):
        WfStore.open(tmp_path / "no such folder" / "new.db")
    assert not [*folder.iterdir()]
    assert not (tmp_path / "no such folder").exists()


def test_a_file_that_may_not_be_read_is_told(written: Path) -> None:
    written.chmod(0)

    def open_it() -> None:
        children.give_up_privileges()
        for read_only in (False, True):
            with pytest.raises(BackendUnavailableError, match=r"agent\.db"):
                WfStore.open(written, read_only=read_only)

    try:
        children.run(open_it)
    finally:
        written.chmod(0o644)


def test_read_only_reads_and_refuses_to_write(written: Path) -> None:
    before = written.read_bytes()
    with WfStore.open(written, read_only=True) as store:
        saver = WfStoreSaver(store)
        assert len([*saver.list(config_of())]) == 30
        assert_sound(saver, "t")
        for write in (
            lambda: put(saver, 99),
            lambda: put(saver, 99, thread_id="new"),
            lambda: saver.delete_thread("t"),
            lambda: saver.prune(["t"]),
            lambda: saver.copy_thread("t", "u"),
            store.compact,
        ):
            with pytest.raises(BackendUnavailableError, match="read_only"):
                write()
        assert len([*saver.list(config_of())]) == 30
    assert written.read_bytes() == before


def test_read_only_without_a_store_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"none\.db"):
        WfStore.open(tmp_path / "none.db", read_only=True)
    assert not [*tmp_path.iterdir()]
    (tmp_path / "empty.db").touch()
    with pytest.raises(BackendUnavailableError, match="empty"):
        WfStore.open(tmp_path / "empty.db", read_only=True)
    assert (tmp_path / "empty.db").stat().st_size == 0


def test_read_only_in_a_folder_that_may_not_be_written(written: Path) -> None:
    """A closed store leaves no log; it can be read from a read-only medium, or the error says what is missing."""
    written.parent.chmod(0o555)

    def read() -> int | str:
        children.give_up_privileges()
        try:
            with WfStore.open(written, read_only=True) as store:
                return len([*WfStoreSaver(store).list(config_of())])
        except BackendUnavailableError as error:
            return str(error)

    try:
        outcome = children.run(read)
        assert outcome == 30 or "folder" in outcome or "read-only" in outcome
    finally:
        written.parent.chmod(0o755)


def test_read_only_beside_a_writer_that_holds_the_lock_reads(written: Path) -> None:
    db = sqlite3.connect(written, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        with within(lambda: WfStore.open(written, read_only=True)) as store:
            assert within(lambda: len([*WfStoreSaver(store).list(config_of())])) == 30
        with within(lambda: WfStoreSaver(written)) as saver:
            assert within(lambda: len([*saver.list(config_of())])) == 30
    finally:
        db.execute("ROLLBACK")
        db.close()


def test_a_lock_that_is_held_too_long_is_told(written: Path) -> None:
    from langgraph_wfstore.backends.sqlite import SqliteBackend

    db = sqlite3.connect(written, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        with WfStore.open(SqliteBackend(str(written), timeout=0.2)) as store:
            with pytest.raises(BackendUnavailableError, match="lock"):
                within(lambda: put(WfStoreSaver(store), 1))
            db.execute("ROLLBACK")
            put(WfStoreSaver(store), 31)
    finally:
        db.close()


# ------------------------------------------------------------------ damaged


def _use_everything(path: Path) -> None:
    """Opens the store and reads all it can; ends at the first error that is ours."""
    with WfStoreSaver(path) as saver:
        for info in saver.store.threads():
            report = saver.store.thread(info.thread_id).verify()
            if not report.ok:
                raise IntegrityError(str(report.problems[0]))
            for found in saver.list(config_of(info.thread_id)):
                assert len(found.pending_writes) == 2


def _garbage(data: bytes, start: int, size: int, seed: int) -> bytes:
    noise = random.Random(seed).randbytes(min(size, len(data) - start))
    return data[:start] + noise + data[start + len(noise) :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a garbage header": lambda data: _garbage(data, 0, 100, 1),
    "a garbage first page": lambda data: _garbage(data, 100, 3996, 2),
    "cut in the middle": lambda data: data[: len(data) // 2],
    "cut in the middle of a page": lambda data: data[: len(data) // 2 + 1000],
    "cut after the header": lambda data: data[:100],
    "cut after a page": lambda data: data[:4096],
    "zeros in the middle": lambda data: data[:8192] + bytes(len(data) - 16384) + data[-8192:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_an_integrity_error(written: Path, damage: Callable[[bytes], bytes]) -> None:
    written.write_bytes(damage(written.read_bytes()))
    before = written.read_bytes()
    with pytest.raises((IntegrityError, ThreadNotFoundError)) as raised:
        within(lambda: _use_everything(written))
    assert str(raised.value)
    assert written.read_bytes() == before


def test_garbage_in_any_page_is_told_or_does_not_matter(written: Path) -> None:
    """Never a raw error of SQLite, a hang, or a wrong value: the store reads whole, or says that it is damaged."""
    whole = written.read_bytes()
    told = 0
    for page in range(len(whole) // 4096):
        for size in (4096, 8, 1):
            for left in (written.parent / "agent.db-wal", written.parent / "agent.db-shm"):
                left.unlink(missing_ok=True)
            at = page * 4096 + (0 if size == 4096 else random.Random(page * size).randrange(4096 - size))
            written.write_bytes(_garbage(whole, at, size, page))
            error = _told(written)
            told += error is not None
            # The first page says whose file it is, and of which version.
            known = page == 0 or isinstance(error, IntegrityError | ThreadNotFoundError | DecodeError | None)
            assert known, f"page {page}, {size} bytes: {error!r}"
    assert told > len(whole) // 4096


def _told(path: Path) -> WfStoreError | None:
    try:
        within(lambda: _use_everything(path))
    except WfStoreError as error:
        return error
    return None


def test_writing_to_a_damaged_file_raises_our_errors_only(written: Path) -> None:
    whole = written.read_bytes()
    for page in range(1, len(whole) // 4096):
        for left in (written.parent / "agent.db-wal", written.parent / "agent.db-shm"):
            left.unlink(missing_ok=True)
        written.write_bytes(_garbage(whole, page * 4096, 4096, page))
        with contextlib.suppress(WfStoreError):
            within(lambda: _write_all(written))


def _write_all(path: Path) -> None:
    with WfStoreSaver(path) as saver:
        for work in (
            lambda: put(saver, 31),
            lambda: put(saver, 0, thread_id="new"),
            lambda: saver.copy_thread("t", "copy"),
            lambda: saver.prune(["t"]),
            saver.store.compact,
            lambda: saver.delete_thread("t"),
        ):
            with contextlib.suppress(WfStoreError):
                work()


def test_damage_while_the_store_is_open_is_told(written: Path) -> None:
    with WfStoreSaver(written) as saver:
        put(saver, 31)
        with open(written, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(4096)
            file.write(random.Random(1).randbytes(size - 4096))
        with pytest.raises(WfStoreError):
            within(lambda: [put(saver, 0, thread_id="new"), [*saver.list(None)], saver.store.thread("t").verify()])


# ------------------------------------------------------------------ not ours


def _another_program(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE notes(text)")
    db.commit()
    db.close()


def _another_program_with_an_id(path: Path) -> None:
    _another_program(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA application_id = 1234")
    db.close()


def _only_an_id(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA application_id = 1234")
    db.close()


def _newer(path: Path) -> None:
    WfStore.open(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 999")
    db.close()


def _official(path: Path) -> None:
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(path)) as saver:
        saver.setup()


STRANGERS: dict[str, tuple[Callable[[Path], object], type[WfStoreError], str]] = {
    "another program's database": (_another_program, WfStoreError, "another program"),
    "another program's database with its own id": (_another_program_with_an_id, WfStoreError, "another program"),
    "an id and nothing else": (_only_an_id, WfStoreError, "another program"),
    "the official saver's database": (_official, WfStoreError, "another program"),
    "a newer layout": (_newer, WfStoreError, "version 999"),
    "a text file": (lambda path: path.write_text("Dear diary, " * 1000), IntegrityError, "not a sound SQLite file"),
    "a short text file": (lambda path: path.write_text("no"), IntegrityError, "not a sound SQLite file"),
    "a folder": (lambda path: path.mkdir(), BackendUnavailableError, "folder"),
}


@pytest.mark.parametrize("read_only", [False, True], ids=["to write", "to read"])
@pytest.mark.parametrize(("make", "error", "text"), STRANGERS.values(), ids=STRANGERS)
def test_what_is_not_ours_is_refused_and_not_changed(
    tmp_path: Path, make: Callable[[Path], object], error: type[WfStoreError], text: str, read_only: bool
) -> None:
    path = tmp_path / "stranger"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    around = {*tmp_path.iterdir()}
    with pytest.raises(error, match=text) as raised:
        within(lambda: WfStore.open(path, read_only=read_only))
    assert str(path) in str(raised.value)
    assert (path.read_bytes() if path.is_file() else None) == before
    left = {*tmp_path.iterdir()} - around  # SQLite cannot read a file in WAL mode without its two files beside it
    assert {file.name for file in left} <= ({"stranger-wal", "stranger-shm"} if read_only else set())


def test_an_empty_file_becomes_a_store() -> None:
    with tempfile.NamedTemporaryFile(suffix=".db") as file:
        with WfStoreSaver(file.name) as saver:
            put(saver, 0)
            assert_sound(saver, "t")
        for left in ("-wal", "-shm"):
            Path(file.name + left).unlink(missing_ok=True)


@pytest.mark.parametrize("how", ["open", "read only", "import"])
def test_a_fifo_and_a_device_are_refused(tmp_path: Path, how: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/null")):

        def open_it(path: Path = path) -> str:
            with WfStore.open("memory://") as store, pytest.raises(WfStoreError) as raised:
                store.import_artifact(path) if how == "import" else WfStore.open(path, read_only=how == "read only")
            return str(raised.value)

        assert str(path) in children.start(open_it).outcome(10)


def test_a_creation_that_was_cut_off_is_taken_up(tmp_path: Path) -> None:
    """The journal mode was set and the process died before the tables were made."""
    db = sqlite3.connect(tmp_path / "agent.db")
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    assert (tmp_path / "agent.db").stat().st_size > 0
    with WfStoreSaver(tmp_path / "agent.db") as saver:
        put(saver, 0)
        assert_sound(saver, "t")


@pytest.mark.parametrize("by", ["nothing", "another store"])
def test_a_file_that_is_deleted_or_replaced_while_it_is_open_is_told(tmp_path: Path, by: str) -> None:
    """What would be acknowledged on the file that nobody finds any more would be lost."""
    path, aside = tmp_path / "agent.db", tmp_path / "aside"
    with WfStoreSaver(path) as saver:
        put(saver, 0)
        put(saver, 0, thread_id="other")
        aside.mkdir()
        for left in tmp_path.glob("agent.db*"):
            left.rename(aside / left.name)
        if by == "another store":
            with WfStoreSaver(path) as other:
                assert other.store.threads() == []
                put(other, 0, thread_id="new")
        for work in (lambda: put(saver, 1), lambda: saver.get_tuple(config_of("other")), saver.store.threads):
            with pytest.raises(BackendUnavailableError, match="was deleted or replaced while the store was open"):
                within(work)
        for left in tmp_path.glob("agent.db*"):
            left.unlink()
        for left in aside.iterdir():
            left.rename(tmp_path / left.name)
        put(saver, 1)
        assert_sound(saver, "t", "other")
    with WfStoreSaver(path) as again:
        values = [found.checkpoint["channel_values"]["number"] for found in again.list(config_of("t"))]
        assert values == [1, 0]
