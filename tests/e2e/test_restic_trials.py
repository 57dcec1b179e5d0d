"""Whole trials with the real restic: a clean one passes, each planted defect is found as on the embedded target, and two programs read what
the other wrote."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from seatrial.config.model import (
    ActionName,
    ActionOptions,
    EmbeddedSettings,
    GcOptions,
    Preset,
    ResticSettings,
    VerifySettings,
    WriteOptions,
)
from seatrial.context import Context, new_client_context
from seatrial.errors import OperationError
from seatrial.faults.at_rest import delete_pack, flip_byte, remove_snapshot
from seatrial.harness.harness import HarnessSettings, TestHarness
from seatrial.harness.liveness import with_snapshot
from seatrial.harness.trial import Trial
from seatrial.history.events import ClientJoined, Invoke, Phase, PlanEvent, Record, Resolved, Result, ServerEvent
from seatrial.targets.protocols import Surroundings, TargetClient
from seatrial.targets.restic.client import ResticClient
from seatrial.targets.restic.own import OwnClient
from seatrial.targets.restic.target import ResticTarget
from seatrial.verdicts import ExitCode, Outcome
from tests.e2e.test_planted_defects import failing, flip_in_restored, made_by
from tests.e2e.trials import Ended, run_trial
from tests.support.restic import Bench, open_stage
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs_program("restic", "rclone")

SMALL = Preset(
    target="restic",
    clients=2,
    steps=[ActionName.WRITE, ActionName.SNAPSHOT, ActionName.WRITE, ActionName.SNAPSHOT],
    options=ActionOptions(write=WriteOptions(max_dir_depth=2, max_num_files_per_write=8, max_file_size=64 << 10, oddities=True)),
    verify=VerifySettings(budget_s=240, liveness_s=120),
    restic=ResticSettings(server="rclone"),
    embedded=EmbeddedSettings(fsync=False),
)
"""Nothing is deleted, so every stored byte is live."""
BOTH = msgspec.structs.replace(SMALL, clients=4, restic=ResticSettings(server="embedded", clients="both"))
LARGE = msgspec.structs.replace(
    SMALL,
    clients=1,
    options=ActionOptions(
        write=WriteOptions(
            max_dir_depth=0, min_num_files_per_write=1, max_num_files_per_write=1, min_file_size=64 << 20, max_file_size=64 << 20
        )
    ),
)
"""Each snapshot takes long enough to be disturbed in its middle."""


def results(ended: Ended, action: ActionName) -> list[Result]:
    return [event for event in ended.events if isinstance(event, Result) and event.action == action.value]


def clients_at_work() -> list[psutil.Process]:
    """The restic programs that back up."""
    return [process for process in psutil.Process().children(recursive=True) if "backup" in process.cmdline()]


def test_a_clean_trial_passes_and_tells_the_version(tmp_path: Path) -> None:
    preset = msgspec.structs.replace(
        SMALL,
        actions_per_client=3,
        mix={ActionName.SNAPSHOT: 1, ActionName.DELETE_SNAPSHOT: 1, ActionName.GC: 1, ActionName.LIST: 1, ActionName.RECONNECT: 1},
    )
    ended = run_trial(tmp_path, preset=preset, target=ResticTarget())
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    (plan,) = [event for event in ended.events if isinstance(event, PlanEvent)]
    assert plan.target_version == ResticTarget().availability(preset).version != ""
    states = [event.state for event in ended.events if isinstance(event, ServerEvent)]
    assert states == ["starting", "ready", "stopping", "stopped"]
    assert "Serving restic REST API" in (ended.directory / "server.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("server", ["rclone", "embedded"])
def test_garbage_collection_may_contend(tmp_path: Path, server: str) -> None:
    preset = msgspec.structs.replace(
        SMALL,
        clients=3,
        duration_s=10.0,
        mix={ActionName.WRITE: 1, ActionName.SNAPSHOT: 3, ActionName.DELETE_SNAPSHOT: 2, ActionName.RESTORE: 2, ActionName.GC: 2},
        options=msgspec.structs.replace(SMALL.options, gc=GcOptions(mode="contend", retry_lock_s=1.0)),
        restic=ResticSettings(server=server),  # type: ignore[arg-type]  # of the names that it knows
    )
    ended = run_trial(tmp_path, preset=preset, target=ResticTarget())
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    assert {result.error.cause for result in ended.events if isinstance(result, Result) and result.error} <= {"contended"}


@pytest.mark.slow
@pytest.mark.parametrize("server", ["rclone", "embedded"])
def test_append_only_refuses_deletes_and_passes(tmp_path: Path, server: str) -> None:
    preset = msgspec.structs.replace(
        SMALL,
        actions_per_client=3,
        mix={ActionName.DELETE_SNAPSHOT: 2, ActionName.GC: 1},
        restic=ResticSettings(server=server, append_only=True),  # type: ignore[arg-type]  # of the names that it knows
    )
    ended = run_trial(tmp_path, preset=preset, target=ResticTarget())
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    deletes = results(ended, ActionName.DELETE_SNAPSHOT)
    assert deletes
    assert {result.error.cause for result in deletes if result.error} == {"append-only"}
    assert all(result.outcome is Outcome.FAILED for result in deletes)


@pytest.mark.slow
def test_a_flipped_byte_in_a_pack_is_found_and_named(tmp_path: Path) -> None:
    ended = run_trial(
        tmp_path,
        preset=SMALL,
        target=ResticTarget(),
        before_verify=lambda harness: harness.history.emit(flip_byte(harness.history.prefix.data)),
    )
    found = failing(ended)
    restores = [finding for finding in found if finding.check == "restore"]
    assert restores
    assert {finding.damage for finding in restores} == {"corrupt"}
    assert all(finding.path and finding.owner == made_by(ended)[finding.snapshot] for finding in restores)
    assert all(finding.client != finding.owner for finding in restores)
    assert [finding.damage for finding in found if finding.check == "repository-verification"] == ["damaged"]


@pytest.mark.slow
@pytest.mark.parametrize("server", ["rclone", "embedded"])
def test_a_lost_pack_is_found(tmp_path: Path, server: str) -> None:
    ended = run_trial(
        tmp_path,
        preset=msgspec.structs.replace(SMALL, restic=ResticSettings(server=server)),  # type: ignore[arg-type]  # of the names that it knows
        target=ResticTarget(),
        before_verify=lambda harness: harness.history.emit(delete_pack(harness.history.prefix.data)),
    )
    found = failing(ended)
    restores = [finding for finding in found if finding.check == "restore"]
    assert restores
    assert {finding.damage for finding in restores} == {"missing-data"}
    assert [finding.damage for finding in found if finding.check == "repository-verification"] == ["damaged"]


@pytest.mark.slow
def test_a_snapshot_removed_behind_the_servers_back_is_lost(tmp_path: Path) -> None:
    removed = []

    def plant(harness: TestHarness) -> None:
        removed.append(harness.history.ledger.live()[0])
        harness.history.emit(remove_snapshot(harness.history.prefix.data, removed[0])[0])

    found = failing(run_trial(tmp_path, preset=SMALL, target=ResticTarget(), before_verify=plant))
    assert [(finding.check, finding.damage, finding.snapshot) for finding in found] == [("list", "lost", removed[0])]
    assert found[0].owner


def when_the_first_snapshot_is_under_way(trial: Trial, prefix: Path, kill: Callable[[], object]) -> threading.Thread:
    """Call ``kill`` once the first snapshot has stored something."""
    begun = threading.Event()

    def wait_and_kill() -> None:
        assert begun.wait(120)
        assert eventually(lambda: any((prefix / "robustness-data" / "data").glob("??/*")), 120)
        kill()

    def notice(record: Record) -> None:
        if isinstance(record.event, Invoke) and record.event.action == ActionName.SNAPSHOT.value:
            begun.set()

    trial.subscribe(notice)
    thread = threading.Thread(target=wait_and_kill, name="disturb")
    thread.start()
    return thread


@pytest.mark.slow
def test_a_client_killed_in_mid_snapshot_is_unknown_and_resolved(tmp_path: Path) -> None:
    prefix, disturbers = tmp_path / "prefix", []

    def kill() -> None:
        for process in clients_at_work():
            process.send_signal(signal.SIGKILL)

    ended = run_trial(
        tmp_path / "runs",
        preset=LARGE,
        prefix=prefix,
        target=ResticTarget(),
        meanwhile=lambda trial: disturbers.append(when_the_first_snapshot_is_under_way(trial, prefix, kill)),
    )
    disturbers[0].join()
    killed = next(result for result in results(ended, ActionName.SNAPSHOT) if result.outcome is not Outcome.OK)
    assert killed.error is not None
    assert (killed.outcome, killed.error.cause) == (Outcome.UNKNOWN, "killed")
    resolved = [event for event in ended.events if isinstance(event, Resolved) and event.op == killed.op]
    assert [event.outcome for event in resolved] == [Outcome.FAILED]
    assert {finding.damage for finding in ended.findings} == {"killed"}
    assert list((prefix / "robustness-data" / "locks").iterdir()) == [], "its lock would keep every check out"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["rclone", "embedded"])
def test_a_server_killed_and_started_again_serves_what_it_had(tmp_path: Path, server: str) -> None:
    ctx = new_client_context(Context())
    preset = msgspec.structs.replace(SMALL, restic=ResticSettings(server=server))  # type: ignore[arg-type]  # of the names that it knows
    settings = HarnessSettings(runs_dir=tmp_path / "runs", preset=preset, target=ResticTarget())
    with TestHarness(ctx, settings) as harness:
        harness.engine.exec_action(ctx, ActionName.WRITE)
        kept = harness.engine.exec_action(ctx, ActionName.SNAPSHOT).snapshot
        address = harness.server.access(ctx.client.id if ctx.client else "").url
        child = harness.server.server_cmd()
        assert child is not None
        child.kill()
        with pytest.raises(OperationError) as caught:
            harness.engine.exec_action(ctx, ActionName.LIST)
        assert caught.value.cause == "unreachable"
        harness.server.restart()
        assert harness.server.access(ctx.client.id if ctx.client else "").url == address
        assert harness.engine.exec_action(ctx, ActionName.RESTORE, with_snapshot(preset.options, kept)).done.equal
        assert harness.engine.exec_action(ctx, ActionName.SNAPSHOT).snapshot


# -- two programs


class Altering(ResticTarget):
    """One of the two programs restores a file with one byte changed."""

    def __init__(self, program: type[TargetClient]) -> None:
        super().__init__()
        self._program = program

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        client = super().make_client(around, directory)
        if isinstance(client, self._program):
            whole = client.restore

            def restore(ctx: Context, snapshot_id: str, into: Path) -> None:
                whole(ctx, snapshot_id, into)
                flip_in_restored(into)

            client.restore = restore  # type: ignore[method-assign]  # the seam where the defect is planted
        return client


def crossings(ended: Ended) -> tuple[set[tuple[str, str]], set[tuple[str, str, str]]]:
    """What was made, as (content, program that made it), and what the verify phase restored, as (content, made by, restored by)."""
    programs = {event.client: event.program.split()[0] for event in ended.events if isinstance(event, ClientJoined) and event.program}
    made = {
        result.snapshot: (result.root, programs[result.client])
        for result in results(ended, ActionName.SNAPSHOT)
        if result.outcome is Outcome.OK
    }
    begun = next(place for place, event in enumerate(ended.events) if isinstance(event, Phase) and event.name == "verify")
    restored = {
        (*made[event.snapshot], programs[event.client])
        for event in ended.events[begun:]
        if isinstance(event, Result) and event.action == ActionName.RESTORE.value and event.equal
    }
    return set(made.values()), restored


def test_each_program_restores_what_the_other_wrote(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=BOTH, target=ResticTarget())
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    made, restored = crossings(ended)
    assert {maker for _, maker in made} == {"restic", "seatrial"}
    other = {"restic": "seatrial", "seatrial": "restic"}
    assert restored == {(content, maker, other[maker]) for content, maker in made}


@pytest.mark.slow
@pytest.mark.parametrize("program", [ResticClient, OwnClient])
def test_a_program_that_restores_wrongly_is_found_by_what_the_other_wrote(tmp_path: Path, program: type[TargetClient]) -> None:
    found = [finding for finding in failing(run_trial(tmp_path, preset=BOTH, target=Altering(program))) if finding.check == "restore"]
    assert found
    assert {finding.damage for finding in found} == {"flipped"}


@pytest.mark.slow
def test_a_server_that_is_there_already_is_only_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = open_stage(tmp_path / "stage")
    try:
        bench = Bench(stage)
        access, foreign = bench.player.access, bench.snapshot()
        monkeypatch.setenv("RESTIC_REST_PASSWORD", access.password)
        monkeypatch.setenv("RESTIC_PASSWORD", access.repository_password)
        url = access.url.replace("https://", f"https://{access.user}@") + f"?fingerprint={access.fingerprint}"
        preset = msgspec.structs.replace(
            SMALL, server=url, repo=access.url, actions_per_client=3, mix={ActionName.DELETE_SNAPSHOT: 1, ActionName.RESTORE: 1}
        )
        ended = run_trial(tmp_path / "runs", preset=preset, target=ResticTarget())
        assert (ended.error, ended.code) == (None, ExitCode.PASS), ended.findings
        assert [result for result in results(ended, ActionName.DELETE_SNAPSHOT) if result.outcome is Outcome.OK]
        assert foreign in bench.player.listed(), "what is not ours stays"
        command = stage.server.server_cmd()
        assert command is not None
        assert command.returncode is None
    finally:
        stage.close()
