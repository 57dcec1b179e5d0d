"""Each rule of the conformance suite catches a target that breaks it; that a good one passes is in tests/conformance."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from seatrial.config.model import Preset
from seatrial.context import Context
from seatrial.errors import OperationError
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.process import EmbeddedServer
from seatrial.targets.embedded.target import EmbeddedTarget
from seatrial.targets.protocols import GcStats, ListedSnapshot, Surroundings, Verification
from seatrial.testing import hard_rules, rules, sample
from seatrial.testing.rules import Kept, Returned
from seatrial.testing.stage import NotConforming, Player, Stage
from seatrial.verdicts import Outcome

Patch = pytest.MonkeyPatch


@contextmanager
def caught(text: str) -> Iterator[None]:
    with pytest.raises(NotConforming, match=text):
        yield


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(EmbeddedTarget(), tmp_path_factory.mktemp("stage") / "stage", Preset()).open()
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def kept(stage: Stage) -> Kept:
    return rules.keep(stage.join(), sample.make_sample(stage.new_source(), stage.target.traits))


@pytest.fixture
def player(stage: Stage) -> Player:
    return stage.join()


@pytest.fixture
def other(stage: Stage) -> Player:
    return stage.join()


def broken(patch: Patch, player: Player, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a method of the player's client by what ``make`` makes of it."""
    patch.setattr(player.client, name, make(getattr(player.client, name)))


# -- what comes back


def altered(player: Player, kept: Kept, alter: Callable[[Path], object], patch: Patch) -> Returned:
    def make(restore: Callable[..., None]) -> Callable[..., None]:
        def restoring(ctx: Context, snapshot: str, into: Path) -> None:
            restore(ctx, snapshot, into)
            alter(into)

        return restoring

    broken(patch, player, "restore", make)
    return rules.bring_back(player, kept)


def relink(tree: Path) -> None:
    (tree / "odd/link").unlink()
    (tree / "odd/link").symlink_to("elsewhere")


@pytest.mark.parametrize(
    "alter",
    [
        lambda tree: (tree / "a/b/file").unlink(),
        lambda tree: (tree / "not ours").touch(),
        lambda tree: os.truncate(tree / "large", 100),
        lambda tree: (tree / "file").write_bytes(b"x" * 10_000),
        relink,
    ],
    ids=["missing", "extra", "size", "content", "link"],
)
def test_content_that_differs(alter: Callable[[Path], object], player: Player, kept: Kept, monkeypatch: Patch) -> None:
    with caught("what came back is not what went in"):
        rules.nothing_is_lost_or_added(altered(player, kept, alter, monkeypatch))


@pytest.mark.parametrize(
    ("path", "lose"),
    [
        (sample.EMPTY_FILE, lambda tree: (tree / sample.EMPTY_FILE).unlink()),
        (sample.EMPTY_DIRECTORY, lambda tree: (tree / sample.EMPTY_DIRECTORY).rmdir()),
        (sample.LARGE_FILE, lambda tree: os.truncate(tree / sample.LARGE_FILE, 1 << 20)),
    ],
)
def test_a_path_that_does_not_come_back(path: str, lose: Callable[[Path], object], player: Player, kept: Kept, monkeypatch: Patch) -> None:
    with caught(f"{path} (did not come back|came back differently)"):
        rules.comes_back(altered(player, kept, lose, monkeypatch), path)


def split(tree: Path) -> None:
    content = (tree / "odd/hard-2").read_bytes()
    (tree / "odd/hard-2").unlink()
    (tree / "odd/hard-2").write_bytes(content)


@pytest.mark.parametrize(
    "forget",
    [lambda tree: (tree / "file").chmod(0o600), lambda tree: os.utime(tree / "file"), split],
    ids=["mode", "mtime", "hardlink"],
)
def test_a_promise_that_is_not_kept(forget: Callable[[Path], object], player: Player, kept: Kept, monkeypatch: Patch) -> None:
    returned = altered(player, kept, forget, monkeypatch)
    rules.nothing_is_lost_or_added(returned)
    with caught("promises more than came back"):
        rules.promises_are_kept(returned)


def test_an_owner_that_is_promised_and_lost(player: Player, kept: Kept, monkeypatch: Patch) -> None:
    if (kept.source / sample.OWNED_FILE).stat().st_uid == os.geteuid():
        pytest.skip("no file can be given away here: one's own come back as one's own")
    returned = altered(player, kept, lambda tree: os.chown(tree / sample.OWNED_FILE, os.geteuid(), os.getegid()), monkeypatch)
    rules.nothing_is_lost_or_added(returned)
    with caught("promises more than came back"):
        rules.promises_are_kept(returned)


def test_holes_that_come_back_as_zeros(kept: Kept, tmp_path: Path) -> None:
    whole = kept.source / sample.SPARSE_FILE
    rules.holes_are_kept(Returned(tree=kept.source, differences=[]), frozenset({"sparse"}))
    (tmp_path / "odd").mkdir()
    (tmp_path / sample.SPARSE_FILE).write_bytes(whole.read_bytes())
    with caught("the hole came back as zeros"):
        rules.holes_are_kept(Returned(tree=tmp_path, differences=[]), frozenset({"sparse"}))


# -- what is listed


def test_a_listing_out_of_a_cache(player: Player, other: Player, kept: Kept, monkeypatch: Patch) -> None:
    cached = other.client.list(other.within())
    broken(monkeypatch, other, "list", lambda _: lambda _ctx: cached)
    with caught("not in the next listing of another client"):
        rules.listed_at_once_for_all(player, other)


def test_a_deleted_snapshot_that_stays_listed(player: Player, other: Player, kept: Kept, monkeypatch: Patch) -> None:
    seen: dict[str, ListedSnapshot] = {}

    def make(listing: Callable[..., list[ListedSnapshot]]) -> Callable[..., list[ListedSnapshot]]:
        def remembering(ctx: Context) -> list[ListedSnapshot]:
            seen.update({row.id: row for row in listing(ctx)})
            return list(seen.values())

        return remembering

    broken(monkeypatch, other, "list", make)
    with caught("was deleted and is in the next listing of another client"):
        rules.listed_at_once_for_all(player, other)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda rows: [ListedSnapshot(id=row.id, op="") for row in rows], "is listed with the operation ''"),
        (lambda rows: [*rows, *rows], "listed more than once"),
        (lambda rows: rows[-1:], "took others out of the listing|not in the next listing"),
    ],
    ids=["no operation", "twice", "short"],
)
def test_a_listing_that_is_wrong(
    spoil: Callable[[list[ListedSnapshot]], object], text: str, player: Player, other: Player, kept: Kept, monkeypatch: Patch
) -> None:
    rows = [rules.keep(player, sample.make_small(player.stage.new_source(), "one more")).id]
    listing = other.client.list
    before = sorted(listing(other.within()), key=lambda row: row.id)
    # The first listing is right: what goes wrong goes wrong with the new snapshot.
    monkeypatch.setattr(other.client, "list", lambda ctx: spoil(listing(ctx)) if len(listing(ctx)) > len(before) else before)
    with caught(text):
        rules.listed_at_once_for_all(player, other)
    player.delete(rows[0])


def test_a_server_that_lists_otherwise(stage: Stage, player: Player, kept: Kept, monkeypatch: Patch) -> None:
    rules.server_lists_the_same(stage, player)
    monkeypatch.setattr(stage.server, "snapshot_ids", lambda _ctx: [])
    with caught("the server's own listing is not the clients'"):
        rules.server_lists_the_same(stage, player)


# -- several clients


def test_ids_that_are_not_unique(player: Player, other: Player, monkeypatch: Patch) -> None:
    def make(create: Callable[..., Any]) -> Callable[..., Any]:
        made: list[Any] = []

        def creating(*args: Any) -> Any:
            made.append(create(*args))
            return made[0]

        return creating

    broken(monkeypatch, player, "create", make)
    with caught("ids are not unique"):
        rules.side_by_side(player, other)


def test_a_delete_that_takes_another_with_it(player: Player, other: Player, monkeypatch: Patch) -> None:
    bystander = rules.keep(player, sample.make_small(player.stage.new_source(), "innocent"))

    def make(delete: Callable[..., None]) -> Callable[..., None]:
        def deleting(ctx: Context, snapshot: str) -> None:
            delete(ctx, snapshot)
            delete(ctx, bystander.id)

        return deleting

    broken(monkeypatch, player, "delete", make)
    with caught("took others with it"):
        rules.side_by_side(player, other)


def test_a_delete_that_does_nothing(player: Player, other: Player, monkeypatch: Patch) -> None:
    broken(monkeypatch, player, "delete", lambda _: lambda _ctx, _snapshot: None)
    with caught("was deleted and is still listed"):
        rules.side_by_side(player, other)


# -- what is not there


@pytest.mark.parametrize("outcome", [None, Outcome.UNKNOWN])
def test_a_missing_snapshot_that_is_deleted_all_the_same(outcome: Outcome | None, player: Player, monkeypatch: Patch) -> None:
    def delete(_ctx: Context, _snapshot: str) -> None:
        if outcome is not None:
            raise OperationError("it was not there", cause="missing", outcome=outcome)

    monkeypatch.setattr(player.client, "delete", delete)
    with caught("deleting a missing snapshot"):
        rules.deleting_what_is_missing_fails(player, "0" * 64)


@pytest.mark.parametrize("silent", [True, False])
def test_a_missing_snapshot_that_is_restored_all_the_same(silent: bool, player: Player, monkeypatch: Patch) -> None:
    def restore(_ctx: Context, _snapshot: str, into: Path) -> None:
        (into / "something").touch()
        if not silent:
            raise OperationError("it was not there", cause="missing")

    monkeypatch.setattr(player.client, "restore", restore)
    with caught("restoring a missing snapshot (returned|failed, and wrote something)"):
        rules.restoring_what_is_missing_fails(player, "0" * 64)


# -- the connection and the user


def test_a_new_connection_that_sees_nothing(player: Player, kept: Kept, monkeypatch: Patch) -> None:
    def make(connect: Callable[..., None]) -> Callable[..., None]:
        def connecting(*args: Any) -> None:
            connect(*args)
            monkeypatch.setattr(player.client, "list", lambda _ctx: [])

        return connecting

    broken(monkeypatch, player, "connect", make)
    with caught("after a reconnect the listing is another one"):
        rules.reconnects(player)


def test_a_removed_client_that_may_act_on(stage: Stage, monkeypatch: Patch) -> None:
    monkeypatch.setattr(stage.server, "remove_client", lambda _user: None)
    with caught("a removed client may still list"):
        rules.turned_away_once_removed(stage)


def test_a_removed_client_that_is_turned_away_without_a_reason(stage: Stage, monkeypatch: Patch) -> None:
    def remove(_user: str) -> None:
        def refuse(_ctx: Context) -> None:
            raise OperationError("no", cause="unreachable")

        monkeypatch.setattr(stage.players[-1].client, "list", refuse)

    monkeypatch.setattr(stage.server, "remove_client", remove)
    with caught("not 'denied'"):
        rules.turned_away_once_removed(stage)


# -- the server's side


def test_garbage_collection_that_takes_a_live_snapshot(stage: Stage, player: Player, kept: Kept, monkeypatch: Patch) -> None:
    victim = rules.keep(player, sample.make_small(stage.new_source(), "victim"))

    def collect(*_: object) -> GcStats:
        player.delete(victim.id)
        return GcStats()

    monkeypatch.setattr(stage.server, "run_gc", collect)
    with caught("garbage collection changed the listing"):
        rules.garbage_collection_keeps_what_is_live(stage, player, kept)


def test_garbage_collection_that_takes_live_content(stage: Stage, player: Player, kept: Kept, monkeypatch: Patch) -> None:
    def collect(*_: object) -> GcStats:
        def make(restore: Callable[..., None]) -> Callable[..., None]:
            def restoring(ctx: Context, snapshot: str, into: Path) -> None:
                restore(ctx, snapshot, into)
                (into / "file").write_bytes(bytes(10_000))

            return restoring

        broken(monkeypatch, player, "restore", make)
        return GcStats()

    monkeypatch.setattr(stage.server, "run_gc", collect)
    with caught("what came back is not what went in"):
        rules.garbage_collection_keeps_what_is_live(stage, player, kept)


def test_a_verification_that_cries_wolf(stage: Stage, player: Player, monkeypatch: Patch) -> None:
    monkeypatch.setattr(stage.server, "verify", lambda _ctx: Verification(clean=False, problems=["wolf"]))
    with caught("the repository is whole, and verify"):
        rules.verification_is_clean(stage, player)


def test_a_server_that_does_not_say_who_it_is(stage: Stage, player: Player, monkeypatch: Patch) -> None:
    rules.says_who_it_is(stage, player)
    monkeypatch.setattr(stage.server, "server_fingerprint", lambda: "another")
    with caught("another fingerprint"):
        rules.says_who_it_is(stage, player)
    monkeypatch.setattr(stage, "events", [])
    with caught("no ServerEvent said: starting, ready"):
        rules.says_who_it_is(stage, player)
    monkeypatch.setattr(stage.server, "server_cmd", lambda: None)
    with caught("not a process that lives"):
        rules.says_who_it_is(stage, player)


def test_a_cache_in_somebody_elses_place(player: Player, tmp_path: Path, monkeypatch: Patch) -> None:
    frame = player.client.cache_info()
    monkeypatch.setattr(player.client, "cache_info", lambda: msgspec.structs.replace(frame, path=str(tmp_path)))
    with caught("the cache lies at"):
        rules.caches_are_the_clients_own(player)


# -- secrets


def test_a_secret_on_a_command_line_of_ours(stage: Stage, player: Player, tmp_path: Path, monkeypatch: Patch) -> None:
    password = player.access.repository_password

    def make(create: Callable[..., Any]) -> Callable[..., Any]:
        def creating(*args: Any) -> Any:
            stage.children.run([sys.executable, "-c", "", f"--password={password}"], scratch=tmp_path)
            return create(*args)

        return creating

    broken(monkeypatch, player, "create", make)
    with caught("the repository password stands on a command line"):
        hard_rules.secrets_stay_off_command_lines(player)


def test_a_secret_on_a_command_line_of_somebody_elses(player: Player, monkeypatch: Patch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def make(create: Callable[..., Any]) -> Callable[..., Any]:
        def creating(*args: Any) -> Any:
            program = [sys.executable, "-c", "import sys; sys.stdin.read()", player.access.password]
            started.append(subprocess.Popen(program, stdin=subprocess.PIPE))
            return create(*args)

        return creating

    broken(monkeypatch, player, "create", make)
    try:
        with caught("the password stands on a command line"):
            hard_rules.secrets_stay_off_command_lines(player)
    finally:
        for each in started:
            each.communicate()


# -- disturbed


@pytest.fixture
def soon(monkeypatch: Patch) -> None:
    """Shorter deadlines; how long a good target may take on a busy machine stays."""
    monkeypatch.setattr(hard_rules, "DEADLINE_S", 0.2)
    monkeypatch.setattr(hard_rules, "_BEGUN_S", 0.1)


@pytest.mark.parametrize("which", ["deadline", "cancellation"])
def test_a_create_that_does_not_end_when_told(which: str, player: Player, other: Player, soon: None, monkeypatch: Patch) -> None:
    monkeypatch.setattr(hard_rules, "GRACE_S", 0.2)
    deaf = player if which == "deadline" else other
    broken(monkeypatch, deaf, "create", lambda create: lambda ctx, source, op: create(Context(client=ctx.client), source, op))
    with caught(f"a create had not ended .*its {which}"):
        hard_rules.ends_when_told(player, other)


@pytest.mark.parametrize(
    ("ids", "ends", "text"),
    [
        (1, OperationError("no", cause="unreachable", outcome=Outcome.FAILED), "a create FAILED .* and its snapshot is listed"),
        (2, OperationError("perhaps", cause="unreachable"), "one create made 2 snapshots"),
        (0, None, "returned .* while nobody answered, and nothing is listed"),
    ],
    ids=["failed and there", "twice", "acknowledged and not there"],
)
def test_a_create_that_tells_wrongly_what_became_of_it(
    ids: int, ends: OperationError | None, text: str, player: Player, other: Player, soon: None, monkeypatch: Patch
) -> None:
    rows: list[ListedSnapshot] = []

    def create(_ctx: Context, _source: Path, op: str) -> tuple[str, None]:
        rows.extend(ListedSnapshot(id=f"{number:064x}", op=op) for number in range(ids))
        if ends is not None:
            raise ends
        return "f" * 64, None

    monkeypatch.setattr(player.client, "create", create)
    monkeypatch.setattr(player.client, "list", lambda _ctx: rows)
    monkeypatch.setattr(player.client, "delete", lambda _ctx, _snapshot: None)
    with caught(text):
        hard_rules.ends_when_told(player, other)


def another_password(stage: Stage, player: Player) -> None:
    server: Any = stage.server
    EmbeddedServer.restart(server)
    server.remove_client(player.name)
    server.authorize_client(player.name)


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (
            lambda stage, player, patch: patch.setattr(stage.server, "restart", lambda: another_password(stage, player)),
            "a restart changed what a client needs",
        ),
        (lambda _stage, player, patch: patch.setattr(player.client, "list", lambda _ctx: []), "against a dead server a listing returned"),
        (lambda stage, _player, patch: patch.setattr(stage, "seen", lambda _state: []), "no ServerEvent said 'died'"),
    ],
    ids=["access", "silent", "untold"],
)
def test_a_death_that_is_not_survived(
    break_it: Callable[[Stage, Player, Patch], None],
    text: str,
    stage: Stage,
    player: Player,
    kept: Kept,
    soon: None,
    monkeypatch: Patch,
) -> None:
    with monkeypatch.context() as patch, caught(text):
        patch.setattr(hard_rules, "_TOLD_S", 10.0 if text != "no ServerEvent said 'died'" else 0.1)
        break_it(stage, player, patch)
        hard_rules.survives_the_servers_death(stage, player, kept)
    child = stage.server.server_cmd()
    if child is not None and child.returncode is not None:
        stage.server.restart()


# -- the end, and damage


class Careless(EmbeddedServer):
    """Has one defect."""

    def __init__(self, around: Surroundings, defect: str) -> None:
        super().__init__(around)
        self._defect = defect

    def cleanup(self) -> None:
        if self._defect != "cleanup":
            super().cleanup()

    def verify(self, ctx: Context) -> Verification:
        return Verification(clean=True) if self._defect == "verify" else super().verify(ctx)


class SilentClient(EmbeddedClient):
    """A restore that fails returns as if it had not."""

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        with suppress(OperationError):
            super().restore(ctx, snapshot_id, into)


class CarelessTarget(EmbeddedTarget):
    """The embedded target with a server or clients that have one defect."""

    def __init__(self, defect: str) -> None:
        self._defect = defect

    def make_server(self, around: Surroundings) -> EmbeddedServer:
        return Careless(around, self._defect)

    def make_client(self, around: Surroundings, directory: Path) -> EmbeddedClient:
        return SilentClient(around, directory) if self._defect == "silence" else EmbeddedClient(around, directory)


def test_a_file_that_is_left_behind(stage: Stage, player: Player) -> None:
    (player.directory / "left").touch()
    with caught("cleanup\\(\\) of a client left files behind: \\['left'\\]"):
        hard_rules.leaves_nothing(stage, player)


def test_a_process_that_is_left_behind(tmp_path: Path) -> None:
    with caught("cleanup\\(\\) left the server's process"):
        hard_rules.sees_damage(CarelessTarget("cleanup"), tmp_path / "stages", Preset(), sample.damage_largest)


def test_damage_that_is_not_seen(tmp_path: Path) -> None:
    with caught("a restore with cold caches gave everything back as it was"):
        hard_rules.sees_damage(EmbeddedTarget(), tmp_path / "stages", Preset(), lambda _: "nothing was damaged")


def test_a_restore_that_is_silent_about_damage(tmp_path: Path) -> None:
    with caught("a restore returned as if all were well, with .+ (missing|size|content)"):
        hard_rules.sees_damage(CarelessTarget("silence"), tmp_path / "stages", Preset(), sample.damage_largest)


def test_a_verification_that_sees_no_damage(tmp_path: Path) -> None:
    with caught("verify\\(\\) says that the repository is clean"):
        hard_rules.sees_damage(CarelessTarget("verify"), tmp_path / "stages", Preset(), sample.damage_largest)
