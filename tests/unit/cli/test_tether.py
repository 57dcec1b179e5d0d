"""The tie between an engine and whoever shows its run: what an end without a word means, and that nothing said is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from seatrial.cli.tether import DETACH, ENGINE_LOG, Begun, Tether
from seatrial.errors import UsageError
from tests.support.processes import SOURCE_ROOT
from tests.support.waiting import eventually

Tied = tuple[Tether, socket.socket, list[str]]


@pytest.fixture
def tied() -> Iterator[Tied]:
    """The engine's end, started; the dashboard's end; how often it vanished."""
    theirs, ours = socket.socketpair()
    vanished: list[str] = []
    tether = Tether(ours.detach())
    tether.start(lambda: vanished.append("vanished"))
    yield tether, theirs, vanished
    tether.close()
    theirs.close()


def listening() -> bool:
    return any(thread.name == "tether" for thread in threading.enumerate())


@pytest.mark.parametrize("said", [b"", b"detac", b"detach", b"stop\n", b"\x00" * 100_000], ids=lambda said: repr(said[:8]))
def test_an_end_without_the_word_is_a_dashboard_that_vanished(tied: Tied, said: bytes) -> None:
    _, theirs, vanished = tied
    theirs.sendall(said)
    theirs.close()
    assert eventually(lambda: vanished == ["vanished"])
    assert eventually(lambda: not listening()), "once is enough"


def test_an_end_with_something_unread_is_one_too(tied: Tied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tether, theirs, vanished = tied
    monkeypatch.setattr("seatrial.cli.tether._keep_output", lambda _: None)
    tether.begun(tmp_path)
    theirs.close()
    assert eventually(lambda: vanished == ["vanished"])
    tether.begun(tmp_path)  # to nobody: no error


@pytest.mark.parametrize("pieces", [[DETACH], [DETACH[:3], DETACH[3:]]], ids=["whole", "in pieces"])
def test_after_detach_an_end_means_nothing(tied: Tied, pieces: list[bytes]) -> None:
    _, theirs, vanished = tied
    for piece in pieces:
        theirs.sendall(piece)
    assert eventually(lambda: not listening())
    theirs.close()
    assert vanished == []


def test_whoever_closes_it_does_not_vanish_to_itself(tied: Tied) -> None:
    tether, theirs, vanished = tied
    tether.close()
    assert not listening()
    assert vanished == []
    assert theirs.recv(1) == b"", "the dashboard sees our end"


def test_the_run_directory_arrives_whatever_its_name(tied: Tied, monkeypatch: pytest.MonkeyPatch) -> None:
    tether, theirs, _ = tied
    monkeypatch.setattr("seatrial.cli.tether._keep_output", lambda _: None)
    directory = Path(os.fsdecode(b"/runs/\xff \n\xc3\xa4"))
    tether.begun(directory)
    line = theirs.recv(1 << 16)
    assert line.endswith(b"\n")
    assert os.fsdecode(msgspec.json.decode(line, type=Begun).directory) == str(directory)


def test_what_is_no_socket_of_ours_is_refused(tmp_path: Path) -> None:
    file = os.open(tmp_path / "file", os.O_CREAT)
    with pytest.raises(UsageError, match="not a socket"):
        Tether(file)
    os.close(file)
    with pytest.raises(UsageError, match="--tied-to"):
        Tether(file)


def test_all_that_was_and_will_be_said_is_kept_in_order_in_the_run_directory(tmp_path: Path) -> None:
    program = """
import os, sys, socket
from pathlib import Path
from seatrial.cli.tether import Tether
print("first")
os.write(2, b"second\\n")
tether = Tether(int(sys.argv[1]))
tether.begun(Path(sys.argv[2]))
print("third", flush=True)
print("fourth", file=sys.stderr)
"""
    theirs, ours = socket.socketpair()
    with theirs, ours, (tmp_path / "said").open("w+b") as said:
        subprocess.run(
            [sys.executable, "-u", "-c", program, str(ours.fileno()), str(tmp_path)],
            stdout=said,
            stderr=subprocess.STDOUT,
            pass_fds=(ours.fileno(),),
            env={"PYTHONPATH": SOURCE_ROOT},
            check=True,
        )
    assert (tmp_path / ENGINE_LOG).read_text().splitlines() == ["first", "second", "third", "fourth"]
    assert (tmp_path / "said").read_text().splitlines() == ["first", "second"]
