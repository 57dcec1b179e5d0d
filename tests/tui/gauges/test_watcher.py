"""The watch on shallow directories: bounded, patient with what comes and goes, and it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import watchfiles

from seatrial_tui.panes.directories import watcher as under_test
from seatrial_tui.panes.directories.watcher import INSIDE, WATCHED, Watcher
from tests.support.waiting import eventually


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    made.start()
    yield made
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "directory-watch"]


def touched_until(watcher: Watcher, root: Path, file: Path) -> str:
    """Touch a file again and again until its directory's change has been seen; what was seen."""

    def changed() -> bool:
        file.unlink(missing_ok=True)
        file.touch()
        return str(root) in watcher.seen.changes

    assert eventually(changed)
    return watcher.seen.changes[str(root)].name


def test_a_change_is_named_relative_to_its_directory(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    watcher.watch([str(tmp_path)], changes=True)
    assert touched_until(watcher, tmp_path, tmp_path / "snapshots" / "made").startswith("snapshots")


def test_a_directory_that_comes_later_is_watched_once_it_is_there(watcher: Watcher, tmp_path: Path) -> None:
    late = tmp_path / "late"
    watcher.watch([str(late)], changes=True)
    assert eventually(lambda: watcher.seen.missing == {str(late)})
    late.mkdir()
    assert eventually(lambda: not watcher.seen.missing)
    assert touched_until(watcher, late, late / "file") == "file"


def test_a_directory_that_vanishes_while_it_is_watched_is_missing(watcher: Watcher, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    watcher.watch([str(root)], changes=True)
    touched_until(watcher, root, root / "file")
    (root / "file").unlink(missing_ok=True)
    root.rmdir()
    assert eventually(lambda: watcher.seen.missing == {str(root)})


def test_where_no_changes_are_wanted_none_are_watched(watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(watchfiles, "watch", lambda *paths, **_: asked.append(paths) or iter(()))
    watcher.watch([str(tmp_path), str(tmp_path / "gone")], changes=False)
    assert eventually(lambda: watcher.seen.missing == {str(tmp_path / "gone")})
    assert not asked


def test_trees_of_many_directories_are_watched_at_their_root_only(tmp_path: Path) -> None:
    busy, calm = tmp_path / "busy", tmp_path / "calm"
    for number in range(INSIDE + 1):
        (busy / f"{number:02x}").mkdir(parents=True)
    (calm / "locks").mkdir(parents=True)
    watched = under_test._bounded([str(busy), str(calm)])
    assert set(watched) == {str(busy), str(calm), str(calm / "locks")}


def test_there_are_never_more_watches_than_the_bound(tmp_path: Path) -> None:
    roots = [tmp_path / f"{number:03}" for number in range(WATCHED * 2)]
    for root in roots:
        (root / "inside").mkdir(parents=True)
    assert len(under_test._bounded([str(root) for root in roots])) == WATCHED
    assert len(under_test._bounded([str(root) for root in roots[: WATCHED - 10]])) == WATCHED


def test_a_system_that_refuses_a_watch_is_reported_not_raised(watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> object:
        raise OSError(24, "inotify: too many open files [limit]")

    monkeypatch.setattr(watchfiles, "watch", refused)
    watcher.watch([str(tmp_path)], changes=True)
    assert eventually(lambda: "too many open files [limit]" in watcher.seen.problem)


def test_it_can_be_stopped_and_started_again(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch([str(tmp_path)], changes=True)
    touched_until(watcher, tmp_path, tmp_path / "one")
    for _ in range(5):
        watcher.stop()
        watcher.start()
    kept = watcher.seen.changes[str(tmp_path)]
    assert kept.name == "one"
    assert eventually(lambda: (tmp_path / "two").touch() or watcher.seen.changes[str(tmp_path)].name == "two")
