"""The real program judges: what ours writes it checks, restores and deduplicates against; what it writes ours restores.

restic 0.14 knows no ``linktarget_raw``: a link target that is no UTF-8 comes back wrong from it, so that the trees here have none.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.context import Context
from seatrial.targets.embedded.repository.backup import CHUNK_BYTES
from seatrial.targets.embedded.repository.store import Kind
from tests.support.embedded import ADMIN, ADMIN_PASSWORD
from tests.unit.embedded_repository.conftest import Harbour
from tests.unit.embedded_repository.stores import PASSWORD, DirectoryStore, make, reopen, virtual
from tests.unit.embedded_repository.work import backup, check, describe, odd_tree, plain_tree, prune, restore

pytestmark = pytest.mark.needs_program("restic")


class Restic:
    """The program on one repository."""

    def __init__(self, repository: str, cache: Path, *options: str) -> None:
        cache.mkdir(exist_ok=True)
        self.options = options
        self.environment = {
            "PATH": os.defpath,
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
            "HOME": str(cache),
            "RESTIC_REPOSITORY": repository,
            "RESTIC_PASSWORD": PASSWORD,
            "RESTIC_CACHE_DIR": str(cache),
        }

    def __call__(self, *args: str) -> str:
        done = subprocess.run(["restic", *self.options, *args], env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"restic {args}: {done.stdout}{done.stderr}"
        return done.stdout

    def check(self) -> None:
        said = self("check", "--read-data")
        assert "no errors were found" in said
        for hint in ("not referenced", "mixed", "duplicate", "error for"):
            assert hint not in said.lower(), said

    def backup(self, source: Path) -> int:
        """Back up without looking at former snapshots; bytes added."""
        lines = self("backup", "--force", "--json", str(source)).splitlines()
        added: int = json.loads(lines[-1])["data_added"]
        return added


def readable_odd_tree(root: Path) -> Path:
    source = odd_tree(root)
    (source / "raw-link").unlink()
    return source


@pytest.fixture(params=[1, 2], ids=["format 1", "format 2"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[DirectoryStore, Restic]:
    store = DirectoryStore(tmp_path / "repository")
    make(store, version=request.param)
    return store, Restic(str(store.root), tmp_path / "cache")


def test_what_ours_writes_restic_checks_and_restores(repository: tuple[DirectoryStore, Restic], tmp_path: Path) -> None:
    store, restic = repository
    source = readable_odd_tree(tmp_path / "source")
    snapshot = backup(reopen(store), source)
    restic.check()
    restic("restore", snapshot, "--target", str(tmp_path / "restored"))
    assert describe(tmp_path / "restored" / str(source).lstrip("/")) == describe(source)
    (listed,) = json.loads(restic("snapshots", "--json"))
    assert (listed["id"], listed["paths"], listed["tags"]) == (snapshot, [str(source)], ["seatrial-op=run/1"])


def test_what_restic_writes_ours_checks_and_restores(repository: tuple[DirectoryStore, Restic], tmp_path: Path) -> None:
    store, restic = repository
    source = readable_odd_tree(tmp_path / "source")
    (source / "large").write_bytes(os.urandom(5 << 20))
    restic.backup(source)
    ((snapshot, _),) = store.entries(virtual(), Kind.SNAPSHOT)
    assert describe(restore(reopen(store), snapshot, tmp_path / "restored")) == describe(source)
    verdict = check(reopen(store))
    assert verdict.clean, verdict.output


def test_a_relative_path_given_to_restic_restores_too(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "repository")
    make(store)
    source = plain_tree(tmp_path / "some" / "source")
    restic = Restic(str(store.root), tmp_path / "cache")
    subprocess.run(["restic", "backup", "source"], env=restic.environment, cwd=source.parent, check=True, capture_output=True)
    ((snapshot, _),) = store.entries(virtual(), Kind.SNAPSHOT)
    assert describe(restore(reopen(store), snapshot, tmp_path / "restored")) == describe(source)


def _ancestors(path: Path) -> list[tuple[int, int]]:
    return [(parent.stat().st_mtime_ns, parent.stat().st_ctime_ns) for parent in [path, *path.parents]]


def test_a_forced_backup_by_restic_on_top_of_ours_adds_nothing(repository: tuple[DirectoryStore, Restic], tmp_path: Path) -> None:
    """Every blob is bit for bit what restic would have written."""
    store, restic = repository
    source = readable_odd_tree(tmp_path / "source")
    for path in source.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size > CHUNK_BYTES:
            path.unlink()
    # The times of /tmp and the like are part of the root's trees, and other tests write there: count only an undisturbed attempt.
    for _ in range(50):
        before = _ancestors(tmp_path)
        backup(reopen(store), source)
        added = restic.backup(source)
        if _ancestors(tmp_path) == before:
            assert added == 0
            return
    pytest.fail("somebody changes the directories above all the time")


def test_restic_is_content_after_our_prune_and_we_after_its(repository: tuple[DirectoryStore, Restic], tmp_path: Path) -> None:
    store, restic = repository
    kept: dict[str, Path] = {}
    for turn in range(4):
        source = plain_tree(tmp_path / f"source-{turn}", files=6, salt="shared")
        plain_tree(source / "own", files=6, salt=f"own-{turn}")
        snapshot = backup(reopen(store), source)
        kept[snapshot] = source
        if turn % 2:
            forgotten = next(iter(kept))
            del kept[forgotten]
            store.delete(virtual(), Kind.SNAPSHOT, forgotten)
            if turn == 1:
                assert prune(reopen(store)).repacked_bytes > 0
            else:
                restic("prune", "--max-unused", "0")
        restic.check()
        assert check(reopen(store)).clean
    for number, (snapshot, source) in enumerate(kept.items()):
        assert describe(restore(reopen(store), snapshot, tmp_path / f"restored-{number}")) == describe(source)


def test_over_the_embedded_server_with_prunes_in_between(make_harbour: Callable[..., Harbour], tmp_path: Path) -> None:
    harbour = make_harbour()
    address = f"rest:https://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{harbour.server.port}/repository/"
    restic = Restic(address, tmp_path / "cache", "--cacert", str(harbour.home / "state" / "server.pem"))
    client = harbour.client()
    live: dict[str, Path] = {}
    for turn in range(3):
        source = plain_tree(tmp_path / f"source-{turn}", files=6, salt="shared")
        plain_tree(source / "own", files=6, salt=f"own-{turn}")
        snapshot, _ = client.create(Context(), source, f"run/{turn}")
        if turn == 1:
            client.delete(Context(), next(iter(live)))
            live.clear()
            code, said = harbour.maintain("prune")
            assert (code, said["repacked_bytes"] > 0) == (0, True)
        live[snapshot] = source
        restic.check()
    for number, (snapshot, source) in enumerate(live.items()):
        restic("restore", snapshot, "--target", str(tmp_path / f"restored-{number}"))
        assert describe(tmp_path / f"restored-{number}" / str(source).lstrip("/")) == describe(source)
    restic.backup(tmp_path / "source-0")
    (theirs,) = {row.id for row in client.list(Context())} - live.keys()
    into = tmp_path / "ours"
    into.mkdir()
    client.restore(Context(), theirs, into)
    assert describe(into) == describe(tmp_path / "source-0")
