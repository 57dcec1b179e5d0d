"""The request socket: steering a run from outside, and strangers at the door."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from seatrial.children import Children
from seatrial.clock import SYSTEM_CLOCK, SystemClock, VirtualClock
from seatrial.errors import HarnessError, UsageError
from seatrial.harness import control
from seatrial.harness.control import ADDRESS_NAME, COMMANDS, SOCKET_NAME, ControlSocket, ending, request
from seatrial.history.events import Event, PlanEvent, RunEnded
from seatrial.history.journal import Journal
from seatrial.verdicts import Verdict
from tests.support.processes import kill_and_reap, read_numbers, start_python
from tests.support.waiting import eventually

Serve = Callable[..., ControlSocket]
LONGEST = "x" * (control.ANSWER_LIMIT_BYTES - len('{"ok":true,"answer":""}\n'))


@pytest.fixture
def serve() -> Iterator[Serve]:
    made: list[ControlSocket] = []

    def start(run_dir: Path, **handlers: Callable[[str], str]) -> ControlSocket:
        served = ControlSocket(run_dir, handlers or {"status": lambda argument: f"status of {argument}"}, peer_timeout_s=0.4)
        made.append(served)
        served.start()
        return served

    yield start
    for one in made:
        one.close()


@pytest.fixture(params=["short", "long"])
def run_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("r", numbered=True)
    made = base if request.param == "short" else base / ("x" * 60) / ("y" * 60)
    made.mkdir(parents=True, exist_ok=True)
    return made


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def exchange(served: ControlSocket, data: bytes, *, half_close: bool = True) -> bytes:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(served.address))
        try:
            peer.sendall(data)
            if half_close:
                peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut off while it sent
        received = b""
        try:
            while piece := peer.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def test_a_request_reaches_its_handler_and_the_answer_comes_back(run_dir: Path, serve: Serve) -> None:
    said: list[str] = []

    def note(argument: str) -> str:
        said.append(argument)
        return "noted"

    serve(run_dir, remark=note, pause=lambda _: "paused")
    assert request(run_dir, "remark", 'grüße "and\nmore"') == "noted"
    assert request(run_dir, "pause") == "paused"
    assert said == ['grüße "and\nmore"']


def test_the_socket_is_the_owners_alone_and_removed_at_the_end(run_dir: Path, serve: Serve) -> None:
    served = serve(run_dir)
    assert stat.S_IMODE(served.address.stat().st_mode) == 0o600
    assert stat.S_IMODE((run_dir / ADDRESS_NAME).stat().st_mode) == 0o600
    if served.address.parent != run_dir:
        assert stat.S_IMODE(served.address.parent.stat().st_mode) == 0o700
        assert len(os.fsencode(served.address)) <= control.ADDRESS_LIMIT_BYTES
    served.close()
    served.close()
    assert list(run_dir.iterdir()) == []
    assert not served.address.exists()
    assert served.address.parent == run_dir or not served.address.parent.exists()


def test_a_refusal_carries_the_handlers_words(tmp_path: Path, serve: Serve) -> None:
    def refuse(_: str) -> str:
        raise UsageError("there are no clients left", where="chaos", remedy="add one first")

    serve(tmp_path, **{"remove-client": refuse})
    with pytest.raises(UsageError, match="chaos: there are no clients left") as caught:
        request(tmp_path, "remove-client")
    assert caught.value.remedy == "add one first"


def test_a_handler_that_breaks_answers_so_and_the_next_request_is_served(tmp_path: Path, serve: Serve) -> None:
    serve(tmp_path, gc=lambda argument: str(1 // int(argument)))
    with pytest.raises(UsageError, match="'gc' failed inside seatrial: ZeroDivisionError"):
        request(tmp_path, "gc", "0")
    assert request(tmp_path, "gc", "1") == "1"


def test_a_known_command_without_a_handler_is_refused_with_what_there_is(tmp_path: Path, serve: Serve) -> None:
    serve(tmp_path, pause=str, status=str)
    with pytest.raises(UsageError, match="does not take 'gc'") as caught:
        request(tmp_path, "gc")
    assert caught.value.remedy == "it takes: pause, status"


def test_an_unknown_command_names_the_nearest(tmp_path: Path, serve: Serve) -> None:
    served = serve(tmp_path)
    with pytest.raises(UsageError, match="did you mean 'pause'") as caught:
        request(tmp_path, "pasue")
    assert caught.value.what == "unknown command 'pasue'"
    assert json.loads(exchange(served, b'{"command": "pasue"}\n')) == {
        "ok": False,
        "error": "unknown command 'pasue'",
        "remedy": "did you mean 'pause'?",
    }


def test_handlers_outside_the_closed_set_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not commands"):
        ControlSocket(tmp_path, {"explode": str})
    assert {"pause", "resume", "stop", "gc", "remark", "status"} <= COMMANDS


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"\0\xff\xfe garbage\n",
        b"[1, 2]\n",
        b'{"command": 5}\n',
        b'{"command": "status", "more": 1}\n',
        b'{"command": "status"',
        b"[" * 60_000 + b"\n",
        b"x" * 1_000_000,
        b"",
    ],
    ids=["empty", "binary", "list", "type", "key", "torn", "deep", "endless", "nothing"],
)
def test_garbage_is_refused_and_the_next_peer_served(tmp_path: Path, serve: Serve, garbage: bytes) -> None:
    served = serve(tmp_path)
    answer = exchange(served, garbage)
    assert answer == b"" or json.loads(answer)["ok"] is False
    assert request(tmp_path, "status", "x") == "status of x"


def test_a_line_without_end_is_refused_before_it_ends(tmp_path: Path, serve: Serve) -> None:
    answer = exchange(serve(tmp_path), b"x" * 1_000_000, half_close=False)
    assert "a request of more than" in json.loads(answer)["error"]


def test_silent_and_trickling_peers_are_cut_off_and_delay_nobody(tmp_path: Path, serve: Serve) -> None:
    served = serve(tmp_path)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(control.PEERS_LIMIT - 1)]
    for peer in silent:
        peer.connect(str(served.address))
        peer.send(b'{"comm')
    began_s = SYSTEM_CLOCK.monotonic_s()
    assert request(tmp_path, "status", "x") == "status of x"
    assert SYSTEM_CLOCK.monotonic_s() - began_s < 0.3
    for peer in silent:
        peer.settimeout(5)
        assert peer.recv(1) == b""
        peer.close()


def test_more_peers_than_it_holds_wait_and_are_served(tmp_path: Path, serve: Serve) -> None:
    served = serve(tmp_path)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(control.PEERS_LIMIT + 4)]
    for peer in silent:
        peer.connect(str(served.address))
    assert eventually(lambda: len(served._peers) == control.PEERS_LIMIT)
    assert request(tmp_path, "status", "x", timeout_s=10) == "status of x"
    assert len(served._peers) <= control.PEERS_LIMIT
    for peer in silent:
        peer.close()


def test_a_peer_that_never_reads_its_answer_is_cut_off(tmp_path: Path, serve: Serve) -> None:
    served = serve(tmp_path, status=lambda _: LONGEST, remark=str)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(served.address))
        peer.sendall(b'{"command": "status"}\n')
        assert eventually(lambda: served._peers)
        assert eventually(lambda: not served._peers, 5)
    assert request(tmp_path, "remark", "next") == "next"


def test_a_long_answer_arrives_whole_and_one_without_bounds_is_refused(tmp_path: Path) -> None:
    served = ControlSocket(tmp_path, {"status": lambda _: LONGEST, "remark": lambda _: LONGEST + "x", "gc": lambda _: "\0" * len(LONGEST)})
    served.start()
    try:
        assert request(tmp_path, "status") == LONGEST
        for command in ("remark", "gc"):  # a NUL takes six bytes
            with pytest.raises(UsageError, match="the answer is longer than"):
                request(tmp_path, command)
    finally:
        served.close()


def test_names_that_are_not_utf8_go_both_ways_as_escapes(tmp_path: Path, serve: Serve) -> None:
    def refuse(argument: str) -> str:
        raise UsageError("odd", where="/x\udcff")

    serve(tmp_path, remark=lambda argument: f"{argument} and \udcfe", gc=refuse)
    assert request(tmp_path, "remark", "\udcff") == r"\udcff and \udcfe"
    with pytest.raises(UsageError, match=r"/x\\udcff: odd"):
        request(tmp_path, "gc")


def test_many_at_once_each_get_their_own_answer(tmp_path: Path, serve: Serve) -> None:
    serve(tmp_path, remark=lambda argument: argument)
    answers: dict[str, str] = {}

    def ask(word: str) -> None:
        answers[word] = request(tmp_path, "remark", word)

    threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {str(number): str(number) for number in range(40)}


def test_an_engine_that_does_not_answer_is_said_to_hang(tmp_path: Path, serve: Serve) -> None:
    release = threading.Event()
    serve(tmp_path, status=lambda _: str(release.wait(30)))
    began_s = SYSTEM_CLOCK.monotonic_s()
    with pytest.raises(HarnessError, match="does not answer within"):
        request(tmp_path, "status", timeout_s=0.2)
    assert SYSTEM_CLOCK.monotonic_s() - began_s < 3
    release.set()


def test_too_long_an_argument_is_not_even_sent(tmp_path: Path, serve: Serve) -> None:
    serve(tmp_path)
    with pytest.raises(UsageError, match="longer than"):
        request(tmp_path, "status", "x" * control.LINE_LIMIT_BYTES)


def write_journal(run_dir: Path, *events: Event) -> Journal:
    journal = Journal(run_dir, VirtualClock(1_700_000_000_123_456_789), ballast_bytes=10)
    for event in (PlanEvent(run_id="r", preset="smoke", seed=1, target="embedded", repo_path_prefix="/p", settings={}), *events):
        journal.append(event)
    return journal


def test_a_run_without_a_socket_is_not_active(run_dir: Path) -> None:
    with pytest.raises(UsageError, match="the run is not active: it has no journal"):
        request(run_dir, "stop")
    with pytest.raises(UsageError, match="no such run directory"):
        request(run_dir / "missing", "stop")


def test_a_run_that_ended_says_how(run_dir: Path) -> None:
    write_journal(run_dir, RunEnded(verdict=Verdict.FAIL, exit_code=1)).close()
    assert ending(run_dir) == "it ended at 2023-11-14T22:13:20Z with FAIL, exit code 1"
    with pytest.raises(UsageError, match="the run is not active: it ended at 2023-11-14T22:13:20Z with FAIL"):
        request(run_dir, "pause")


def test_a_run_that_was_aborted_says_so(tmp_path: Path) -> None:
    write_journal(tmp_path, RunEnded(verdict=Verdict.INCONCLUSIVE, exit_code=130, aborted=True)).close()
    assert ending(tmp_path) == "it was aborted at 2023-11-14T22:13:20Z with INCONCLUSIVE, exit code 130"


def test_a_run_whose_engine_is_there_without_a_socket_is_starting_or_ending(tmp_path: Path) -> None:
    journal = write_journal(tmp_path)
    with pytest.raises(UsageError, match="starting or ending"):
        request(tmp_path, "pause")
    journal.close()


def test_a_journal_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "journal-000001.jsonl").write_text("garbage\n")
    with pytest.raises(UsageError, match="how it ended cannot be read"):
        request(tmp_path, "pause")


def test_a_stale_socket_of_a_killed_engine_is_told_and_taken_over(run_dir: Path, serve: Serve) -> None:
    program = """
import sys, threading
from pathlib import Path
from seatrial.children import Children
from seatrial.harness.control import ControlSocket
children = Children()
children.run(["true"], scratch=Path(sys.argv[1]))
ControlSocket(Path(sys.argv[1]), {}, children=children).start()
print(children.guard_pid, flush=True)
threading.Event().wait()
"""
    engine = start_python(program, str(run_dir), home=run_dir)
    try:
        assert read_numbers(engine)
        with pytest.raises(UsageError, match="does not take 'stop'"):
            request(run_dir, "stop")
        with pytest.raises(HarnessError, match="another engine serves this run"):
            ControlSocket(run_dir, {}).start()
        with pytest.raises(UsageError, match="does not take 'stop'"):
            request(run_dir, "stop")
    finally:
        kill_and_reap(engine)
    write_journal(run_dir).close()
    with pytest.raises(UsageError, match="not active: it broke off, its last event is of 2023-11-14T22:13:20Z"):
        request(run_dir, "stop")
    address = Path(json.loads((run_dir / ADDRESS_NAME).read_text())["socket"])
    if address.parent != run_dir:
        assert eventually(lambda: not address.parent.exists(), 5)  # the guard has removed it
    serve(run_dir)
    assert request(run_dir, "status", "x") == "status of x"


def test_a_run_directory_that_was_moved_is_found_beside_its_journal(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "old").mkdir()
    serve(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    assert request(tmp_path / "new", "status", "x") == "status of x"
    assert (tmp_path / "new" / SOCKET_NAME).exists()


def test_close_ends_the_thread_and_gives_back_all_descriptors(run_dir: Path) -> None:
    before = threading.active_count(), descriptors()
    served = ControlSocket(run_dir, {"status": str})
    served.start()
    idle = socket.socket(socket.AF_UNIX)
    idle.connect(str(served.address))
    request(run_dir, "status")
    served.close()
    idle.close()
    assert (threading.active_count(), descriptors()) == before


def test_a_private_directory_is_released_from_the_guard_when_it_is_removed(tmp_path: Path) -> None:
    run_dir = tmp_path / ("x" * 120)
    run_dir.mkdir()
    with Children() as children:
        served = ControlSocket(run_dir, {}, children=children)
        served.start()
        assert served.address.parent in {Path(os.fsdecode(name)) for name in children._guardian._directories}
        served.close()
        assert not children._guardian._directories


class WaitingSeen(SystemClock):
    """Tells when somebody waits."""

    def __init__(self) -> None:
        self.waited = threading.Event()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waited.set()
        return super().wait(event, timeout_s)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a connection waits for its place in the queue by itself")
def test_a_place_in_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as waiting:
        listener.bind(str(tmp_path / SOCKET_NAME))
        listener.listen(0)
        full = False
        while not full:
            other = waiting.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            try:
                other.connect(str(tmp_path / SOCKET_NAME))
            except BlockingIOError:
                full = True
        with pytest.raises(HarnessError, match="does not answer"):
            request(tmp_path, "status", timeout_s=0.1)
        answers: list[str] = []
        clock = WaitingSeen()
        asking = threading.Thread(target=lambda: answers.append(request(tmp_path, "status", timeout_s=30, clock=clock)))
        asking.start()
        assert clock.waited.wait(10)
        waiting.close()  # those before it give up: accepted, they say nothing
        while asking.is_alive():
            connection, _ = listener.accept()
            with connection:
                if connection.recv(1000):
                    connection.sendall(b'{"ok":true,"answer":"at last"}\n')
                    asking.join(30)
        assert answers == ["at last"]


def test_without_a_descriptor_for_who_waits_it_rests_between_two_looks_and_then_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    refused: list[bool] = []
    accept = socket.socket.accept

    class Resting(SystemClock):
        def wait(self, event: threading.Event, timeout_s: float) -> bool:
            rests.append(timeout_s)
            return super().wait(event, timeout_s)

    def no_descriptor(listener: socket.socket) -> tuple[socket.socket, object]:
        if len(refused) < 5:
            refused.append(True)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", no_descriptor)
    served = ControlSocket(tmp_path, {"status": lambda _: "here"}, clock=Resting())
    served.start()
    try:
        assert request(tmp_path, "status") == "here"
    finally:
        served.close()
    assert len(refused) == 5
    assert len(rests) == 5
    assert min(rests) > 0
