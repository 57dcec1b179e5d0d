"""Children with real programs: what they inherit, how they end, and that nothing of them stays."""

from __future__ import annotations

import os
import resource
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial import children as children_module
from seatrial.children import Child, Children, Completed
from seatrial.clock import SYSTEM_CLOCK
from seatrial.context import CancelToken, Context
from seatrial.errors import CancelledError, HarnessError, UsageError
from tests.support.processes import alive
from tests.support.waiting import eventually

IGNORES_TERM = "trap '' TERM; echo $$; while :; do sleep 0.05; done"


@pytest.fixture
def children() -> Iterator[Children]:
    with Children(grace_s=0.2) as made:
        yield made


def now_s() -> float:
    return SYSTEM_CLOCK.monotonic_s()


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/dev/fd").iterdir()}


def pids_in(path: Path, number: int) -> list[int]:
    assert eventually(lambda: path.exists() and len(path.read_text().split()) >= number)
    return [int(word) for word in path.read_text().split()]


def cancel_when(marker: Path, token: CancelToken) -> threading.Thread:
    def wait_and_cancel() -> None:
        eventually(marker.exists)
        token.cancel("enough")

    thread = threading.Thread(target=wait_and_cancel)
    thread.start()
    return thread


def test_run_returns_code_and_both_outputs(children: Children, tmp_path: Path) -> None:
    done = children.run(["sh", "-c", "echo out; echo err >&2; exit 3"], scratch=tmp_path / "made" / "on-the-way")
    assert done == Completed(returncode=3, stdout="out\n", stderr="err\n", pid=done.pid)
    assert done.pid not in (0, os.getpid())
    assert list((tmp_path / "made" / "on-the-way").iterdir()) == []


def test_a_signal_is_a_negative_code(children: Children, tmp_path: Path) -> None:
    assert children.run(["sh", "-c", "kill -9 $$"], scratch=tmp_path).returncode == -signal.SIGKILL


def test_output_that_is_not_utf8_is_shown_as_escapes(children: Children, tmp_path: Path) -> None:
    assert children.run(["printf", r"a\377b"], scratch=tmp_path).stdout == r"a\xffb"


def test_every_child_has_utc_and_a_utf8_locale_and_what_is_added(children: Children, tmp_path: Path) -> None:
    done = children.run(["sh", "-c", "echo $TZ $LC_ALL $EXTRA; echo ${PATH:+inherited}"], scratch=tmp_path, env={"EXTRA": "more"})
    assert done.stdout == "UTC C.UTF-8 more\ninherited\n"


def test_a_given_environment_replaces_ours(tmp_path: Path) -> None:
    with Children(environment={"PATH": os.defpath}) as made:
        assert made.run(["sh", "-c", "echo ${HOME-none} $TZ"], scratch=tmp_path).stdout == "none UTC\n"


def test_each_child_leads_a_session_of_its_own(children: Children, tmp_path: Path) -> None:
    child = children.spawn(["sleep", "60"], stdout=tmp_path / "log")
    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    child.kill()


def test_it_runs_in_the_given_directory(children: Children, tmp_path: Path) -> None:
    assert children.run(["pwd"], scratch=tmp_path, cwd=tmp_path).stdout.strip() == str(tmp_path.resolve())


def test_stdin_is_what_was_given_and_then_ends(children: Children, tmp_path: Path) -> None:
    content = os.urandom(4 << 20)
    done = children.run(["wc", "-c"], scratch=tmp_path, stdin=content)
    assert int(done.stdout) == len(content)
    assert children.run(["cat"], scratch=tmp_path).stdout == ""


def test_large_stdin_that_nobody_reads_blocks_nobody(children: Children, tmp_path: Path) -> None:
    assert children.run(["true"], scratch=tmp_path, stdin=bytes(4 << 20)).returncode == 0


def test_a_hundred_megabytes_nobody_reads_go_to_the_file(children: Children, tmp_path: Path) -> None:
    child = children.spawn(["head", "-c", "100000000", "/dev/zero"], stdout=tmp_path / "log")
    assert child.wait(60) == 0
    assert (tmp_path / "log").stat().st_size == 100_000_000


def test_run_keeps_the_head_of_stdout_and_the_tail_of_stderr(children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children_module, "OUTPUT_LIMIT_BYTES", 3)
    done = children.run(["sh", "-c", "printf 12345; printf 12345 >&2"], scratch=tmp_path)
    assert (done.stdout, done.stderr, done.truncated) == ("123", "345", True)


def test_logs_are_appended_to_and_private(children: Children, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("first", "second"):
        children.spawn(["sh", "-c", f"echo {word}; echo {word} >&2"], stdout=log).wait()
    assert log.read_text() == "first\nfirst\nsecond\nsecond\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_stderr_has_a_file_of_its_own_where_asked(children: Children, tmp_path: Path) -> None:
    child = children.spawn(["sh", "-c", "echo out; echo err >&2"], stdout=tmp_path / "out", stderr=tmp_path / "err")
    child.wait()
    assert (child.stdout.read_text(), child.stderr.read_text()) == ("out\n", "err\n")


def test_grandchildren_die_with_a_child_that_ends_by_itself(children: Children, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = children.spawn(["sh", "-c", "sleep 600 & echo $!; sh -c 'sleep 600 & echo $!'; exit 0"], stdout=log)
    assert child.wait(10) == 0
    grandchildren = pids_in(log, 2)
    assert eventually(lambda: not any(map(alive, grandchildren)), 2)


def test_terminate_reaches_the_whole_group(children: Children, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = children.spawn(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=log)
    (grandchild,) = pids_in(log, 1)
    assert child.terminate() == -signal.SIGTERM
    assert eventually(lambda: not alive(grandchild), 2)
    assert child.terminate() == child.kill() == -signal.SIGTERM  # fine on one that has ended


def test_terminate_kills_what_ignores_it_after_the_grace(children: Children, tmp_path: Path) -> None:
    child = children.spawn(["sh", "-c", IGNORES_TERM], stdout=tmp_path / "log")
    pids_in(tmp_path / "log", 1)
    began_s = now_s()
    assert child.terminate(grace_s=0.1) == -signal.SIGKILL
    assert 0.1 <= now_s() - began_s < 5


def test_a_deadline_terms_and_then_kills(children: Children, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = children.spawn(["sh", "-c", IGNORES_TERM], stdout=log)
    pids_in(log, 1)
    child.end_at(now_s() + 0.1)
    assert child.wait(10) == -signal.SIGKILL
    assert child.timed_out


def test_a_child_may_use_its_term_to_end_well(children: Children, tmp_path: Path) -> None:
    script = "trap 'echo bye; exit 7' TERM; echo $$; while :; do sleep 0.02; done"
    child = children.spawn(["sh", "-c", script], stdout=tmp_path / "log")
    pids_in(tmp_path / "log", 1)
    child.end_at(now_s())
    assert child.wait(10) == 7
    assert child.timed_out
    assert "bye" in (tmp_path / "log").read_text()


def test_run_says_that_it_timed_out_and_keeps_the_output(children: Children, tmp_path: Path) -> None:
    began_s = now_s()
    done = children.run(["sh", "-c", "echo begun; exec sleep 600"], scratch=tmp_path, deadline_s=began_s + 0.3)
    assert (done.returncode, done.timed_out, done.cancelled, done.stdout) == (-signal.SIGTERM, True, False, "begun\n")
    assert now_s() - began_s < 5


def test_a_deadline_that_is_met_leaves_no_trace(children: Children, tmp_path: Path) -> None:
    assert children.run(["true"], scratch=tmp_path, deadline_s=now_s() + 60).timed_out is False


def test_the_deadline_of_the_context_counts_too(children: Children, tmp_path: Path) -> None:
    done = children.run(["sleep", "600"], scratch=tmp_path, deadline_s=now_s() + 600, ctx=Context().within(0.2))
    assert done.timed_out


def test_cancelling_the_context_ends_the_program(children: Children, tmp_path: Path) -> None:
    token = CancelToken()
    marker = tmp_path / "begun"
    canceller = cancel_when(marker, token)
    done = children.run(["sh", "-c", f"touch {marker}; exec sleep 600"], scratch=tmp_path, ctx=Context(cancel=token))
    canceller.join()
    assert (done.cancelled, done.timed_out, done.returncode) == (True, False, -signal.SIGTERM)


def test_a_cancelled_program_that_exits_0_at_term_is_still_cancelled(children: Children, tmp_path: Path) -> None:
    token = CancelToken()
    marker = tmp_path / "begun"
    canceller = cancel_when(marker, token)
    script = f"trap 'exit 0' TERM; touch {marker}; while :; do sleep 0.02; done"
    done = children.run(["sh", "-c", script], scratch=tmp_path, ctx=Context(cancel=token))
    canceller.join()
    assert (done.cancelled, done.returncode) == (True, 0)


def test_nothing_is_started_for_a_context_that_is_over(children: Children, tmp_path: Path) -> None:
    token = CancelToken()
    token.cancel("over")
    with pytest.raises(CancelledError):
        children.run(["touch", str(tmp_path / "made")], scratch=tmp_path, ctx=Context(cancel=token))
    assert not (tmp_path / "made").exists()


def test_on_exit_is_called_once_and_promptly_after_a_kill_from_outside(children: Children, tmp_path: Path) -> None:
    seen: list[tuple[Child, int | None]] = []
    called = threading.Event()

    def on_exit(child: Child) -> None:
        seen.append((child, child.returncode))
        called.set()

    child = children.spawn(["sleep", "600"], stdout=tmp_path / "log", on_exit=on_exit)
    began_s = now_s()
    os.kill(child.pid, signal.SIGKILL)
    assert called.wait(5)
    assert now_s() - began_s < 0.5
    children.close()
    assert seen == [(child, -signal.SIGKILL)]


def test_on_exit_may_start_the_next_child(children: Children, tmp_path: Path) -> None:
    log = tmp_path / "log"
    second: list[Child] = []
    children.spawn(
        ["sh", "-c", "echo one"], stdout=log, on_exit=lambda _: second.append(children.spawn(["sh", "-c", "echo two"], stdout=log))
    )
    assert eventually(lambda: second)
    assert second[0].wait(10) == 0
    assert log.read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [(None, 0, "no such program"), (b"", 0o600, "not executable"), (b"\x01\x02\x03\x04", 0o700, "not a program for this machine")],
)
def test_a_program_that_cannot_be_started_is_named_with_a_remedy(
    children: Children, tmp_path: Path, content: bytes | None, mode: int, said: str
) -> None:
    program = tmp_path / "program"
    if content is not None:
        program.write_bytes(content)
        program.chmod(mode)
    with pytest.raises(UsageError, match=said) as caught:
        children.run([str(program)], scratch=tmp_path)
    assert caught.value.where == str(program)
    assert caught.value.remedy


def test_a_program_that_is_not_on_the_path_is_named(children: Children, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-program-anywhere: no such program"):
        children.spawn(["no-such-program-anywhere"], stdout=tmp_path / "log")


def test_a_missing_working_directory_is_named_rather_than_the_program(children: Children, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the directory to run in does not exist") as caught:
        children.run(["true"], scratch=tmp_path, cwd=tmp_path / "missing")
    assert caught.value.where == str(tmp_path / "missing")


def test_an_output_file_that_cannot_be_made_is_named(children: Children, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened for output") as caught:
        children.spawn(["true"], stdout=tmp_path / "missing" / "log")
    assert caught.value.where == str(tmp_path / "missing" / "log")


def test_a_nul_in_an_argument_is_a_usage_error(children: Children, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a possible command line"):
        children.run(["echo", "a\0b"], scratch=tmp_path)


def test_no_descriptors_left_says_what_to_raise(children: Children, tmp_path: Path) -> None:
    children.run(["true"], scratch=tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.dup(0)
    os.close(first_free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
        with pytest.raises(HarnessError, match="ulimit -n"):
            children.run(["true"], scratch=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert children.run(["true"], scratch=tmp_path).returncode == 0


def test_no_threads_left_ends_the_child_and_says_what_to_raise(children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children.run(["true"], scratch=tmp_path)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(HarnessError, match="ulimit -u"):
            children.spawn(["sh", "-c", "echo $$; exec sleep 600"], stdout=tmp_path / "log")
    written = (tmp_path / "log").read_text().split()
    assert not written or not alive(int(written[0]))


def test_two_hundred_children_leave_no_thread_no_descriptor_and_no_process(tmp_path: Path) -> None:
    before_threads, before_descriptors = threading.active_count(), descriptors()
    pids: list[int] = []
    with Children() as made:
        for _ in range(10):
            batch = [made.spawn(["true"], stdout=tmp_path / "log", stdin=b"x", deadline_s=now_s() + 600) for _ in range(20)]
            assert [child.wait(30) for child in batch] == [0] * 20
            pids += [child.pid for child in batch]
    assert threading.active_count() == before_threads
    assert descriptors() == before_descriptors
    assert not any(map(alive, pids))


@pytest.mark.slow
def test_three_thousand_children_leave_nothing(tmp_path: Path) -> None:
    before_threads, before_descriptors = threading.active_count(), descriptors()
    with Children() as made:
        for _ in range(3000):
            assert made.run(["true"], scratch=tmp_path, deadline_s=now_s() + 600).returncode == 0
    assert threading.active_count() == before_threads
    assert descriptors() == before_descriptors


def test_close_ends_all_and_nothing_can_be_started_afterwards(tmp_path: Path) -> None:
    made = Children(grace_s=0.2)
    logs = [tmp_path / f"log-{number}" for number in range(4)]
    living = [made.spawn(["sh", "-c", IGNORES_TERM], stdout=log) for log in logs]
    for log in logs:
        pids_in(log, 1)
    guard_pid = made.guard_pid
    began_s = now_s()
    made.close()
    assert now_s() - began_s < 3  # one grace for all
    assert [child.returncode for child in living] == [-signal.SIGKILL] * 4
    assert not alive(guard_pid)
    with pytest.raises(HarnessError, match="closing"):
        made.spawn(["true"], stdout=tmp_path / "log")
    made.close()


def test_close_in_the_middle_of_spawning_leaves_no_child(tmp_path: Path) -> None:
    made = Children(grace_s=0.2)
    spawned: list[Child] = []

    def keep_spawning() -> None:
        try:
            while True:
                spawned.append(made.spawn(["sleep", "600"], stdout=tmp_path / "log"))
        except HarnessError:
            return

    spawners = [threading.Thread(target=keep_spawning) for _ in range(4)]
    for thread in spawners:
        thread.start()
    assert eventually(lambda: len(spawned) > 8)
    made.close()
    for thread in spawners:
        thread.join(10)
    assert not any(alive(child.pid) for child in spawned)
    assert all(child.returncode is not None for child in spawned)


def test_a_child_that_comes_up_while_all_is_closed_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Children(grace_s=0.2)
    pids: list[int] = []

    def close_just_now(pid: int) -> None:
        pids.append(pid)
        made.close()

    monkeypatch.setattr(made._guardian, "add_group", close_just_now)
    with pytest.raises(HarnessError, match="the run is closing"):
        made.spawn(["env", "-i", "sleep", "600"], stdout=tmp_path / "log")
    assert not alive(pids[0])
    assert made._living == {}


def test_sigchld_that_is_ignored_is_refused_because_codes_would_be_lost() -> None:
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(HarnessError, match="SIGCHLD"):
            Children()
    finally:
        signal.signal(signal.SIGCHLD, old)
