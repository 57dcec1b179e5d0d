"""The embedded server against ``rclone serve restic``: the same client, the same blobs, the same kind of certificate.

rclone neither syncs an upload nor checks its hash. So the ratios are taken with our ``fsync`` off, and its cost is told beside them.
Uploads are deleted again within the call: files that stay would measure how fast the system finds free memory for its page cache,
which varies sevenfold from one minute to the next.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import urllib3

from seatrial.targets.embedded.server.config import Limits
from tests.bench.harness import Row, at_most, median_s, ratio
from tests.support.embedded import ADMIN, ADMIN_PASSWORD, LiveServer
from tests.support.waiting import eventually

REPEATS = 7
SMALL_BYTES, LARGE_BYTES = 4096, 16 << 20
SMALL_PER_CALL, LARGE_PER_CALL = 200, 4
IDLE_CONNECTIONS = 1000
AIM = at_most(1.5)

Blobs = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Contender:
    """One server, and the one connection to it."""

    url: str
    pool: urllib3.PoolManager

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = urllib3.make_headers(basic_auth=f"{ADMIN}:{ADMIN_PASSWORD}")
        answer = self.pool.request(method, self.url + path, body=body, headers=headers, retries=False)
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.data!r}")
        return answer.data

    def put(self, blobs: Blobs) -> None:
        for name, data in blobs:
            self.ask("POST", f"data/{name}", data)

    def delete(self, blobs: Blobs) -> None:
        for name, _ in blobs:
            self.ask("DELETE", f"data/{name}")

    def put_and_delete(self, blobs: Blobs) -> None:
        self.put(blobs)
        self.delete(blobs)

    def get(self, blobs: Blobs) -> None:
        for name, data in blobs:
            if self.ask("GET", f"data/{name}") != data:
                raise RuntimeError(f"{name} came back changed")


def contender(url: str, certificate: Path) -> Contender:
    made = Contender(url, urllib3.PoolManager(maxsize=1, ca_certs=str(certificate)))
    made.ask("POST", "?create=true")
    return made


def batch(size: int, count: int) -> Blobs:
    return [(hashlib.sha256(data).hexdigest(), data) for data in (os.urandom(size) for _ in range(count))]


@contextmanager
def embedded(home: Path, *, fsync: bool) -> Iterator[LiveServer]:
    home.mkdir()
    server = LiveServer(home, limits=Limits(), fsync=fsync)
    try:
        yield server.start()
    finally:
        if server.stop() != 0:
            raise RuntimeError(server.log())


@contextmanager
def rclone(program: str, home: Path, certificate: Path) -> Iterator[str]:
    home.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "serve", "restic", "--addr", f"127.0.0.1:{port}", "--cert", str(certificate), "--key", str(certificate)]
    command += ["--user", ADMIN, "--pass", ADMIN_PASSWORD, str(home)]
    with (home.parent / "rclone.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        if not eventually(lambda: answers(port), 20):
            raise RuntimeError((home.parent / "rclone.log").read_text())
        yield f"https://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def compared(ours: Contender, theirs: Contender) -> list[Row]:
    rows = []
    for label, size, count in (("4 KiB", SMALL_BYTES, SMALL_PER_CALL), ("16 MiB", LARGE_BYTES, LARGE_PER_CALL)):
        blobs = batch(size, count)
        put = ratio(partial(ours.put_and_delete, blobs), partial(theirs.put_and_delete, blobs), REPEATS)
        ours.put(blobs)
        theirs.put(blobs)
        get = ratio(partial(ours.get, blobs), partial(theirs.get, blobs), REPEATS)
        get_ms = median_s(partial(ours.get, blobs)) / count * 1e3
        ours.delete(blobs)
        put_ms = median_s(partial(ours.put_and_delete, blobs)) / count * 1e3
        note = f"ours {put_ms:.2f} ms with its deletion, without fsync, hash checked"
        rows.append(Row(name=f"server put {label} / rclone", measured=put, aim=AIM, note=note))
        rows.append(Row(name=f"server get {label} / rclone", measured=get, aim=AIM, note=f"ours {get_ms:.2f} ms"))
    return rows


def synced(with_fsync: Contender, without: Contender) -> Row:
    blobs = batch(SMALL_BYTES, SMALL_PER_CALL)
    cost = ratio(partial(with_fsync.put_and_delete, blobs), partial(without.put_and_delete, blobs), REPEATS)
    return Row(name="server put 4 KiB, fsync on / off", measured=cost, note="file and directory synced before the answer")


def idle_memory(server: LiveServer) -> Row:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with ExitStack() as stack:
        for _ in range(IDLE_CONNECTIONS):
            stack.enter_context(server.speaker()).ask("GET", "locks/")
        grown_kib = (process.memory_info().rss - before) / 1024 / IDLE_CONNECTIONS
        threads = process.num_threads()
    return Row(
        name="server memory per idle connection", measured=grown_kib, unit="KiB", note=f"{IDLE_CONNECTIONS} of them, {threads} threads"
    )


def run() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as scratch, ExitStack() as stack:
        fast = stack.enter_context(embedded(Path(scratch, "fast"), fsync=False))
        safe = stack.enter_context(embedded(Path(scratch, "safe"), fsync=True))
        certificate = fast.home / "state" / "server.pem"
        ours = contender(f"https://127.0.0.1:{fast.port}/repository/", certificate)
        rows = [
            synced(contender(f"https://127.0.0.1:{safe.port}/repository/", safe.home / "state" / "server.pem"), ours),
            idle_memory(fast),
        ]
        program = shutil.which("rclone")
        if program is None:
            return [Row.skipped("server / rclone", "rclone is not on PATH"), *rows]
        theirs = contender(stack.enter_context(rclone(program, Path(scratch, "rclone"), certificate)), certificate)
        return [*compared(ours, theirs), *rows]
