"""Large files are read side by side where there are cores for it: same hashes, same errors, and no helper outlives the call."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from seatrial.checker import fingerprint as module
from seatrial.checker.fingerprint import TreeChangedError, fingerprint
from seatrial.checker.nodes import ID_BYTES, decode
from seatrial.context import Context
from seatrial.errors import CancelledError, HarnessError

SIZE = module._START_BYTES
EDGES = sorted({base + step for base in (module._SMALL_BYTES, module._PIECE_BYTES, module._CHUNK_BYTES) for step in (-1, 0, 1)})
SIZES = [0, 1, *EDGES, 2 * module._PIECE_BYTES, 2 * module._CHUNK_BYTES + 1]
DEADLINE_S = 20


@pytest.fixture(autouse=True)
def two_idle_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And no thread more afterwards than before."""
    monkeypatch.setattr(module, "core_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before


@pytest.fixture
def on_large_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has a function called after each read of a piece of a large file, in the thread that reads."""
    real = os.readv

    def patch(then: Callable[[], None]) -> None:
        def readv(file: int, buffers: list[memoryview]) -> int:
            read = real(file, buffers)
            if len(buffers[0]) >= module._PIECE_BYTES:
                then()
            return read

        monkeypatch.setattr(os, "readv", readv)

    return patch


def sparse(at: Path, *names: str, size: int = SIZE) -> None:
    for name in names:
        with (at / name).open("wb") as file:
            file.truncate(size)


def in_helper() -> bool:
    return threading.current_thread().name.startswith("fingerprint")


@pytest.mark.parametrize("load", [0.0, 1000.0])
def test_hashes_are_those_of_the_contents_at_the_edges_of_the_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: float) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    content = blake3(b"some").digest(max(SIZES))
    for size in SIZES:
        (tmp_path / "all").mkdir(exist_ok=True)
        (tmp_path / f"alone{size}").mkdir()
        (tmp_path / "all" / f"alone{size}").write_bytes(content[:size])
        (tmp_path / f"alone{size}/file").write_bytes(content[:size])
    found = fingerprint(tmp_path)
    expected = {f"alone{size}".encode(): blake3(content[:size]).digest(ID_BYTES) for size in SIZES}
    below = {entry.name: entry.reference for entry in decode(found.nodes[found.root])}
    assert {entry.name: entry.reference for entry in decode(found.nodes[bytes(below.pop(b"all")).hex()])} == expected
    assert {name: decode(found.nodes[bytes(node).hex()])[0].reference for name, node in below.items()} == expected
    assert (found.files, found.bytes) == (2 * len(SIZES), 2 * sum(SIZES))


def test_two_large_files_are_read_by_two_threads_at_once(tmp_path: Path, on_large_read: Callable[[Callable[[], None]], None]) -> None:
    sparse(tmp_path, "one", "two")
    meeting = threading.Barrier(2)
    met: set[str] = set()

    def meet() -> None:
        if threading.current_thread().name not in met:
            met.add(threading.current_thread().name)
            meeting.wait(DEADLINE_S)

    on_large_read(meet)
    assert fingerprint(tmp_path).bytes == 2 * SIZE
    assert len(met) == 2


@pytest.mark.parametrize("reason", ["one file", "one core", "little to read"])
def test_nobody_helps_where_it_would_not_pay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_large_read: Callable[[Callable[[], None]], None], reason: str
) -> None:
    names = ("one",) if reason == "one file" else ("one", "two")
    sparse(tmp_path, *names, size=module._LARGE_BYTES if reason == "little to read" else SIZE)
    if reason == "one core":
        monkeypatch.setattr(module, "core_count", lambda: 1)
    readers: set[int] = set()
    on_large_read(lambda: readers.add(threading.get_ident()))
    fingerprint(tmp_path)
    assert readers == {threading.get_ident()}


def test_a_reading_does_not_take_its_own_load_for_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for load, idle in ((1.0, True), (1.9, True), (2.0, False)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert module._has_idle_cores() is idle


@pytest.mark.parametrize("helper_fails", [True, False])
def test_an_error_in_the_middle_of_a_file_stops_the_other_readers(
    tmp_path: Path, on_large_read: Callable[[Callable[[], None]], None], helper_fails: bool
) -> None:
    sparse(tmp_path, "one", "two", size=200 * module._PIECE_BYTES)
    failed, never = threading.Event(), threading.Event()
    reads = {True: 0, False: 0}

    def fail() -> None:
        reads[in_helper()] += 1
        if in_helper() is not helper_fails:
            assert failed.wait(DEADLINE_S)
            never.wait(0.005)  # a reader that was not stopped would take seconds, and be counted
        elif reads[helper_fails] == 3:
            failed.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    on_large_read(fail)
    before = threading.enumerate()
    with pytest.raises(HarnessError, match=r"(one|two): cannot be read: Input/output error"):
        fingerprint(tmp_path)
    assert threading.enumerate() == before
    assert reads[helper_fails] == 3
    assert 1 <= reads[not helper_fails] < 100


def test_cancellation_in_the_middle_of_a_file_ends_all_readers(tmp_path: Path, on_large_read: Callable[[Callable[[], None]], None]) -> None:
    sparse(tmp_path, "one", "two", "three")
    ctx, reads = Context(), 0

    def cancel() -> None:
        nonlocal reads
        reads += 1
        ctx.cancel.cancel("enough")

    on_large_read(cancel)
    before = threading.enumerate()
    with pytest.raises(CancelledError, match="enough"):
        fingerprint(tmp_path, ctx=ctx)
    assert threading.enumerate() == before
    assert reads <= 2  # one each


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"y")


def shrink(path: Path) -> None:
    os.truncate(path, SIZE // 2)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"y")
    os.utime(path, ns=(1, 1))  # the clock of a file system may be coarse


def replace(path: Path) -> None:
    path.unlink()
    sparse(path.parent, path.name)
    os.utime(path, ns=(1, 1))


def become_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [grow, shrink, rewrite, replace, become_a_fifo, Path.unlink])
@pytest.mark.parametrize("load", [0.0, 1000.0])
def test_a_large_file_that_changes_after_it_was_found_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_large_read: Callable[[Callable[[], None]], None],
    change: Callable[[Path], None],
    load: float,
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    sparse(tmp_path, "large", "other")
    sparse(tmp_path, "last", size=module._LARGE_BYTES)  # the smallest is read last, so it is not open yet
    victim = tmp_path / ("last" if change in {replace, become_a_fifo, Path.unlink} else "large")
    once, lock = iter([victim]), threading.Lock()

    def change_once() -> None:
        with lock:  # no reader goes on before it is done
            for path in once:
                change(path)

    on_large_read(change_once)
    with pytest.raises(TreeChangedError, match=f"{victim.name}: changed while it was read"):
        fingerprint(tmp_path)
