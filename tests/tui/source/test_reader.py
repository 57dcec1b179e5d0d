"""A run is shown as it is written, whatever happens to its engine or its journal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from seatrial.clock import SystemClock
from seatrial.history.events import ClientJoined, Event, Finding, Result, RunEnded, Steer
from seatrial.history.frames import ClientFrame, Frame
from seatrial.history.journal import Journal
from seatrial.history.reader import read_journal
from seatrial.history.segments import plain_path
from seatrial.history.telemetry import TelemetryWriter
from seatrial.report.circumstances import CircumstanceCollector
from seatrial.verdicts import Verdict
from seatrial_tui.source.moment import RunSource
from seatrial_tui.source.reader import RunReader
from tests.bench.dashboard_run import GrowingRun
from tests.support.waiting import eventually
from tests.tui.source.journals import PLAN, SECOND, comparable, creates, finding, invoke, numbered, result, truth, written


@contextmanager
def shown(directory: Path) -> Iterator[RunReader]:
    with closing(RunReader(directory)) as reader:
        yield reader


def caught_up(reader: RunReader) -> bool:
    return eventually(lambda: reader.moment().view.seq > 0 and not reader.moment().reading)


@contextmanager
def engine(directory: Path) -> Iterator[Journal]:
    """A journal as a running engine holds it."""
    directory.mkdir(exist_ok=True)
    with closing(Journal(directory, ballast_bytes=0)) as journal:
        yield journal


@pytest.mark.parametrize("recorded", ["finished_run", "failed_run"])
def test_at_its_end_a_run_is_shown_as_its_journal_folds(recorded: str, request: pytest.FixtureRequest) -> None:
    directory: Path = request.getfixturevalue(recorded)
    with shown(directory) as reader:
        assert caught_up(reader)
        moment = reader.moment()
        assert comparable(moment.view) == truth(directory)
        records = list(read_journal(directory))
        assert (moment.begin_ns, reader.begin_ns) == (records[0].at_ns, records[0].at_ns)
        assert moment.end_ns == reader.end_ns == moment.now_ns == moment.view.at_ns >= records[-1].at_ns
        assert (moment.live, moment.following, moment.problem) == (False, True, "")
        assert reader.directory == directory


def test_a_source_is_what_panes_ask_for(finished_run: Path) -> None:
    with shown(finished_run) as reader:
        source: RunSource = reader
        assert source.directory == finished_run


def test_what_panes_ask_for_is_there(failed_run: Path) -> None:
    with shown(failed_run) as reader:
        assert caught_up(reader)
        view = reader.moment().view
        collector = CircumstanceCollector(lambda _: None)
        events = []
        for record in read_journal(failed_run):
            collector.apply(record)
            events.append(record.event)
        for group in view.findings:
            found = reader.findings(group.group)
            assert list(found) == [each for each in events if isinstance(each, Finding) and each.group == group.group]
            assert found[0] == group.first
            circumstances = reader.circumstances(group.group)
            assert circumstances is not None
            assert circumstances.snapshots == collector.by_group()[group.group].snapshots
        assert reader.findings("no such group") == ()
        assert reader.circumstances("no such group") is None
        owners = {client.id: client.snapshots_live for client in view.clients}
        for client, live in owners.items():
            snapshots = reader.snapshots(client)
            assert sum(snapshot.state == "live" for snapshot in snapshots) == live
            assert {snapshot.owner for snapshot in snapshots} <= {client}
            timeline = reader.timeline(client)
            returned = [each.op for each in events if isinstance(each, Result) and each.client == client]
            assert sorted(row.op for row in timeline if row.op) == sorted(returned)
        assert any(row.action == "finding" for client in owners for row in reader.timeline(client))
        assert reader.timeline("nobody") == ()


def test_a_moment_stays_the_same_object_while_nothing_happens(finished_run: Path) -> None:
    with shown(finished_run) as reader:
        assert caught_up(reader)
        moment = reader.moment()
        reader.follow()  # wakes the thread, asks for nothing new
        assert eventually(lambda: not reader._wake.is_set())
        assert reader.moment() is moment


def test_snapshots_that_did_not_change_stay_the_same_rows(tmp_path: Path) -> None:
    with engine(tmp_path) as journal, shown(tmp_path) as reader:
        for event in (PLAN, invoke("1"), result("1", snapshot="s1"), invoke("2"), result("2", snapshot="s2")):
            journal.append(event)
        assert eventually(lambda: reader.moment().view.snapshots.live == 2)
        newest, oldest = reader.snapshots("c0")
        assert [newest.id, oldest.id] == ["s2", "s1"]
        journal.append(invoke("3", action="delete-random-snapID", snapshot="s2"))
        assert eventually(lambda: reader.moment().view.snapshots.deleting == 1)
        changed, same = reader.snapshots("c0")
        assert (changed.state, changed is newest, same is oldest) == ("deleting", False, True)


def test_a_directory_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    directory = tmp_path / "later"
    with shown(directory) as reader:
        assert reader.moment().view.seq == 0
        with engine(directory) as journal:
            assert not reader.moment().live
            journal.append(PLAN)
            assert eventually(lambda: reader.moment().view.header.run_id == "r")
            assert eventually(lambda: reader.moment().live)


def test_facts_and_telemetry_of_a_run_appear_as_another_thread_writes_them(tmp_path: Path) -> None:
    with engine(tmp_path) as journal, shown(tmp_path) as reader, closing(TelemetryWriter(tmp_path)) as telemetry:
        journal.append(PLAN)
        journal.append(ClientJoined(client="c0", index=0))

        def work() -> None:
            for number in range(500):
                journal.append(invoke(str(number)))
                journal.append(result(str(number), snapshot=f"s{number}"))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert eventually(lambda: reader.moment().view.snapshots.live == 500)
        journal.append(invoke("last"))
        telemetry.write(
            Frame(at_ns=0, waiting=3, clients={"c0": ClientFrame(state="running", action="snapshot-root", op="last", stage="upload")})
        )
        assert eventually(lambda: reader.moment().view.clients[0].stage == "upload")
        row = reader.timeline("c0")[0]
        assert (row.op, row.outcome) == ("last", None)
        journal.append(result("last", snapshot="s-last"))
        assert eventually(lambda: reader.timeline("c0")[0].outcome is not None)
        moment = reader.moment()
        assert moment.live
        assert moment.now_ns >= moment.view.at_ns
        journal.append(RunEnded(verdict=Verdict.PASS, exit_code=0))
        assert eventually(lambda: reader.moment().view.end is not None and not reader.moment().live)
        assert comparable(reader.moment().view) == truth(tmp_path)


class Waits(SystemClock):
    """Notes for how long it is waited on."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.longest_s = max(self.longest_s, timeout_s)
        return super().wait(event, timeout_s)


def test_while_a_run_is_live_two_looks_at_it_are_never_far_apart(tmp_path: Path) -> None:
    """A fact shall be shown within 0.3 s; how long a busy machine takes for its part says nothing about us."""
    clock = Waits()
    with engine(tmp_path) as journal, closing(RunReader(tmp_path, clock)) as reader:
        for number in range(20):
            journal.append(Steer(command="remark", argument=str(number)))
            assert eventually(lambda: reader.moment().view.seq == journal.last_seq)
        assert 0 < clock.longest_s <= 0.15


def test_a_run_that_is_killed_is_no_longer_live_and_shows_all_it_wrote(tmp_path: Path) -> None:
    with GrowingRun(tmp_path / "run", clients=5, log_lines_per_s=10) as growing, shown(growing.directory) as reader:
        assert eventually(lambda: reader.moment().live and reader.moment().view.seq > 20, timeout_s=30)
        growing.kill()
        assert eventually(lambda: not reader.moment().live)
        last = sum(1 for _ in read_journal(growing.directory))
        assert eventually(lambda: reader.moment().view.seq == last)
        assert reader.moment().view.end is None
        assert reader.moment().problem == ""


def test_everything_before_a_damaged_line_is_shown_and_the_damage_told(tmp_path: Path) -> None:
    directory = written(tmp_path, numbered(creates(300)))
    path = plain_path(directory, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:400]) + b"{nonsense\n" + b"".join(lines[401:]))
    with shown(directory) as reader:
        assert eventually(lambda: reader.moment().problem != "")
        assert reader.moment().problem.startswith(f"{path.name} line 401: the line cannot be decoded")
        assert eventually(lambda: reader.moment().view.seq == 400)


def test_a_gap_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    records = numbered(creates(50))
    with shown(written(tmp_path, records[:30] + records[40:])) as reader:
        assert eventually(lambda: reader.moment().view.seq == len(records))
        assert "records 31 to 40 are missing" in reader.moment().problem
        assert reader.moment().view.gaps == 1


def test_a_journal_of_another_version_is_told(tmp_path: Path) -> None:
    directory = written(tmp_path, numbered([PLAN]))
    path = plain_path(directory, 1)
    path.write_bytes(path.read_bytes().replace(b'"kind":"plan"', b'"kind":"plan","format":999'))
    with shown(directory) as reader:
        assert eventually(lambda: "format 999" in reader.moment().problem)


def test_a_reader_that_fails_says_so_instead_of_standing_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr("seatrial_tui.source.state.RunState.apply", broken)
    with shown(written(tmp_path, numbered([PLAN]))) as reader:
        assert eventually(lambda: "a defect of ours" in reader.moment().problem)


def test_closing_ends_the_thread_and_gives_the_files_back(finished_run: Path) -> None:
    process, threads = psutil.Process(), set(threading.enumerate())
    open_before = process.num_fds()
    reader = RunReader(finished_run)
    assert caught_up(reader)
    reader.seek(reader.begin_ns + SECOND)
    assert eventually(lambda: reader.moment().now_ns == reader.position_ns)
    reader.close()
    reader.close()
    assert set(threading.enumerate()) <= threads
    assert process.num_fds() <= open_before
    assert reader.moment().view.header.preset == "quick"


def test_findings_are_kept_as_the_view_groups_them(tmp_path: Path) -> None:
    events: list[Event] = [PLAN, *(finding(number, group=f"g{number % 3}") for number in range(300))]
    with shown(written(tmp_path, numbered(events))) as reader:
        assert caught_up(reader)
        for group in reader.moment().view.findings:
            kept = reader.findings(group.group)
            assert 1 <= len(kept) <= 50 < group.count
            assert kept[0] == group.first
