"""``kill -9`` in the middle of appends: no acknowledged event is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import seatrial
from seatrial.history.events import Steer
from seatrial.history.journal import Journal, is_running, read_journal

WRITER = """
import os, sys, threading
from pathlib import Path
from seatrial.history.events import Steer
from seatrial.history.journal import Journal
journal = Journal(Path(sys.argv[1]), ballast_bytes=0, segment_bytes=30_000)
def work():
    while True:
        record = journal.append(Steer(command="remark", argument="x" * 50))
        os.write(1, b"%d\\n" % record.seq)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
work()
"""


@pytest.mark.parametrize("acknowledged_before_the_kill", [1, 40, 700])
def test_kill_9_loses_no_acknowledged_event(tmp_path: Path, acknowledged_before_the_kill: int) -> None:
    source_root = str(Path(seatrial.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=source_root, env={"PYTHONPATH": source_root}
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledged_before_the_kill)]
        assert is_running(tmp_path)
        writer.kill()
        rest = writer.stdout.read()
    whole, _, _ = (b"".join(lines) + rest).rpartition(b"\n")
    acknowledged = {int(number) for number in whole.split(b"\n")}
    records = list(read_journal(tmp_path))
    assert acknowledged <= {record.seq for record in records}
    assert all(record.event == Steer(command="remark", argument="x" * 50) for record in records)
    assert len(records) - len(acknowledged) <= 5  # one in flight per thread: the test did look at appends under way
    assert not is_running(tmp_path)


def test_a_child_does_not_keep_the_journal_looking_alive(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ballast_bytes=0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        journal.close()
        assert not is_running(tmp_path)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, 9)
