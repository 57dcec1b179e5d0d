"""The guard: nothing outlives a parent that is killed, and Ctrl-C reaches the parent alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial import guard
from seatrial.children import Children
from seatrial.clock import SYSTEM_CLOCK
from seatrial.resources import marked_directory
from tests.support.processes import alive, kill_and_reap, read_numbers, start_python
from tests.support.waiting import eventually

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="other processes' environments are read from /proc")

# The stubborn one has an empty environment: it can be found by its group alone.
HOLDER = """
import os, signal, sys, threading
from pathlib import Path
from seatrial.children import Children
from seatrial.resources import marked_directory

here = Path.cwd()
children = Children()
script = "trap '' TERM HUP INT; sleep 600 & echo $!; while :; do sleep 0.05; done"
stubborn = children.spawn(["env", "-i", "sh", "-c", script], stdout=here / "log")
polite = children.spawn(["sh", "-c", "trap 'echo ended > ended; exit' TERM; echo $$; while :; do sleep 0.02; done"], stdout=here / "log")
children.adopt_directory(marked_directory(here / "temporary" / "ours"))
(here / "temporary" / "ours" / "deep").mkdir()
(here / "temporary" / "ours" / "deep" / "file").write_text("x")
while len((here / "log").read_text().split()) < 2:
    threading.Event().wait(0.01)
"""
WAITS = 'print(stubborn.pid, polite.pid, children.guard_pid, *(here / "log").read_text().split(), flush=True); threading.Event().wait()'


def test_killing_the_parent_ends_its_groups_and_removes_its_directory_within_two_seconds(tmp_path: Path) -> None:
    parent = start_python(HOLDER + WAITS, home=tmp_path)
    try:
        pids = read_numbers(parent)
        assert len(pids) == 5, (tmp_path / "program.err").read_text()
        assert all(map(alive, pids))
        began_s = SYSTEM_CLOCK.monotonic_s()
    finally:
        kill_and_reap(parent)
    assert eventually(lambda: not any(map(alive, pids)), 5), [pid for pid in pids if alive(pid)]
    assert SYSTEM_CLOCK.monotonic_s() - began_s < 2
    assert (tmp_path / "ended").exists()  # TERM came first
    assert not (tmp_path / "temporary" / "ours").exists()
    assert (tmp_path / "temporary").exists()


@needs_proc
def test_what_left_its_group_dies_with_the_parent_too(tmp_path: Path) -> None:
    program = """
import threading
from pathlib import Path
from seatrial.children import Children
children = Children()
children.spawn(["sh", "-c", "setsid sh -c 'echo $$; exec sleep 600' & wait"], stdout=Path("log"))
while not Path("log").read_text().split():
    threading.Event().wait(0.01)
print(Path("log").read_text(), flush=True)
threading.Event().wait()
"""
    parent = start_python(program, home=tmp_path)
    try:
        (escaped,) = read_numbers(parent)
        assert os.getpgid(escaped) == escaped
    finally:
        kill_and_reap(parent)
    assert eventually(lambda: not alive(escaped), 2)


def test_ctrl_c_in_the_terminal_reaches_the_parent_and_neither_children_nor_guard(tmp_path: Path) -> None:
    handler = """
count = 0
def count_it(*_):
    global count
    count += 1
    print(count, flush=True)
signal.signal(signal.SIGINT, count_it)
"""
    parent = start_python(HOLDER + handler + WAITS, home=tmp_path)
    try:
        pids = read_numbers(parent)
        os.killpg(parent.pid, signal.SIGINT)  # what a terminal does
        assert read_numbers(parent) == [1]
        os.kill(pids[2], signal.SIGINT)
        os.kill(pids[2], signal.SIGTERM)
        os.killpg(parent.pid, signal.SIGINT)
        assert read_numbers(parent) == [2]
        assert all(map(alive, pids))
    finally:
        kill_and_reap(parent)
    assert eventually(lambda: not any(map(alive, pids)), 3)


def test_an_interrupted_run_takes_its_program_with_it(tmp_path: Path) -> None:
    program = """
import os, signal, threading
from pathlib import Path
from seatrial.children import Children

def interrupt_when_it_runs():
    while not (Path("pid").exists() and Path("pid").read_text().split()):
        threading.Event().wait(0.01)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt_when_it_runs).start()
children = Children()
try:
    children.run(["sh", "-c", "echo $$ > pid; exec sleep 600"], scratch=Path.cwd())
except KeyboardInterrupt:
    children.close()
    print(Path("pid").read_text(), flush=True)
"""
    parent = start_python(program, home=tmp_path)
    try:
        (pid,) = read_numbers(parent)
        assert not alive(pid)
        assert parent.wait(10) == 0
    finally:
        kill_and_reap(parent)


def test_a_guard_that_was_killed_is_replaced_and_told_everything(tmp_path: Path) -> None:
    program = """
import os, signal, threading
from pathlib import Path
from seatrial.children import Children
children = Children()
first = children.spawn(["env", "-i", "sleep", "600"], stdout=Path("log"))
old = children.guard_pid
os.kill(old, signal.SIGKILL)
os.waitid(os.P_PID, old, os.WEXITED | os.WNOWAIT)
second = children.spawn(["sleep", "600"], stdout=Path("log"))
print(first.pid, second.pid, old, children.guard_pid, flush=True)
threading.Event().wait()
"""
    parent = start_python(program, home=tmp_path)
    try:
        first, second, old, new = read_numbers(parent)
        assert old != new
    finally:
        kill_and_reap(parent)
    assert eventually(lambda: not alive(first) and not alive(second) and not alive(new), 3)


def test_closing_removes_the_directories_still_adopted_and_no_other(tmp_path: Path) -> None:
    kept, removed = marked_directory(tmp_path / "kept"), marked_directory(tmp_path / "with\nnewline")
    not_ours = tmp_path / "not-ours"
    not_ours.mkdir()
    with Children() as children:
        for path in (kept, removed, not_ours):
            children.adopt_directory(path)
        children.release_directory(kept)
    assert (kept.exists(), removed.exists(), not_ours.exists()) == (True, False, True)


def test_the_guard_ends_only_what_it_was_told_and_not_what_was_taken_back(tmp_path: Path) -> None:
    bystanders = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(3)]
    told, taken_back, unrelated = bystanders
    try:
        orders = f"+g {told.pid}\0+g {taken_back.pid}\0-g {taken_back.pid}\0nonsense\0+g not-a-number\0".encode()
        subprocess.run([sys.executable, "-I", "-S", guard.__file__, "token-of-this-test"], input=orders, check=True, timeout=20)
        assert told.wait(5) == -signal.SIGTERM
        assert (taken_back.poll(), unrelated.poll()) == (None, None)
    finally:
        for process in bystanders:
            process.kill()
            process.wait()


def test_a_number_that_another_process_has_by_now_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {4711: b"100"}
    sent: list[int] = []
    monkeypatch.setattr(guard, "_start_time", lambda pid: times.get(pid, b""))
    monkeypatch.setattr(os, "killpg", lambda group, _: sent.append(group))
    monkeypatch.setattr(guard._Charges, "_bearers", lambda _: [])
    charges = guard._Charges("token")
    charges.order(b"+g 4711")
    times[4711] = b"200"
    charges.end()
    assert sent == []
    times[4711] = b"100"
    charges.order(b"+g 4711")
    times.clear()  # its leader is gone, members may be left
    charges.end()
    assert set(sent) == {4711}
