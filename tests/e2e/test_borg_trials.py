"""Whole trials on the real borg: a clean one passes, and each defect that is planted is found as on the embedded target."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil
import pytest

from seatrial.config.model import ActionName, ActionOptions, BorgSettings, Preset, VerifySettings, WriteOptions
from seatrial.context import new_client_context
from seatrial.errors import OperationError
from seatrial.faults.at_rest import flip_bit
from seatrial.harness.harness import HarnessSettings, TestHarness
from seatrial.harness.liveness import with_snapshot
from seatrial.harness.trial import Trial
from seatrial.history.events import PlanEvent, Record, Resolved, Result, ServerEvent
from seatrial.targets.borg.target import BorgTarget
from seatrial.verdicts import ExitCode, Outcome
from tests.e2e.test_planted_defects import failing, made_by
from tests.e2e.trials import Ended, run_trial
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs_program("borg", "sshd")]

SMALL = Preset(
    target="borg",
    clients=1,
    steps=[ActionName.WRITE, ActionName.SNAPSHOT, ActionName.WRITE, ActionName.SNAPSHOT],
    options=ActionOptions(write=WriteOptions(max_dir_depth=2, max_num_files_per_write=8, max_file_size=64 << 10, oddities=True)),
    verify=VerifySettings(budget_s=240, liveness_s=120),
)
"""Nothing is deleted, so every stored byte is live."""
LARGE = msgspec.structs.replace(
    SMALL,
    options=ActionOptions(
        write=WriteOptions(
            max_dir_depth=0, min_num_files_per_write=1, max_num_files_per_write=1, min_file_size=32 << 20, max_file_size=32 << 20
        )
    ),
)
"""Each snapshot takes long enough to be disturbed in its middle."""
BEGUN_BYTES = 4 << 20


def segments(harness: TestHarness) -> list[Path]:
    """The files that hold the data, the largest first."""
    return sorted((harness.history.prefix.data / "data").glob("*/*"), key=lambda path: -path.stat().st_size)


def stored_bytes(prefix: Path) -> int:
    return sum(path.stat().st_size for path in (prefix / "robustness-data").glob("data/*/*"))


def clients_at_work() -> list[int]:
    """The borg programs that create something."""
    return [process.pid for process in psutil.Process().children(recursive=True) if "create" in process.cmdline()]


def in_mid_snapshot(trial: Trial, prefix: Path, victims: Callable[[int], list[int]]) -> None:
    """Kill what ``victims`` names, given the server's process, once the first snapshot has sent data."""

    def wait_and_kill(server: int) -> None:
        assert eventually(lambda: stored_bytes(prefix) > BEGUN_BYTES, 120)
        for pid in victims(server):
            psutil.Process(pid).send_signal(signal.SIGKILL)

    def notice(record: Record) -> None:
        event = record.event
        if isinstance(event, ServerEvent) and event.state == "ready":
            threading.Thread(target=wait_and_kill, args=(event.pid,), name="disturb").start()

    trial.subscribe(notice)


def results(ended: Ended, action: ActionName) -> list[Result]:
    return [event for event in ended.events if isinstance(event, Result) and event.action == action.value]


def test_a_clean_trial_passes_and_tells_version_and_waiting(tmp_path: Path) -> None:
    preset = msgspec.structs.replace(
        SMALL,
        clients=2,
        actions_per_client=3,
        mix={ActionName.SNAPSHOT: 1, ActionName.RESTORE: 1, ActionName.DELETE_SNAPSHOT: 1, ActionName.GC: 1, ActionName.RECONNECT: 1},
    )
    ended = run_trial(tmp_path, preset=preset, target=BorgTarget())
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    (plan,) = [event for event in ended.events if isinstance(event, PlanEvent)]
    assert plan.target_version == BorgTarget().availability(preset).version != ""
    snapshots = results(ended, ActionName.SNAPSHOT)
    # One writer at a time: nobody's snapshot is under way while another's is, and whoever waited says for how long.
    assert max(snapshot.queue_s for snapshot in snapshots) > min(snapshot.service_s for snapshot in snapshots) / 2
    states = [event.state for event in ended.events if isinstance(event, ServerEvent)]
    assert states == ["starting", "ready", "stopping", "stopped"]
    assert "SEATRIAL_CLIENT=" in (ended.directory / "server.log").read_text()


def test_append_only_passes_too(tmp_path: Path) -> None:
    preset = msgspec.structs.replace(
        SMALL, borg=BorgSettings(append_only=True), actions_per_client=2, mix={ActionName.DELETE_SNAPSHOT: 1, ActionName.GC: 1}
    )
    ended = run_trial(tmp_path, preset=preset, target=BorgTarget())
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])


def test_a_flipped_byte_in_a_segment_is_found(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=SMALL, target=BorgTarget(), before_verify=lambda harness: flip_bit(segments(harness)[0]))
    found = failing(ended)
    restores = [finding for finding in found if finding.check == "restore"]
    assert restores
    assert {finding.damage for finding in restores} == {"corrupt"}
    assert all(finding.owner == made_by(ended)[finding.snapshot] and finding.client != finding.owner for finding in restores)
    assert [finding.damage for finding in found if finding.check == "repository-verification"] == ["damaged"]


def test_a_lost_segment_is_found(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=SMALL, target=BorgTarget(), before_verify=lambda harness: segments(harness)[0].unlink())
    found = failing(ended)
    restores = [finding for finding in found if finding.check == "restore"]
    assert restores
    assert {finding.damage for finding in restores} == {"missing-data"}
    assert [finding.damage for finding in found if finding.check == "repository-verification"] == ["damaged"]


def test_a_snapshot_deleted_behind_the_servers_back_is_lost(tmp_path: Path) -> None:
    removed = []

    def plant(harness: TestHarness) -> None:
        removed.append(harness.history.ledger.live()[0])
        harness.server.run("delete", f"::{removed[0]}")

    found = failing(run_trial(tmp_path, preset=SMALL, target=BorgTarget(), before_verify=plant))
    assert [(finding.check, finding.damage, finding.snapshot) for finding in found] == [("list", "lost", removed[0])]
    assert found[0].owner


def test_a_client_killed_in_mid_snapshot_is_unknown_and_resolved(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    ended = run_trial(
        tmp_path / "runs",
        preset=LARGE,
        target=BorgTarget(),
        prefix=prefix,
        meanwhile=lambda trial: in_mid_snapshot(trial, prefix, lambda _: clients_at_work()),
    )
    first, *others = results(ended, ActionName.SNAPSHOT)
    assert first.error is not None
    assert (first.outcome, first.error.cause) == (Outcome.UNKNOWN, "killed")
    (resolved,) = [event for event in ended.events if isinstance(event, Resolved)]
    assert (resolved.op, resolved.outcome) == (first.op, Outcome.FAILED)
    assert {other.outcome for other in others} == {Outcome.OK}
    # What nobody asked for is a finding, and the only one: the rest went on as if nothing had been.
    assert [(finding.check, finding.damage) for finding in failing(ended)] == [(ActionName.SNAPSHOT.value, "killed")]


def test_a_server_that_dies_in_mid_snapshot_ends_the_run_and_is_found_again(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    ended = run_trial(
        tmp_path / "runs",
        preset=LARGE,
        target=BorgTarget(),
        prefix=prefix,
        meanwhile=lambda trial: in_mid_snapshot(trial, prefix, lambda server: [server]),
    )
    assert ended.error is not None
    assert ended.error.exit_code is ExitCode.BROKEN
    assert [event.state for event in ended.events if isinstance(event, ServerEvent)] == ["starting", "ready", "died"]
    (cut_off,) = results(ended, ActionName.SNAPSHOT)
    assert cut_off.outcome is Outcome.UNKNOWN
    again = run_trial(tmp_path / "runs", preset=SMALL, target=BorgTarget(), prefix=prefix)
    assert (again.error, again.code) == (None, ExitCode.PASS)


def test_a_server_that_is_killed_in_mid_snapshot_and_started_again_lets_everybody_go_on(tmp_path: Path) -> None:
    ctx, prefix = new_client_context(), tmp_path / "prefix"
    settings = HarnessSettings(runs_dir=tmp_path / "runs", repo_path_prefix=prefix, preset=LARGE, seed=1, target=BorgTarget())
    with TestHarness(ctx, settings) as harness, ThreadPoolExecutor(1) as threads:
        engine, server = harness.engine, harness.server
        engine.exec_action(ctx, ActionName.WRITE)
        made = engine.exec_action(ctx, ActionName.SNAPSHOT).snapshot
        engine.exec_action(ctx, ActionName.WRITE)
        before, command, fingerprint = stored_bytes(prefix), server.server_cmd(), server.server_fingerprint()
        assert command is not None
        cut_off = threads.submit(engine.exec_action, ctx, ActionName.SNAPSHOT)
        assert eventually(lambda: stored_bytes(prefix) > before + BEGUN_BYTES, 120)
        psutil.Process(command.pid).kill()
        error = cut_off.exception()
        assert isinstance(error, OperationError)
        assert (error.cause, error.outcome) == ("unreachable", Outcome.UNKNOWN)
        server.restart()
        assert server.server_fingerprint() == fingerprint
        engine.exec_action(ctx, ActionName.RECONNECT)
        engine.exec_action(ctx, ActionName.RESTORE, with_snapshot(LARGE.options, made))
        again = engine.exec_action(ctx, ActionName.SNAPSHOT).snapshot
        assert harness.settle(ctx, "after") == sorted([made, again])
        assert [group.check for group in harness.history.view(force=True).findings] == [ActionName.SNAPSHOT.value]
