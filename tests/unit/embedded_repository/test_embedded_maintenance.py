"""The maintenance commands as the server's side calls them: one line in, one document out, an exit code."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from seatrial.context import Context
from seatrial.targets.embedded import maintenance
from seatrial.targets.embedded.repository.locks import KnownLocks, Locker
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.repository.store import Kind
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.protocols import GcStats, ListedSnapshot, Verification
from tests.support.processes import SOURCE_ROOT
from tests.support.waiting import eventually
from tests.unit.embedded_repository.conftest import Harbour
from tests.unit.embedded_repository.stores import PASSWORD
from tests.unit.embedded_repository.work import plain_tree


def test_init_may_be_done_twice(harbour: Harbour) -> None:
    code, said = harbour.maintain("init")
    assert code == 0
    assert said["created"] is False


def test_snapshots_prune_and_check_say_what_the_protocol_wants(harbour: Harbour, tmp_path: Path) -> None:
    client = harbour.client()
    kept, _ = client.create(Context(), plain_tree(tmp_path / "kept", salt="kept"), "run/1")
    gone, _ = client.create(Context(), plain_tree(tmp_path / "gone", salt="gone"), "run/2")
    client.delete(Context(), gone)
    code, said = harbour.maintain("snapshots")
    assert (code, msgspec.convert(said, list[ListedSnapshot])) == (0, [ListedSnapshot(id=kept, op="run/1")])
    code, said = harbour.maintain("prune", "--max-unused-percent", "0", "--retry-lock-s", "1.5")
    stats = msgspec.convert(said, GcStats)
    assert (code, stats.deleted_packs > 0, stats.freed_bytes > 0) == (0, True, True)
    code, said = harbour.maintain("check", "--read-data")
    assert (code, msgspec.convert(said, Verification).clean) == (0, True)


def test_a_damaged_repository_is_a_verification_and_no_error(make_harbour: Callable[..., Harbour], tmp_path: Path) -> None:
    harbour = make_harbour()
    harbour.client().create(Context(), plain_tree(tmp_path / "source"), "run/1")
    for pack in (harbour.server.repository / "data").glob("??/*"):
        raw = bytearray(pack.read_bytes())
        raw[20] ^= 1
        pack.write_bytes(raw)
    code, said = harbour.maintain("check", "--read-data")
    assert (code, said["clean"]) == (0, False)
    assert said["problems"]


def _exclusive(harbour: Harbour) -> tuple[RestStore, Locker, str]:
    store = RestStore(harbour.admin())
    locker = Locker(Repository.open(Context(), store, PASSWORD), "other", KnownLocks())
    return store, locker, locker.acquire(Context(), exclusive=True, retry_s=5).name


def test_a_refused_lock_is_contended_and_unlock_all_helps(harbour: Harbour) -> None:
    store, _, _ = _exclusive(harbour)
    code, said = harbour.maintain("prune")
    assert (code, said["error"]["cause"], said["error"]["outcome"]) == (1, "contended", "failed")
    assert harbour.maintain("unlock") == (0, {"removed": []}), "its holder lives"
    code, said = harbour.maintain("unlock", "--remove-all")
    assert (code, len(said["removed"])) == (0, 1)
    assert harbour.maintain("prune")[0] == 0
    store.close()


def test_what_is_not_an_access_record_is_refused_without_repeating_it() -> None:
    stdout = io.BytesIO()
    code = maintenance.main(["snapshots"], stdin=io.BytesIO(b'{"url":"https://x/","password":"hunter2"}\n'), stdout=stdout)
    assert code == 1
    assert b"hunter2" not in stdout.getvalue()
    assert "fingerprint" in msgspec.json.decode(stdout.getvalue())["error"]["message"]


@pytest.mark.parametrize("argv", [[], ["dance"], ["prune", "--max-unused-percent", "101"], ["prune", "--retry-lock-s", "soon"]])
def test_a_wrong_command_line_is_usage(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        maintenance.main(argv, stdin=io.BytesIO(), stdout=io.BytesIO())
    assert caught.value.code == 2


def test_an_unreachable_server_is_said_so(make_harbour: Callable[..., Harbour]) -> None:
    harbour = make_harbour()
    harbour.server.kill()
    ctx = Context().within(0.5)
    code, said = harbour.maintain("snapshots", ctx=ctx)
    assert code == 1
    assert said["error"]["cause"] in ("unreachable", "cancelled")


def test_terminated_it_takes_its_lock_away(harbour: Harbour) -> None:
    """As a process: SIGTERM while it waits for the exclusive lock, and for its own place in the queue."""
    store, locker, name = _exclusive(harbour)
    process = subprocess.Popen(
        [sys.executable, "-m", "seatrial.targets.embedded", "prune", "--retry-lock-s", "60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=SOURCE_ROOT,
        env={**os.environ},  # noqa: TID251 - handed down as it is
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(harbour.admin()) + b"\n")
    process.stdin.close()
    log = harbour.server.access_log
    size = log.stat().st_size
    assert eventually(lambda: log.read_bytes()[size:].count(b"/locks/") > 2 or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    out = process.stdout.read()
    process.stdout.close()
    assert process.wait(10) == 1
    assert msgspec.json.decode(out)["error"]["cause"] == "cancelled"
    assert {entry.name for entry in store.entries(Context(), Kind.LOCK)} == {name}
    locker.give_back(Context(), name)
    store.close()
