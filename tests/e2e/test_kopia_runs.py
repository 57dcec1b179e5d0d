"""Whole runs on the real kopia: a clean one passes, each planted defect is caught by the same finding as on the embedded target."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from seatrial.config.loader import program_variable
from seatrial.config.model import ActionName, KopiaSettings, Preset, VerifySettings
from seatrial.errors import TargetError, UsageError
from seatrial.harness.harness import TestHarness
from seatrial.harness.trial import Trial
from seatrial.history.events import Finding, Invoke, PlanEvent, Resolved, Result, ServerEvent
from seatrial.targets.kopia.server import KopiaServer
from seatrial.targets.kopia.target import KopiaTarget
from seatrial.testing.stage import Stage
from seatrial.verdicts import ExitCode, Outcome, Verdict
from tests.e2e.trials import QUICK, Ended, run_trial
from tests.support.kopia import flip_in_every_content, packs, running
from tests.support.waiting import eventually

pytestmark = [pytest.mark.needs_program("kopia"), pytest.mark.timeout(400)]
SMALL = msgspec.structs.replace(
    QUICK,
    target="kopia",
    clients=2,
    actions_per_client=0,
    steps=[ActionName.WRITE, ActionName.SNAPSHOT, ActionName.WRITE, ActionName.SNAPSHOT, ActionName.LIST, ActionName.RESTORE],
    verify=VerifySettings(budget_s=300, liveness_s=300),
)
"""A command takes seconds where others are at work: no limit here is about time."""


def failing(ended: Ended) -> list[Finding]:
    assert ended.code is ExitCode.ROBUSTNESS_FAILURE, (ended.error, ended.findings)
    return [finding for finding in ended.findings if finding.verdict is Verdict.FAIL]


def damage_every_pack(harness: TestHarness) -> None:
    for pack in packs(harness.history.prefix.data):
        flip_in_every_content(pack)


def test_a_clean_run_passes_and_tells_which_version_it_was(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=SMALL)
    assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
    plan = next(event for event in ended.events if isinstance(event, PlanEvent))
    assert (plan.target, plan.target_version) == ("kopia", KopiaTarget().availability(SMALL).version)
    assert plan.target_version


@pytest.mark.slow
def test_a_second_run_finds_what_the_first_left(tmp_path: Path) -> None:
    alone = msgspec.structs.replace(SMALL, clients=1)
    counts = []
    for _ in range(2):
        ended = run_trial(tmp_path / "runs", preset=alone, prefix=tmp_path / "prefix")
        assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
        listed = [event.listed for event in ended.events if isinstance(event, Result) and event.action == ActionName.LIST.value]
        counts.append(len(listed[-1] or []))
    assert counts == [2, 5], "the first run took one more in its last phases"


@pytest.mark.slow
def test_a_deleted_pack_is_found_and_named_though_caches_still_have_it(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=SMALL, before_verify=lambda harness: packs(harness.history.prefix.data)[0].unlink())
    restores = [finding for finding in failing(ended) if finding.check == "restore"]
    assert restores
    assert {finding.damage for finding in restores} == {"missing-data"}
    assert all(finding.path and finding.owner for finding in restores)
    assert [finding.damage for finding in failing(ended) if finding.check == "repository-verification"] == ["damaged"]


@pytest.mark.slow
def test_flipped_bytes_are_found_and_named(tmp_path: Path) -> None:
    ended = run_trial(tmp_path, preset=SMALL, before_verify=damage_every_pack)
    restores = [finding for finding in failing(ended) if finding.check == "restore"]
    assert restores
    assert {finding.damage for finding in restores} == {"corrupt"}
    assert all(finding.path and finding.owner for finding in restores)
    assert [finding.damage for finding in failing(ended) if finding.check == "repository-verification"] == ["damaged"]


@pytest.mark.slow
def test_a_snapshot_deleted_behind_the_servers_back_is_lost(tmp_path: Path) -> None:
    removed = []

    def plant(harness: TestHarness) -> None:
        removed.append(harness.history.ledger.live()[0])
        harness.server.run("snapshot", "delete", removed[0], "--delete")

    found = failing(run_trial(tmp_path, preset=SMALL, before_verify=plant))
    assert [(finding.check, finding.damage, finding.snapshot) for finding in found] == [("list", "lost", removed[0])]
    assert found[0].owner


@pytest.mark.slow
def test_a_client_killed_in_mid_snapshot_is_unknown_and_resolved(tmp_path: Path) -> None:
    killed: list[int] = []

    def meanwhile(trial: Trial) -> None:
        def look(record: object) -> None:
            event = getattr(record, "event", None)
            if isinstance(event, Invoke) and event.action == ActionName.SNAPSHOT.value and not killed:
                killed.append(0)
                threads.append(kill_soon())

        trial.subscribe(look)

    def kill() -> None:
        def find() -> bool:
            for process in running("snapshot", "create"):
                process.kill()
                killed.append(process.pid)
                return True
            return False

        eventually(find, 60)

    threads: list[threading.Thread] = []

    def kill_soon() -> threading.Thread:
        thread = threading.Thread(target=kill, name="kills a client")
        thread.start()
        return thread

    ended = run_trial(tmp_path, preset=SMALL, meanwhile=meanwhile)
    for thread in threads:
        thread.join()
    assert len(killed) == 2, "nobody was killed"
    unknown = [event for event in ended.events if isinstance(event, Result) and event.outcome is Outcome.UNKNOWN]
    assert [(event.action, event.error.cause if event.error else "") for event in unknown] == [(ActionName.SNAPSHOT.value, "killed")]
    assert [event.op for event in ended.events if isinstance(event, Resolved)] == [unknown[0].op]
    assert [(finding.check, finding.damage) for finding in failing(ended)] == [(ActionName.SNAPSHOT.value, "killed")]


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_ends_the_run_with_its_last_words(tmp_path: Path) -> None:
    def meanwhile(trial: Trial) -> None:
        def look(record: object) -> None:
            event = getattr(record, "event", None)
            if isinstance(event, Result):
                for server in running("server", "start"):
                    server.kill()

        trial.subscribe(look)

    ended = run_trial(tmp_path, preset=SMALL, meanwhile=meanwhile)
    assert isinstance(ended.error, TargetError)
    assert "the server died in the middle of the run" in ended.error.what
    assert "SERVER ADDRESS" in ended.error.what
    assert "died" in [event.state for event in ended.events if isinstance(event, ServerEvent)]


@contextmanager
def standing_server(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, KopiaServer]]:
    """A server that is somebody else's, and the URL of one user of it."""
    stage = Stage(KopiaTarget(), place, Preset())
    server = stage.server
    assert isinstance(server, KopiaServer)
    try:
        stage.open()
        server.authorize_client("visitor")
        access = server.access("visitor")
        monkeypatch.setenv("KOPIA_PASSWORD", access.password)
        yield access.url.replace("https://", "https://visitor%40seatrial@") + f"?fingerprint={access.fingerprint}", server
    finally:
        stage.close()


@pytest.mark.slow
def test_an_attached_server_is_tested_and_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing_server(tmp_path / "standing", monkeypatch) as (url, server):
        child = server.server_cmd()
        assert child is not None
        ended = run_trial(tmp_path / "runs", preset=msgspec.structs.replace(SMALL, server=url))
        assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
        assert [event.state for event in ended.events if isinstance(event, ServerEvent)] == ["ready"]
        assert child.returncode is None
        assert psutil.pid_exists(child.pid)
        journal = "".join(file.read_text() for file in ended.directory.glob("journal*.jsonl"))
        assert server.access("visitor").password not in journal


def test_an_attached_server_that_does_not_know_us_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPIA_PASSWORD", "p")
    ended = run_trial(tmp_path, preset=msgspec.structs.replace(SMALL, server="https://u%40h@127.0.0.1:1?fingerprint=" + "a" * 64))
    assert isinstance(ended.error, TargetError)
    assert "does not let us in" in ended.error.what
    monkeypatch.delenv("KOPIA_PASSWORD")
    ended = run_trial(tmp_path, preset=msgspec.structs.replace(SMALL, server="https://u%40h@127.0.0.1:1"))
    assert isinstance(ended.error, UsageError)


def s3_program() -> str:
    """An rclone that serves S3, which came with 1.65; empty where there is none."""
    found = shutil.which(program_variable("rclone")[1] or "rclone")
    if found is None:
        return ""
    said = subprocess.run([found, "serve", "--help"], capture_output=True, text=True, timeout=60, check=False).stdout
    return found if "  s3 " in said else ""


@contextmanager
def bucket(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real S3 server on loopback with a bucket of this name, told by the environment; the directory behind the bucket."""
    program = s3_program()
    if not program:
        pytest.skip("needs an 'rclone' that can `serve s3` (1.65 or newer), which is neither on PATH nor named by RCLONE_EXE")
    (place / "root" / "bucket").mkdir(parents=True)
    log = place / "s3.log"
    serve = [program, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", "key,secret", str(place / "root")]
    with log.open("wb") as out, subprocess.Popen(serve, stdout=out, stderr=out, env={"HOME": str(place)}) as process:
        try:
            assert eventually(lambda: "Starting s3 server on [http://" in log.read_text() or process.poll() is not None, 60)
            address = log.read_text().partition("Starting s3 server on [")[2].partition("/]")[0]
            for name, value in {
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_ENDPOINT_URL": address,
            }.items():
                monkeypatch.setenv(name, value)
            yield place / "root" / "bucket"
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_repository_in_a_bucket_is_tested_like_any_other_and_a_strangers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket(tmp_path / "s3", monkeypatch) as directory:
        preset = msgspec.structs.replace(SMALL, kopia=KopiaSettings(repo="s3://bucket/some/prefix"))
        ended = run_trial(tmp_path / "runs", preset=preset)
        assert (ended.error, ended.code, ended.findings) == (None, ExitCode.PASS, [])
        assert (directory / "some" / "prefix" / "kopia.repository").is_file()
        assert all("secret" not in file.read_text() for file in ended.directory.glob("journal*.jsonl"))
        ended = run_trial(tmp_path / "runs", preset=preset)
        assert isinstance(ended.error, UsageError), "another prefix does not know its password"
        assert "not made by seatrial" in ended.error.what
