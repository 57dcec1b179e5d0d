"""A server that is there already: a run tests it, changes nothing that is not its own, and leaves it running."""

from __future__ import annotations

import filecmp
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from seatrial.config.model import ActionName, Preset
from seatrial.engine.plan import asked_for
from seatrial.errors import TargetError, UsageError
from seatrial.history.events import NotRun, Result, ServerEvent
from seatrial.report import render_text, summarise
from seatrial.verdicts import ExitCode, Outcome
from tests.e2e.trials import QUICK, Ended, run_trial
from tests.support.attached import REPOSITORY_PASSWORD, Standing
from tests.support.embedded import ADMIN, ADMIN_PASSWORD, CLIENT, CLIENT_PASSWORD

EVERYTHING = msgspec.structs.replace(
    QUICK,
    clients=2,
    actions_per_client=12,
    mix={
        ActionName.WRITE: 2,
        ActionName.SNAPSHOT: 2,
        ActionName.DELETE_SNAPSHOT: 2,
        ActionName.LIST: 1,
        ActionName.RECONNECT: 1,
        ActionName.GC: 2,
        ActionName.VERIFY_REPOSITORY: 2,
        ActionName.REMOVE_CLIENT: 2,
    },
)
SERVER_SIDE = {ActionName.GC, ActionName.VERIFY_REPOSITORY, ActionName.REMOVE_CLIENT}


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    standing = Standing(tmp_path / "standing")
    standing.environment(monkeypatch)
    yield standing
    standing.live.stop()


def on(standing: Standing, preset: Preset = EVERYTHING, *, named: bool = False, url: str = "") -> Preset:
    return msgspec.structs.replace(preset, server=url or standing.url, repo=standing.bare if named else "")


def not_run(ended: Ended) -> dict[str, bool]:
    return {event.action: event.planned for event in ended.events if isinstance(event, NotRun)}


def results(ended: Ended, action: ActionName) -> list[Result]:
    return [event for event in ended.events if isinstance(event, Result) and event.action == action.value]


def test_a_run_leaves_the_server_running_and_a_strangers_snapshot_untouched(standing: Standing, tmp_path: Path) -> None:
    strange, content = standing.strangers_snapshot()
    pid = standing.live.process.pid if standing.live.process else 0
    ended = run_trial(tmp_path / "runs", preset=on(standing, named=True))
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    assert any(row.outcome is Outcome.OK and not row.noop for row in results(ended, ActionName.DELETE_SNAPSHOT)), (
        "it deleted nothing at all"
    )
    assert standing.live.alive()
    assert standing.live.process is not None
    assert standing.live.process.pid == pid
    assert (standing.live.repository / "snapshots" / strange).exists()
    back = standing.restored(strange)
    assert filecmp.cmpfiles(content, back, ["diary"], shallow=False) == (["diary"], [], [])
    states = [event.state for event in ended.events if isinstance(event, ServerEvent)]
    assert states == ["ready"], "an attached server is neither started nor stopped"


def test_what_it_cannot_be_asked_for_is_named_everywhere_and_counted_nowhere(standing: Standing, tmp_path: Path) -> None:
    assert asked_for(EVERYTHING) >= SERVER_SIDE
    ended = run_trial(tmp_path / "runs", preset=on(standing))
    assert ended.code is ExitCode.PASS
    assert not_run(ended) == {name.value: False for name in SERVER_SIDE}
    for name in SERVER_SIDE:
        assert results(ended, name) == []
    text = render_text(summarise(ended.directory))
    for name in SERVER_SIDE:
        assert f"{name.value}: not run, " in text


def test_a_step_that_was_not_run_leaves_the_run_inconclusive(standing: Standing, tmp_path: Path) -> None:
    steps = [ActionName.WRITE, ActionName.SNAPSHOT, ActionName.GC]
    ended = run_trial(tmp_path / "runs", preset=on(standing, msgspec.structs.replace(QUICK, clients=1, actions_per_client=0, steps=steps)))
    assert ended.code is ExitCode.INCONCLUSIVE
    assert not_run(ended) == {"run-gc": True, "verify-repository": False}
    assert any("run-gc, a step of this preset, was not run" in reason for reason in summarise(ended.directory).judgement.reasons)


def test_a_repository_with_strangers_in_it_is_refused_unless_it_is_named(standing: Standing, tmp_path: Path) -> None:
    strange, _ = standing.strangers_snapshot()
    files = standing.live.files()
    ended = run_trial(tmp_path / "runs", preset=on(standing))
    assert isinstance(ended.error, UsageError)
    assert "seatrial did not make (1 of them)" in ended.error.what
    assert f"--repo {standing.bare}" in ended.error.remedy
    kept = {name for name in standing.live.files() if not name.startswith("locks/")}
    assert kept == {name for name in files if not name.startswith("locks/")}
    assert f"snapshots/{strange}" in kept


def test_its_snapshots_are_found_again_by_the_next_run_with_the_same_prefix(standing: Standing, tmp_path: Path) -> None:
    small = msgspec.structs.replace(QUICK, clients=1, actions_per_client=0)
    for _ in range(2):
        ended = run_trial(tmp_path / "runs", preset=on(standing, small), prefix=tmp_path / "prefix")
        assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    victim = next((standing.live.repository / "snapshots").iterdir())
    victim.unlink()
    ended = run_trial(tmp_path / "runs", preset=on(standing, small), prefix=tmp_path / "prefix")
    assert [(finding.check, finding.damage, finding.snapshot) for finding in ended.findings] == [("list", "lost", victim.name)]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda url: url.replace("@", ":secret@"), "a password in the URL"),
        (lambda url: url.replace("https", "http"), "no https URL"),
        (lambda url: url.partition("?")[0], "certificate is not pinned"),
        (lambda url: url[:-10], "no SHA-256"),
    ],
    ids=["password", "scheme", "no pin", "short pin"],
)
def test_an_address_that_will_not_do_is_told(spoil: Callable[[str], str], said: str, standing: Standing, tmp_path: Path) -> None:
    ended = run_trial(tmp_path / "runs", preset=on(standing, url=spoil(standing.url)))
    assert isinstance(ended.error, UsageError)
    assert said in ended.error.what
    assert "secret" not in str(ended.error)
    if said == "certificate is not pinned":
        assert f"?fingerprint={standing.live.fingerprint}" in ended.error.remedy


def test_another_certificate_than_the_pinned_one_is_no_server_of_ours(standing: Standing, tmp_path: Path) -> None:
    ended = run_trial(tmp_path / "runs", preset=on(standing, url=standing.url[:-64] + "0" * 64))
    assert isinstance(ended.error, TargetError)
    assert "fingerprint" in ended.error.remedy


def test_without_the_passwords_nothing_begins(standing: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESTIC_PASSWORD")
    ended = run_trial(tmp_path / "runs", preset=on(standing))
    assert isinstance(ended.error, UsageError)
    assert "RESTIC_PASSWORD is not set" in ended.error.what


def test_where_there_is_no_repository_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Standing(tmp_path / "empty", initialised=False)
    try:
        empty.environment(monkeypatch)
        monkeypatch.setenv("RESTIC_REST_PASSWORD", ADMIN_PASSWORD)
        small = msgspec.structs.replace(QUICK, clients=1, actions_per_client=0)
        ended = run_trial(tmp_path / "runs", preset=on(empty, small, url=empty.url.replace(CLIENT, ADMIN)))
        assert (ended.error, ended.code) == (None, ExitCode.PASS)
    finally:
        empty.live.stop()


def test_the_command_tests_it_and_no_secret_is_written_down(standing: Standing, tmp_path: Path) -> None:
    standing.strangers_snapshot()
    options = ("--set", "duration_s=2s", "--clients", "2", "--seed", "3", "--runs-dir", str(tmp_path / "runs"))
    command = (sys.executable, "-m", "seatrial.cli.main", "run", "smoke", "--no-ui", "--server", standing.url, *options)
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert refused.returncode == ExitCode.USAGE
    assert f"name it: --repo {standing.bare}" in refused.stderr
    done = subprocess.run((*command, "--repo", standing.bare), capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == ExitCode.PASS, done.stdout + done.stderr
    for name in ("run-gc", "verify-repository"):
        assert f"  {name}: not run, " in done.stdout.partition("\n\n")[2], "the closing lines name it"
    again = next(line for line in done.stdout.splitlines() if line.startswith("run it again"))
    assert f"--repo {standing.bare}" in again
    written = b"".join(file.read_bytes() for file in (tmp_path / "runs").rglob("*") if file.is_file())
    for secret in (CLIENT_PASSWORD, REPOSITORY_PASSWORD):
        assert secret.encode() not in written
        assert secret not in done.stdout + done.stderr
