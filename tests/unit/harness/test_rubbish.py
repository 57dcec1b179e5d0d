"""What is needed no more goes while others work."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from seatrial.harness.rubbish import Rubbish

SOON_S = 30.0


def full(directory: Path) -> Path:
    (directory / "below").mkdir(parents=True)
    (directory / "below/file").write_bytes(b"x")
    return directory


def test_all_is_gone_once_it_is_closed(tmp_path: Path) -> None:
    trees = [full(tmp_path / f"{number}") for number in range(20)]
    with closing(Rubbish()) as rubbish:
        for tree in trees:
            rubbish.discard(tree)
    assert list(tmp_path.iterdir()) == []


def test_who_discards_does_not_wait() -> None:
    go_on = threading.Event()
    seen = []
    with closing(Rubbish()) as rubbish:
        rubbish.do(lambda: seen.append(go_on.wait(SOON_S)))
        assert seen == []
        go_on.set()
    assert seen == [True]


def test_one_that_has_gone_already_is_fine_and_one_that_cannot_go_is_told(tmp_path: Path) -> None:
    rubbish = Rubbish()
    rubbish.discard(tmp_path / "never" / "made")
    (tmp_path / "file").write_bytes(b"x")
    rubbish.discard(tmp_path / "file")
    rubbish.discard(full(tmp_path / "a"))
    with pytest.raises(NotADirectoryError):
        rubbish.close()
    assert not (tmp_path / "a").exists(), "the others go all the same"
