"""What the ledger says when a run, a journal, the database or the disk is not as it should be."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from seatrial.errors import HarnessError, UsageError
from seatrial.history import recent as recent_module
from seatrial.history.catalogue import FILE_NAME, add_to_catalogue, read_catalogue
from seatrial.history.journal import Journal
from seatrial.history.ledger import Ledger
from seatrial.history.projection import Projection, _Batch
from seatrial.history.segments import plain_path
from tests.unit.history.histories import History, children
from tests.unit.history.prefixes import Prefix, check, create, is_over, without_end_times


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    return Prefix(tmp_path)


def test_a_run_whose_directory_is_gone_is_a_named_problem_until_it_is_given_up(prefix: Prefix) -> None:
    directory = prefix.killed_run("gone", History(1, "gone").run(30).events)
    moved = directory.rename(prefix.place / "moved")
    for _ in range(2):
        with prefix.ledger() as ledger:
            (problem,) = ledger.problems
            assert (problem.run_id, problem.where) == ("gone", str(directory))
            assert FILE_NAME in problem.remedy
    moved.rename(directory)
    with prefix.ledger() as ledger:
        assert ledger.problems == []
        assert ledger.cumulative().actions != ()
    shutil.rmtree(directory)
    with prefix.ledger() as ledger:
        assert ledger.problems == []  # all of it is applied


def test_a_run_is_given_up_by_deleting_its_line(prefix: Prefix) -> None:
    directory = prefix.killed_run("gone", History(1, "gone").run(30).events)
    shutil.rmtree(directory)
    with prefix.ledger() as ledger:
        assert len(ledger.problems) == 1
    (prefix.metadata / FILE_NAME).write_text("")
    with prefix.ledger() as ledger:
        assert ledger.problems == []


@pytest.mark.parametrize("damage", ["gap", "middle", "version"])
def test_a_journal_that_cannot_be_read_whole_is_a_named_problem(prefix: Prefix, damage: str) -> None:
    directory = prefix.killed_run("bad", History(1, "bad").run(5).events)
    path = plain_path(directory, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    if damage == "gap":
        del lines[2]
    elif damage == "middle":
        lines[2] = b"{\n"
    else:
        lines[0] = lines[0].replace(b'"kind":"plan"', b'"kind":"plan","format":9')
    path.write_bytes(b"".join(lines))
    with prefix.ledger() as ledger:
        (problem,) = ledger.problems
        assert {"gap": "missing", "middle": "decoded", "version": "format 9"}[damage] in problem.what


def test_a_run_that_never_wrote_is_no_problem(prefix: Prefix) -> None:
    (prefix.place / "empty").mkdir(parents=True)
    prefix.metadata.mkdir()
    add_to_catalogue(prefix.metadata, "empty", prefix.place / "empty")
    with prefix.ledger() as ledger:
        assert ledger.problems == []


@pytest.mark.parametrize("content", [b"this is no database at all", b""])
def test_a_damaged_database_is_put_aside_and_made_again(prefix: Prefix, content: bytes) -> None:
    history = History(3, "r").run(60)
    with prefix.run("r") as (_, journal):
        for event in history.events:
            journal.append(event)
    before = prefix.content()
    prefix.database.write_bytes(content)
    with prefix.ledger() as ledger:
        check(ledger, is_over(history))
    assert without_end_times(prefix.content()) == without_end_times(before)
    assert bool(list(prefix.metadata.glob("damaged-*"))) == bool(content)


def test_a_database_of_another_version_is_refused_with_its_remedy(prefix: Prefix) -> None:
    with prefix.ledger():
        pass
    database = sqlite3.connect(prefix.database)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UsageError, match="version 99") as raised, prefix.ledger():
        pass
    assert "made again" in raised.value.remedy
    with pytest.raises(UsageError, match="version 99"), prefix.ledger():
        pass  # and the lock was given back


def test_one_process_at_a_time(prefix: Prefix) -> None:
    with prefix.ledger(), pytest.raises(UsageError, match="another process"), prefix.ledger():
        pass
    with prefix.ledger():
        pass


def test_a_ledger_follows_one_journal_from_its_first_event(prefix: Prefix) -> None:
    directory = prefix.place / "late"
    with prefix.run("r") as (ledger, journal), pytest.raises(HarnessError, match="first event"):
        ledger.attach("r", journal)
    directory.mkdir()
    late = Journal(directory, ballast_bytes=0)
    create(late, "1", "s")
    with prefix.ledger() as ledger, pytest.raises(HarnessError, match="first event"):
        ledger.attach("late", late)
    late.close()


def test_a_torn_line_of_the_catalogue_costs_nobody_else(tmp_path: Path) -> None:
    add_to_catalogue(tmp_path, "a", tmp_path / "a")
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes() + b'{"run_id":"tor')
    assert list(read_catalogue(tmp_path)) == ["a"]
    add_to_catalogue(tmp_path, "b", tmp_path / "b")
    assert read_catalogue(tmp_path) == {"a": tmp_path / "a", "b": tmp_path / "b"}
    path.write_bytes(b"nonsense\n")
    with pytest.raises(UsageError, match=r"runs\.jsonl:1"):
        read_catalogue(tmp_path)


def test_a_run_that_a_full_disk_leaves_half_in_the_catalogue_is_refused_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, room = os.write, [20]

    def nearly_full(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = real(fd, data[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="No space left"):
        add_to_catalogue(tmp_path, "a", tmp_path / "a")
    room[0] = 1_000
    add_to_catalogue(tmp_path, "b", tmp_path / "b")
    assert read_catalogue(tmp_path) == {"b": tmp_path / "b"}


def test_a_database_that_cannot_be_written_loses_nothing_and_says_so_when_it_is_too_far_behind(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_module, "MOST_CHANGES", 20)
    monkeypatch.setattr("seatrial.history.ledger.LAG_LIMIT_S", 0.3)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Projection, "apply", fail)
        with prefix.run("r") as (ledger, journal):
            with pytest.raises(HarnessError, match=r"too far behind.*disk is full"):
                for number in range(100):
                    create(journal, f"{number}", f"s{number:02d}")
            written = journal.last_seq
            assert ledger.flush(0.0) is False
            assert ledger.live_count > 10
    with prefix.ledger() as ledger:
        assert ledger.live_count == written // 2
        assert ledger.problems == []


def test_a_writer_that_failed_once_goes_on_where_it_was(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.history.ledger.RETRY_S", 0.01)
    real, failures = Projection._finish, [0]

    def fail_at_the_end(self: Projection, batch: _Batch, actions: Iterable[str]) -> None:
        if failures[0] < 3:
            failures[0] += 1
            raise sqlite3.OperationalError("disk I/O error")
        real(self, batch, actions)

    history = History(11, "r").run(100)
    monkeypatch.setattr(Projection, "_finish", fail_at_the_end)
    with prefix.run("r") as (ledger, journal):
        for event in history.events:
            journal.append(event)
        assert ledger.flush()
        check(ledger, history)
    assert failures == [3]
    incremental = prefix.content()
    prefix.database.unlink()
    with prefix.ledger():
        pass
    assert without_end_times(prefix.content()) == without_end_times(incremental)


def test_a_ledger_without_a_thread_to_write_with_closes_and_gives_the_prefix_back(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    directory = prefix.place / "run-1"
    directory.mkdir(parents=True)
    journal, ledger = Journal(directory, ballast_bytes=0), Ledger(prefix.metadata, children)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            ledger.attach("run-1", journal)
    ledger.close()
    journal.close()
    with prefix.ledger() as again:
        assert again.problems == []
