"""The run store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from seatrial.clock import VirtualClock
from seatrial.errors import UsageError
from seatrial.history.events import PlanEvent, RunEnded, Steer
from seatrial.history.journal import Journal
from seatrial.history.runs import RunDirectory, create_run, find_run, list_runs, prune, runs_root, summarize
from seatrial.history.segments import plain_path
from seatrial.verdicts import Verdict

DAY_S = 86_400.0


def made(runs_dir: Path, preset: str, clock: VirtualClock, *, ended: bool = True, remarks: int = 0) -> RunDirectory:
    run = create_run(runs_dir, preset, clock)
    journal = Journal(run.path, clock, ballast_bytes=0, segment_bytes=4_000)
    journal.append(PlanEvent(run_id=run.run_id, preset=preset, seed=7, target="embedded", repo_path_prefix="/p", settings={}))
    for _ in range(remarks):
        journal.append(Steer(command="remark", argument="x" * 100))
    clock.advance(90)
    if ended:
        journal.append(RunEnded(verdict=Verdict.FAIL, exit_code=1))
    journal.close()
    return run


def test_ids_sort_by_time_and_name_the_preset(tmp_path: Path) -> None:
    clock = VirtualClock(start_ns=1_700_000_000_000_000_000)
    first = create_run(tmp_path, "Many Small/Files", clock)
    assert first.run_id.startswith("20231114-221320-many-small-files-")
    clock.advance(1)
    second = create_run(tmp_path, "a", clock)
    assert first.run_id < second.run_id
    assert first.path == tmp_path / first.run_id
    assert first.path.is_dir()


def test_two_runs_of_one_second_do_not_meet(tmp_path: Path) -> None:
    clock = VirtualClock()
    assert len({create_run(tmp_path, "smoke", clock).run_id for _ in range(40)}) == 40


def test_a_run_is_found_by_id_prefix_path_and_last(tmp_path: Path) -> None:
    clock = VirtualClock()
    first, second = made(tmp_path, "smoke", clock), made(tmp_path, "soak", clock)
    assert find_run(tmp_path, "last") == second
    assert find_run(tmp_path, first.run_id) == first
    assert find_run(tmp_path, second.run_id[:18]) == second
    assert find_run(tmp_path / "elsewhere", str(first.path)) == first
    copy = tmp_path / "copy"
    first.path.rename(copy)
    assert find_run(tmp_path, f"{copy}/").path == copy


def test_a_name_that_means_several_runs_lists_them(tmp_path: Path) -> None:
    clock = VirtualClock()
    first, second = made(tmp_path, "smoke", clock), made(tmp_path, "soak", clock)
    with pytest.raises(UsageError, match="may mean 2 runs") as raised:
        find_run(tmp_path, "2023")
    assert first.run_id in str(raised.value)
    assert second.run_id in str(raised.value)


@pytest.mark.parametrize("name", ["last", "2023", "", "/no/such/place", "."])
def test_what_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_run(tmp_path / "none", name)
    assert raised.value.remedy


def test_a_directory_without_a_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no journal"):
        find_run(tmp_path, str(tmp_path))


@pytest.mark.parametrize("remarks", [0, 300])
def test_a_summary_tells_how_it_ended(tmp_path: Path, remarks: int) -> None:
    summary = summarize(made(tmp_path, "smoke", VirtualClock(), remarks=remarks))
    assert (summary.preset, summary.target, summary.seed, summary.verdict, summary.exit_code) == ("smoke", "embedded", 7, Verdict.FAIL, 1)
    assert summary.duration_s == 90
    assert not summary.running


def test_a_summary_tells_a_run_under_way_from_a_killed_one(tmp_path: Path) -> None:
    clock = VirtualClock()
    killed = made(tmp_path, "smoke", clock, ended=False)
    under_way = create_run(tmp_path, "soak", clock)
    journal = Journal(under_way.path, clock, ballast_bytes=0)
    journal.append(PlanEvent(run_id="r", preset="soak", seed=7, target="embedded", repo_path_prefix="/p", settings={}))
    assert [(row.verdict, row.running) for row in (summarize(killed), summarize(under_way))] == [(None, False), (None, True)]
    journal.close()


def test_a_torn_last_line_does_not_hide_the_rest(tmp_path: Path) -> None:
    run = made(tmp_path, "smoke", VirtualClock())
    path = plain_path(run.path, 1)
    path.write_bytes(path.read_bytes() + b'{"seq":99')
    assert summarize(run).verdict is Verdict.FAIL


def test_the_list_is_newest_first_and_survives_a_run_that_cannot_be_read(tmp_path: Path) -> None:
    clock = VirtualClock()
    good = made(tmp_path, "smoke", clock)
    clock.advance(1)
    foreign = create_run(tmp_path, "newer", clock)
    plain_path(foreign.path, 1).write_text('{"seq":1,"at_ns":1,"event":{"kind":"plan","format":99}}\n')
    clock.advance(1)
    empty = create_run(tmp_path, "empty", clock)
    (tmp_path / "something-else").mkdir()
    rows = list(list_runs(tmp_path))
    assert [row.run_id for row in rows] == [empty.run_id, foreign.run_id, good.run_id]
    assert "format 99" in rows[1].unreadable
    assert rows[0].started_ns == 0
    assert list(list_runs(tmp_path / "none")) == []


def test_pruning_keeps_the_newest_and_deletes_only_what_is_ours(tmp_path: Path) -> None:
    clock = VirtualClock()
    made_runs = []
    for _ in range(5):
        made_runs.append(made(tmp_path, "smoke", clock))
        clock.advance(DAY_S)
    unmarked = tmp_path / "20200101-000000-mine-abcd"
    unmarked.mkdir()
    assert prune(tmp_path, keep=3, dry_run=True, clock=clock) == made_runs[:2]
    assert made_runs[0].path.exists()
    assert prune(tmp_path, keep=3, clock=clock) == made_runs[:2]
    assert prune(tmp_path, older_than_s=1.5 * DAY_S, clock=clock) == made_runs[2:4]
    assert [path for path in tmp_path.iterdir() if path != unmarked] == [made_runs[4].path]
    assert unmarked.exists()


def test_pruning_leaves_a_run_under_way(tmp_path: Path) -> None:
    run = create_run(tmp_path, "soak", VirtualClock())
    journal = Journal(run.path, VirtualClock(), ballast_bytes=0)
    assert prune(tmp_path, keep=0) == []
    journal.close()
    assert prune(tmp_path, keep=0) == [run]
    assert not run.path.exists()


def test_pruning_wants_to_be_told_what(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--keep"):
        prune(tmp_path)


def test_the_root_is_what_is_configured_else_the_users_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_root(str(tmp_path)) == tmp_path
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert runs_root().is_relative_to(tmp_path)
    assert runs_root("here").is_absolute()


def _raise_no_home(_name: str) -> Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("no_home", [lambda name: Path("~") / ".local/state" / name, _raise_no_home], ids=["tilde", "raises"])
def test_no_home_is_said_with_its_remedy(no_home: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_state_path", no_home)
    with pytest.raises(UsageError, match="--runs-dir"):
        runs_root()


def test_a_place_that_cannot_be_made_is_said_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--runs-dir"):
        create_run(tmp_path / "file" / "runs", "smoke")
