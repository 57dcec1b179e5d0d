"""Where the dashboard can be shown."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.cli.dashboard import has_screen


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("term", "encoding", "shown"),
    [("xterm", "utf-8", True), ("linux", "UTF8", True), ("dumb", "utf-8", False), ("xterm", "iso8859-1", False), ("xterm", "ascii", False)],
)
def test_it_is_shown_on_a_terminal_that_has_its_signs(
    terminal: int, term: str, encoding: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    with open(terminal, encoding="utf-8", closefd=False) as stdin, open(terminal, "w", encoding=encoding, closefd=False) as stdout:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        assert has_screen() is shown


def test_it_is_not_shown_in_a_pipe(terminal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with Path(os.devnull).open() as stdin, open(terminal, "w", encoding="utf-8", closefd=False) as stdout:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        assert not has_screen()
