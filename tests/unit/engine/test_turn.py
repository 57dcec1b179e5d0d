"""What an action is given for its turn."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from seatrial.config.model import ActionName, ActionOptions
from seatrial.context import new_client_context
from seatrial.engine.turn import Turn
from seatrial.errors import NoSpaceError, UsageError


@pytest.fixture
def turn() -> Turn:
    unused: Any = None
    return Turn(
        ctx=new_client_context(),
        op="0-1",
        action=ActionName.RESTORE,
        mutates=False,
        action_index=0,
        options=ActionOptions(),
        draws=unused,
        queue_s=0.0,
        emit=unused,
    )


def test_its_directory_is_empty_and_gone_afterwards(turn: Turn, tmp_path: Path) -> None:
    with turn.private_directory(tmp_path) as directory:
        assert not list(directory.iterdir())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("made", [0, 1])
def test_a_disk_too_full_for_its_directory_is_an_action_without_room(
    turn: Turn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, made: int
) -> None:
    make, count = Path.mkdir, iter(range(9))

    def full(path: Path, *args: Any, **options: Any) -> None:
        if next(count) >= made:
            raise OSError(number, os.strerror(number), str(path))
        make(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(NoSpaceError), turn.private_directory(tmp_path):
        pass


def test_a_directory_that_is_somebody_elses_is_refused(turn: Turn, tmp_path: Path) -> None:
    (tmp_path / "0-1").mkdir()
    (tmp_path / "0-1" / "theirs").touch()
    with pytest.raises(UsageError), turn.private_directory(tmp_path):
        pass
    assert (tmp_path / "0-1" / "theirs").exists()
