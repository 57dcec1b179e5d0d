"""What is wrong without a byte being wrong: clients that get stuck, rights that stay, time that runs out, outcomes nobody knows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from seatrial.config.model import ActionName, Preset, VerifySettings
from seatrial.context import Context, unwrap_context
from seatrial.errors import OperationError
from seatrial.harness.harness import TestHarness
from seatrial.history.events import Phase, Resolved, Result
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.targets.embedded.process import EmbeddedServer
from seatrial.targets.embedded.target import EmbeddedTarget
from seatrial.targets.protocols import CreateStats, Surroundings, TargetClient
from seatrial.verdicts import ExitCode, Outcome, Verdict
from tests.e2e.trials import QUICK, Ended, run_trial

Create = Callable[[EmbeddedClient, Context, Path, str], tuple[str, CreateStats]]


class ForgivingServer(EmbeddedServer):
    """Says that it removed a user, and goes on serving it."""

    def remove_client(self, user: str) -> None:
        pass


class ForgivingTarget(EmbeddedTarget):
    """The embedded target with that server."""

    def make_server(self, around: Surroundings) -> EmbeddedServer:
        return ForgivingServer(around)


class CreatingOtherwise(EmbeddedTarget):
    """The embedded target with clients whose creates are replaced."""

    def __init__(self, create: Create) -> None:
        self._create = create

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        replaced = self._create

        class Client(EmbeddedClient):
            def create(self, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
                return replaced(self, ctx, source_dir, op)

        return Client(around, directory)


def hang(client: EmbeddedClient, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
    """Never answers."""
    while True:
        ctx.check()
        ctx.clock.wait(ctx.cancel.event, 0.02)


def answer_lost(client: EmbeddedClient, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
    """Done, but the answer never comes."""
    EmbeddedClient.create(client, ctx, source_dir, op)
    raise OperationError("the connection broke", cause="unreachable", outcome=Outcome.UNKNOWN)


def never_sent(client: EmbeddedClient, ctx: Context, source_dir: Path, op: str) -> tuple[str, CreateStats]:
    """Nobody knows, and it did not happen."""
    raise OperationError("the connection broke", cause="unreachable", outcome=Outcome.UNKNOWN)


def seen(ended: Ended) -> set[tuple[str, str]]:
    return {(finding.check, finding.damage) for finding in ended.findings}


def steps(*names: ActionName, **changes: object) -> Preset:
    quiet = msgspec.structs.replace(QUICK, clients=1, steps=list(names), actions_per_client=0)
    return msgspec.structs.replace(quiet, **changes)


def test_a_removed_user_that_is_still_served_is_found(tmp_path: Path) -> None:
    preset = steps(ActionName.WRITE, ActionName.SNAPSHOT, ActionName.REMOVE_CLIENT)
    assert run_trial(tmp_path / "clean", preset=preset).findings == []
    ended = run_trial(tmp_path / "planted", preset=preset, target=ForgivingTarget())
    assert (ended.code, seen(ended)) == (ExitCode.ROBUSTNESS_FAILURE, {("access", "removed-user-admitted")})


def test_a_client_that_cannot_complete_a_snapshot_any_more_is_stuck(tmp_path: Path) -> None:
    preset = steps(ActionName.WRITE, verify=VerifySettings(liveness_s=0.5))
    ended = run_trial(tmp_path, preset=preset, target=CreatingOtherwise(hang))
    assert (ended.code, seen(ended)) == (ExitCode.ROBUSTNESS_FAILURE, {("liveness", "stuck")})
    assert ended.findings[0].client


def test_a_client_that_cannot_complete_a_restore_any_more_is_stuck_and_another_restores_in_its_place(tmp_path: Path) -> None:
    stuck: list[str] = []

    class Client(EmbeddedClient):
        def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
            if ctx.client is not None and ctx.client.id in stuck:
                raise OperationError("the connection broke", cause="unreachable", outcome=Outcome.FAILED)
            super().restore(ctx, snapshot_id, into)

    class Target(EmbeddedTarget):
        def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
            return Client(around, directory)

    def plant(harness: TestHarness) -> None:
        stuck.append(unwrap_context(harness.engine.clients.all()[0].ctx).id)

    preset = steps(ActionName.WRITE, ActionName.SNAPSHOT, clients=3)
    ended = run_trial(tmp_path, preset=preset, target=Target(), before_verify=plant)
    assert ended.code is ExitCode.ROBUSTNESS_FAILURE
    assert [(finding.check, finding.damage) for finding in ended.findings] == [("restore", "unreachable"), ("liveness", "stuck")]
    assert {finding.client for finding in ended.findings} == set(stuck)
    assert len({event.snapshot for event in restored_in_verify(ended) if event.equal}) == 3, "each by somebody"


def test_a_client_whose_restore_does_not_come_back_in_time_is_stuck(tmp_path: Path) -> None:
    class Client(EmbeddedClient):
        def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
            if self is first[0]:
                hang(self, ctx, into, "")
            super().restore(ctx, snapshot_id, into)

    first: list[Client] = []

    class Target(EmbeddedTarget):
        def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
            first.append(Client(around, directory))
            return first[-1]

    preset = steps(ActionName.WRITE, verify=VerifySettings(liveness_s=2.0))
    ended = run_trial(tmp_path, preset=preset, target=Target())
    assert (ended.code, seen(ended)) == (ExitCode.ROBUSTNESS_FAILURE, {("liveness", "stuck")})


def test_each_snapshot_is_restored_once_by_a_client_of_the_run_that_did_not_make_it(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=steps(ActionName.WRITE, ActionName.SNAPSHOT, clients=3))
    assert (ended.code, ended.findings) == (ExitCode.PASS, [])
    made = {
        event.snapshot: event.client for event in ended.events if isinstance(event, Result) and event.action == ActionName.SNAPSHOT.value
    }
    restores = restored_in_verify(ended)
    assert len(restores) == len({event.snapshot for event in restores}) == 3
    assert {event.client for event in restores} == set(made.values()), "for each of them it is the restore that shows that it works"
    assert all(event.client != made[event.snapshot] for event in restores)
    begun = next(place for place, event in enumerate(ended.events) if isinstance(event, Phase) and event.name == "quiesce")
    assert len(results(ended, ActionName.RESTORE, begun)) == 3, "and there is no other"


def test_the_only_client_restores_what_it_made_and_a_new_one_verifies_it(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=steps(ActionName.WRITE, ActionName.SNAPSHOT))
    assert (ended.code, ended.findings) == (ExitCode.PASS, [])
    made = {event.client for event in results(ended, ActionName.SNAPSHOT)}
    restores = results(ended, ActionName.RESTORE)
    assert [event.client in made for event in restores] == [True, False]
    assert restored_in_verify(ended) == restores[1:]


def restored_in_verify(ended: Ended) -> list[Result]:
    begun = next(place for place, event in enumerate(ended.events) if isinstance(event, Phase) and event.name == "verify")
    return results(ended, ActionName.RESTORE, begun)


def results(ended: Ended, action: ActionName, begun: int = 0) -> list[Result]:
    return [event for event in ended.events[begun:] if isinstance(event, Result) and event.action == action.value]


def test_an_action_that_takes_longer_than_it_may_is_found_and_its_outcome_is_settled(tmp_path: Path) -> None:
    preset = steps(ActionName.WRITE, ActionName.SNAPSHOT, action_timeout_s=0.5)
    ended = run_trial(tmp_path, preset=preset, target=CreatingOtherwise(hang))
    assert ("snapshot-root", "timeout") in seen(ended)
    unknown = [event.op for event in ended.events if isinstance(event, Result) and event.outcome is Outcome.UNKNOWN]
    resolved = {event.op: event.outcome for event in ended.events if isinstance(event, Resolved)}
    assert unknown
    assert resolved == dict.fromkeys(unknown, Outcome.FAILED)


def test_a_create_whose_answer_was_lost_is_found_live_and_verified(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=steps(ActionName.WRITE, ActionName.SNAPSHOT), target=CreatingOtherwise(answer_lost))
    resolved = [event for event in ended.events if isinstance(event, Resolved)]
    assert [event.outcome for event in resolved] == [Outcome.OK, Outcome.OK], "the step's and the liveness check's"
    restored = {event.snapshot: event.equal for event in ended.events if isinstance(event, Result) and event.equal is not None}
    assert restored[resolved[-1].snapshot] is True
    assert ("snapshot-root", "unreachable") in seen(ended), "that nobody answered is a failure all the same"


def test_a_create_that_never_happened_is_settled_as_failed(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=steps(ActionName.WRITE, ActionName.SNAPSHOT), target=CreatingOtherwise(never_sent))
    assert {event.outcome for event in ended.events if isinstance(event, Resolved)} == {Outcome.FAILED}


def test_a_verification_that_runs_out_of_time_is_inconclusive(tmp_path: Path) -> None:
    verifying = threading.Event()

    class Client(EmbeddedClient):
        def restore(self, ctx: Context, snapshot_id: str, into: Path) -> None:
            if verifying.is_set():
                hang(self, ctx, into, "")
            super().restore(ctx, snapshot_id, into)

    class Slow(EmbeddedTarget):
        def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
            return Client(around, directory)

    preset = msgspec.structs.replace(QUICK, verify=VerifySettings(budget_s=3.0))
    ended = run_trial(tmp_path, preset=preset, target=Slow(), before_verify=lambda _: verifying.set())
    assert ended.code is ExitCode.INCONCLUSIVE, (ended.error, ended.findings)
    assert {finding.verdict for finding in ended.findings} <= {Verdict.INCONCLUSIVE}


def test_a_snapshot_that_nobody_of_ours_made_is_told_and_left_alone(tmp_path: Path) -> None:
    made = []

    def add(harness: TestHarness) -> None:
        ctx = harness.engine.clients.all()[0].ctx
        snapshot, _, _ = harness.snapshotter.create_snapshot(ctx, harness.engine.scene.writer.data_directory(ctx), "")
        made.append(snapshot)

    ended = run_trial(tmp_path / "runs", prefix=tmp_path / "prefix", before_verify=add)
    assert (ended.code, seen(ended)) == (ExitCode.INCONCLUSIVE, {("list", "foreign")})
    assert [finding.snapshot for finding in ended.findings] == made
    assert (tmp_path / "prefix/robustness-data/snapshots" / made[0]).exists()
