"""How each row of restic's outcome table is provoked with the real program, and how a transcript of that is kept."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from seatrial.children import Completed
from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import EmbeddedSettings, Preset, ResticSettings
from seatrial.context import Context
from seatrial.targets.embedded.repository.locks import KnownLocks, Locker
from seatrial.targets.embedded.repository.repository import Repository
from seatrial.targets.embedded.rest import RestStore
from seatrial.targets.embedded.server import certificate
from seatrial.targets.programs.commands import Commands
from seatrial.targets.protocols import Access
from seatrial.targets.restic.certificate import keep_certificate
from seatrial.targets.restic.program import RESTIC, address_of, commands
from seatrial.targets.restic.target import ResticTarget
from seatrial.testing.stage import Stage

LIMIT_S = 60.0
NOBODY = "1" * 64


def open_stage(place: Path, *, exe: str = "", append_only: bool = False, quota_bytes: int = 0, server: str = "embedded") -> Stage:
    """A server, and whoever joins it."""
    preset = Preset(
        exe=exe,
        restic=ResticSettings(server=server, append_only=append_only),  # type: ignore[arg-type]  # of the names that it knows
        embedded=EmbeddedSettings(fsync=False, quota_bytes=quota_bytes),
    )
    return Stage(ResticTarget(), place, preset).open()


class Bench:
    """One client's commands, and a snapshot of it. Owner: a test."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.player = stage, stage.join()
        self.source = stage.place / "source"
        self.source.mkdir()
        (self.source / "file").write_bytes(bytes(range(256)) * 4096)
        self.empty = stage.place / "empty"
        self.empty.mkdir()

    @property
    def repository(self) -> Path:
        return self.stage.around.repository

    def snapshot(self) -> str:
        return self.player.create(self.source, "run/1-1")

    def commands(
        self, access: Access | None = None, certificate_file: Path | None = None, suffix: str = "", *, directly: bool = False
    ) -> Commands:
        """Of the client, or of what ``access`` says, with an empty cache. ``directly``: on the directory."""
        access = access or self.player.access
        home = self.stage.place / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        trusted = home / "server.pem"
        if certificate_file is None:
            keep_certificate(Context(clock=SYSTEM_CLOCK), self.player.access, trusted)
        return commands(
            RESTIC.find(self.stage.around.preset.exe),
            self.stage.children,
            repository=str(self.repository) if directly else address_of(access) + suffix,
            password=access.repository_password,
            home=home,
            arguments=("--cacert", str(certificate_file or trusted), "--cache-dir", str(home)),
            inherited={},
        )

    def run(self, operation: str, *arguments: str, on: Commands | None = None, cwd: Path | None = None) -> Completed:
        return (on or self.commands()).attempt(Context(clock=SYSTEM_CLOCK).within(LIMIT_S), operation, *arguments, cwd=cwd)

    def restore(self, snapshot: str) -> Completed:
        into = self.stage.place / f"restored-{len(list(self.stage.place.iterdir()))}"
        return self.run("restore", "restore", snapshot, "--target", str(into))

    def packs(self) -> list[Path]:
        """The largest first."""
        return sorted((self.repository / "data").glob("??/*"), key=lambda path: -path.stat().st_size)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Somebody who lives holds the exclusive lock."""
        ctx, store = Context(clock=SYSTEM_CLOCK).within(LIMIT_S), RestStore(self.player.access)
        try:
            repository = Repository.open(ctx, store, self.player.access.repository_password)
            with Locker(repository, "somebody", KnownLocks()).hold(ctx, exclusive=True, retry_s=0.0):
                yield
        finally:
            store.close()


def flip(file: Path) -> None:
    """Change one bit in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)


def plant_vanished_lock(repository: Path) -> Path:
    """A lock that is listed and not there, as one looks that is given back between the two questions."""
    lock = repository / "locks" / ("ab" * 32)
    lock.symlink_to("gone")
    return lock


def _contended(bench: Bench) -> Completed:
    with bench.locked():
        return bench.run("create", "backup", ".", cwd=bench.source)


def _lock_vanished(bench: Bench) -> Completed:
    plant_vanished_lock(bench.repository)
    return bench.run("create", "backup", ".", on=bench.commands(directly=True), cwd=bench.source)


def _delete_denied(bench: Bench) -> Completed:
    return bench.run("delete", "forget", bench.snapshot())


def _wrong_password(bench: Bench) -> Completed:
    access = bench.player.access
    wrong = Access(url=access.url, fingerprint=access.fingerprint, user=access.user, password=access.password, repository_password="no")
    return bench.run("list", "snapshots", on=bench.commands(wrong))


def _list_denied(bench: Bench) -> Completed:
    access = bench.player.access
    wrong = Access(
        url=access.url, fingerprint=access.fingerprint, user=access.user, password="no", repository_password=access.repository_password
    )
    return bench.run("list", "snapshots", on=bench.commands(wrong))


def _other_certificate(bench: Bench) -> Completed:
    place = bench.stage.place / "other"
    place.mkdir()
    other = certificate.make_or_load(place, SYSTEM_CLOCK)
    return bench.run("list", "snapshots", on=bench.commands(certificate_file=other.file))


def _unreachable(bench: Bench) -> Completed:
    run = bench.commands()
    bench.stage.server.cleanup()
    return bench.run("list", "snapshots", on=run)


def _no_repository(bench: Bench) -> Completed:
    return bench.run("list", "snapshots", on=bench.commands(suffix="nowhere/"))


def _delete_missing(bench: Bench) -> Completed:
    return bench.run("delete", "forget", NOBODY)


def _restore_missing(bench: Bench) -> Completed:
    return bench.restore(NOBODY)


def _incomplete(bench: Bench) -> Completed:
    # Even root cannot read this one from its beginning.
    return bench.run("create", "backup", ".", "/proc/self/mem", cwd=bench.source)


def _source_unreadable(bench: Bench) -> Completed:
    return bench.run("create", "backup", "nowhere", cwd=bench.source)


def _source_empty(bench: Bench) -> Completed:
    return bench.run("create", "backup", ".", cwd=bench.empty)


def _no_space(bench: Bench) -> Completed:
    (bench.source / "more").write_bytes(NOISE)
    return bench.run("create", "backup", ".", cwd=bench.source)


def _restore_missing_data(bench: Bench) -> Completed:
    snapshot = bench.snapshot()
    bench.packs()[0].unlink()
    return bench.restore(snapshot)


def _restore_corrupt(bench: Bench) -> Completed:
    (bench.source / "more").write_bytes(NOISE)
    snapshot = bench.snapshot()
    flip(bench.packs()[0])
    return bench.restore(snapshot)


def _restore_corrupt_snapshot(bench: Bench) -> Completed:
    snapshot = bench.snapshot()
    flip(bench.repository / "snapshots" / snapshot)
    return bench.restore(snapshot)


NOISE = ssl.RAND_bytes(3 << 20)
QUOTA_BYTES = 1 << 20
PROVOKED: dict[str, Callable[[Bench], Completed]] = {
    "create-contended": _contended,
    "create-lock-vanished": _lock_vanished,
    "delete-denied": _delete_denied,
    "list-wrong-password": _wrong_password,
    "list-denied": _list_denied,
    "list-denied-certificate": _other_certificate,
    "list-unreachable": _unreachable,
    "list-no-repository": _no_repository,
    "delete-missing": _delete_missing,
    "restore-missing": _restore_missing,
    "create-incomplete": _incomplete,
    "create-source-unreadable": _source_unreadable,
    "create-source-empty": _source_empty,
    "create-no-space": _no_space,
    "restore-missing-data": _restore_missing_data,
    "restore-corrupt": _restore_corrupt,
    "restore-corrupt-snapshot": _restore_corrupt_snapshot,
}
"""By operation and cause (and what else tells two ways to the same cause apart)."""


def provoke(name: str, place: Path, exe: str = "") -> Completed:
    """What restic says to it, over a server of its own."""
    stage = open_stage(place, exe=exe, append_only=name == "delete-denied", quota_bytes=QUOTA_BYTES if name == "create-no-space" else 0)
    try:
        return PROVOKED[name](Bench(stage))
    finally:
        stage.close()


def kept(done: Completed, version: str, name: str) -> str:
    """A transcript: version, what it was, exit code, whether it was given up, then stderr, a line of dashes, stdout."""
    return f"restic {version}\n{name}\nexit code {done.returncode}{', given up' * done.given_up}\n{done.stderr}\n---\n{done.stdout}"


def recorded(text: str) -> tuple[str, Completed]:
    """The version, and how the command ended, out of a transcript."""
    head, _, said = text.partition("\nexit code ")
    code, _, said = said.partition("\n")
    stderr, _, stdout = said.partition("\n---\n")
    number, _, given_up = code.partition(",")
    done = Completed(int(number), stdout=stdout, stderr=stderr)
    return head.splitlines()[0].removeprefix("restic "), replace(done, given_up=bool(given_up))
