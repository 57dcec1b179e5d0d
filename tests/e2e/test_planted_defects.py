"""Proof both ways: each defect that is planted is found and named; without one nothing is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from seatrial.config.model import ActionName
from seatrial.context import Context
from seatrial.faults.at_rest import bring_back_snapshot, delete_pack, flip_byte, remove_snapshot
from seatrial.harness.harness import TestHarness
from seatrial.history.events import Finding, Result
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.process import EmbeddedServer
from seatrial.targets.embedded.target import EmbeddedTarget
from seatrial.targets.protocols import Surroundings, TargetClient
from seatrial.verdicts import ExitCode, Verdict
from tests.e2e.trials import Ended, run_trial


class FaultyServerTarget(EmbeddedTarget):
    """The embedded target with a server that has one defect."""

    def __init__(self, defect: str) -> None:
        self._program = (sys.executable, str(Path(__file__).with_name("faulty_server.py")), defect)

    def make_server(self, around: Surroundings) -> EmbeddedServer:
        return EmbeddedServer(around, program=self._program)


class AlteringClient(EmbeddedClient):
    """Restores, then changes what it restored."""

    def __init__(self, around: Surroundings, directory: Path, alter: Callable[[Path], None]) -> None:
        super().__init__(around, directory)
        self._alter = alter

    def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
        super().restore(ctx, snapshot_id, into)
        self._alter(into)


class AlteringTarget(EmbeddedTarget):
    """The embedded target with clients that alter what they restore."""

    def __init__(self, alter: Callable[[Path], None]) -> None:
        self._alter = alter

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        return AlteringClient(around, directory, self._alter)


def a_file(tree: Path) -> Path:
    return next(Path(folder) / name for folder, _, names in sorted(os.walk(tree)) for name in sorted(names))


def flip_in_restored(tree: Path) -> None:
    path = a_file(tree)
    content = bytearray(path.read_bytes())
    content[100] ^= 0x10
    path.write_bytes(content)


def failing(ended: Ended) -> list[Finding]:
    assert ended.code is ExitCode.ROBUSTNESS_FAILURE, (ended.error, ended.findings)
    return [finding for finding in ended.findings if finding.verdict is Verdict.FAIL]


def made_by(ended: Ended) -> dict[str, str]:
    """Who made which snapshot, out of the results."""
    return {
        event.snapshot: event.client
        for event in ended.events
        if isinstance(event, Result) and event.action == ActionName.SNAPSHOT.value and event.snapshot
    }


def test_a_clean_run_passes_and_reports_nothing(tmp_path: Path) -> None:
    ended = run_trial(tmp_path)
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])


def test_a_flipped_byte_in_a_pack_is_found_and_named(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, before_verify=lambda harness: harness.history.emit(flip_byte(harness.history.prefix.data)))
    restores = [finding for finding in failing(ended) if finding.check == "restore"]
    assert restores
    owners = made_by(ended)
    for finding in restores:
        assert finding.damage == "corrupt"
        assert finding.path.startswith("file_") or "/file_" in finding.path
        assert finding.owner == owners[finding.snapshot]
        assert finding.client
        assert finding.client != finding.owner
    assert [finding.damage for finding in failing(ended) if finding.check == "repository-verification"] == ["damaged"]


def test_a_deleted_pack_is_found_and_named(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, before_verify=lambda harness: harness.history.emit(delete_pack(harness.history.prefix.data)))
    restores = [finding for finding in failing(ended) if finding.check == "restore"]
    assert restores
    assert {finding.damage for finding in restores} == {"missing-data"}
    assert all(finding.path and finding.owner == made_by(ended)[finding.snapshot] for finding in restores)


def test_a_snapshot_removed_behind_the_servers_back_is_lost(tmp_path: Path) -> None:
    removed = []

    def plant(harness: TestHarness) -> None:
        removed.append(harness.history.ledger.live()[0])
        harness.history.emit(remove_snapshot(harness.history.prefix.data, removed[0])[0])

    found = failing(run_trial(tmp_path, before_verify=plant))
    assert [(finding.check, finding.damage, finding.snapshot) for finding in found] == [("list", "lost", removed[0])]
    assert found[0].owner


def test_a_deleted_snapshot_that_is_back_is_a_phantom(tmp_path: Path) -> None:
    back = []

    def plant(harness: TestHarness) -> None:
        data, victim = harness.history.prefix.data, harness.history.ledger.live()[0]
        content = (data / "snapshots" / victim).read_bytes()
        ctx = harness.engine.clients.all()[0].ctx
        harness.engine.exec_action(
            ctx,
            ActionName.DELETE_SNAPSHOT,
            msgspec.convert({"delete-random-snapID": {"snapshot-ID": victim}}, type(harness.plan.preset.options)),
        )
        harness.history.emit(bring_back_snapshot(data, victim, content))
        back.append(victim)

    found = failing(run_trial(tmp_path, before_verify=plant))
    assert [(finding.check, finding.damage, finding.snapshot) for finding in found] == [("list", "phantom", back[0])]


def test_an_upload_acknowledged_and_dropped_is_found(tmp_path: Path) -> None:
    found = failing(run_trial(tmp_path, target=FaultyServerTarget("drop-upload")))
    assert {"missing-data"} <= {finding.damage for finding in found if finding.check == "restore"}
    assert all(finding.snapshot and finding.owner for finding in found if finding.check == "restore")


def test_a_listing_cut_short_is_found(tmp_path: Path) -> None:
    found = failing(run_trial(tmp_path, target=FaultyServerTarget("short-list")))
    assert {("list", "lost")} <= {(finding.check, finding.damage) for finding in found}
    assert all(finding.snapshot and finding.owner for finding in found if finding.check == "list")


@pytest.mark.parametrize(
    ("alter", "damage"),
    [
        (flip_in_restored, "flipped"),
        (lambda tree: a_file(tree).unlink(), "missing"),
        (lambda tree: os.truncate(a_file(tree), a_file(tree).stat().st_size - 5), "truncated"),
        (lambda tree: (tree / "not-ours").write_text("extra"), "extra"),
        (lambda tree: a_file(tree).chmod(0o600), "mode"),
    ],
    ids=["flipped", "missing", "truncated", "extra", "mode"],
)
def test_a_restore_altered_on_the_clients_side_is_found_and_explained(tmp_path: Path, alter: Callable[[Path], None], damage: str) -> None:
    ended = run_trial(tmp_path, target=AlteringTarget(alter))
    found = [finding for finding in failing(ended) if finding.check == "restore"]
    assert {finding.damage for finding in found} == {damage}
    for finding in found:
        assert finding.path
        assert finding.detail
        assert finding.owner == made_by(ended)[finding.snapshot]
        assert (ended.directory / finding.evidence / "difference.txt").is_file()
    assert "verification-disagrees" in {finding.check for finding in failing(ended)}, (
        "the repository itself is whole, and the run must say so"
    )
