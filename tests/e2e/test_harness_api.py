"""The seeds' API as a stranger uses it in a test suite of their own: ``import seatrial``, nothing else of ours."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

import seatrial
from seatrial import ActionName, Context, HarnessSettings, TestHarness, new_client_context, new_client_contexts, unwrap_context
from seatrial.config.model import ActionOptions, DeleteFilesOptions, Preset, WriteOptions
from seatrial.context import Client
from seatrial.errors import ClientNotFoundError, NoSpaceError, UsageError
from seatrial.harness.liveness import with_snapshot

OPTIONS = ActionOptions(
    write=WriteOptions(max_dir_depth=1, max_num_files_per_write=4, max_file_size=16 << 10),
    delete_files=DeleteFilesOptions(max_dir_depth=1, delete_contents_percent=50),
)


@pytest.fixture
def ctx() -> Context:
    return new_client_context()


@pytest.fixture
def harness(tmp_path: Path, ctx: Context) -> Iterator[TestHarness]:
    with TestHarness(
        ctx, HarnessSettings(runs_dir=tmp_path / "runs", repo_path_prefix=tmp_path / "prefix", preset=Preset(options=OPTIONS))
    ) as made:
        yield made


def test_every_public_name_is_there_and_documented() -> None:
    for name in seatrial.__all__:
        assert getattr(seatrial, name).__doc__, name
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = seatrial.nothing_such


def test_a_harness_without_a_client_is_key_not_found(tmp_path: Path) -> None:
    with pytest.raises(ClientNotFoundError, match="key not found"):
        TestHarness(Context(), HarnessSettings(runs_dir=tmp_path))


def test_many_clients_write_snapshot_and_restore_at_the_same_time(harness: TestHarness, ctx: Context) -> None:
    """The reference's own test, in its own words."""
    made: dict[str, str] = {}
    lock = threading.Lock()

    def work(client: Context) -> None:
        engine = harness.engine
        engine.exec_action(client, "restore-into-data-dir")  # a no-op, or another one's snapshot
        engine.exec_action(client, "write-random-files")
        snapshot = engine.exec_action(client, ActionName.SNAPSHOT).snapshot
        engine.exec_action(client, "restore-random-snapID")
        with lock:
            made[unwrap_context(client).id] = snapshot

    harness.run_n(ctx, 3, work)
    assert len(set(made.values())) == 3
    listed = {row.id for row in harness.server.snapshot_ids(ctx)}
    assert set(made.values()) <= listed
    assert sorted(listed) == harness.history.ledger.live()
    view = harness.engine.statistics()
    assert {row.action: row.ok for row in view.actions}["snapshot-root"] == 3
    assert view.findings_total == 0


def test_cleaned_up_clients_leave_nothing_and_their_snapshots_stay(harness: TestHarness, ctx: Context) -> None:
    contexts = new_client_contexts(ctx, 2)
    harness.run(contexts, lambda one: harness.engine.exec_action(one, "write-random-files"))
    harness.run(contexts, lambda one: harness.engine.exec_action(one, "snapshot-root"), cleanup=True)
    assert list(harness.base.glob("client-*")) == []
    assert [path for path in (harness.base / "data").iterdir() if path.is_dir()] == []
    assert harness.history.ledger.live_count == 2


def test_nothing_to_act_on_is_a_no_op_and_the_last_live_snapshot_stays(harness: TestHarness, ctx: Context) -> None:
    engine = harness.engine
    for action in ("restore-random-snapID", "restore-into-data-dir", "delete-random-snapID", "delete-random-subdirectory"):
        assert engine.exec_action(ctx, action).noop, action
    engine.exec_action(ctx, "snapshot-root")
    assert engine.exec_action(ctx, "delete-random-snapID").noop
    engine.exec_action(ctx, "snapshot-root")
    assert not engine.exec_action(ctx, "delete-random-snapID").noop
    assert harness.history.ledger.live_count == 1


def test_each_of_the_twelve_actions_can_be_executed(harness: TestHarness, ctx: Context) -> None:
    engine = harness.engine
    for _ in range(2):
        engine.exec_action(ctx, "write-random-files")
        engine.exec_action(ctx, "snapshot-root")
    for action in ActionName:
        engine.exec_action(ctx, action)
    counted = {row.action: (row.ok, row.failed, row.unknown) for row in engine.statistics().actions}
    assert set(counted) == {action.value for action in ActionName}
    assert all(failed == unknown == 0 for _, failed, unknown in counted.values())


def test_a_sub_path_must_stay_below_the_data_directory(harness: TestHarness, ctx: Context) -> None:
    def sub(path: str) -> ActionOptions:
        return msgspec.convert({"snapshot-root": {"sub-path": path}}, ActionOptions)

    harness.engine.exec_action(ctx, "write-random-files")
    assert harness.engine.exec_action(ctx, "snapshot-root", sub("no-such-directory")).noop
    with pytest.raises(UsageError, match="leads out"):
        harness.engine.exec_action(ctx, "snapshot-root", sub("../.."))


def test_directories_to_log_are_the_references(harness: TestHarness, ctx: Context) -> None:
    harness.engine.exec_action(ctx, "snapshot-root")
    directories = harness.get_dirs_to_log(ctx)
    prefix = harness.history.prefix
    assert directories[:2] == [str(prefix.data), str(prefix.metadata)]
    assert str(harness.base) in directories
    assert any("cache" in directory for directory in directories)
    assert len(directories) == len(set(directories))


def test_storage_statistics_have_the_references_form(harness: TestHarness) -> None:
    harness.log_storage_stats("before")
    (file,) = harness.history.prefix.logs.glob("*.json")
    assert file.name.startswith("multiclient_embedded_cache_dir_usage_")
    rows = json.loads(file.read_text())
    assert all(set(row) == {"path", "size"} for row in rows)


def test_statistics_hold_what_has_just_been_done(harness: TestHarness, ctx: Context) -> None:
    for times in range(1, 4):
        harness.engine.exec_action(ctx, "list-snapshots")
        assert {row.action: row.ok for row in harness.engine.statistics().actions}["list-snapshots"] == times


def test_shutdown_takes_one_more_snapshot_of_who_wrote_some_of_it(tmp_path: Path, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = HarnessSettings(runs_dir=tmp_path / "runs", repo_path_prefix=tmp_path / "prefix", preset=Preset(options=OPTIONS))
    with TestHarness(ctx, settings) as harness:
        harness.engine.exec_action(ctx, "write-random-files")
        harness.engine.exec_action(ctx, "snapshot-root")
        write = harness.engine.scene.writer.write_random_files

        def write_and_fail(*args: Any) -> dict[str, Any]:
            write(*args)
            raise NoSpaceError("the disk is full")

        monkeypatch.setattr(harness.engine.scene.writer, "write_random_files", write_and_fail)
        with pytest.raises(NoSpaceError):
            harness.engine.exec_action(ctx, "write-random-files")
    with TestHarness(new_client_context(), settings) as again:
        assert again.history.ledger.live_count == 2


def test_shutdown_takes_one_more_snapshot_of_who_wrote_and_metadata_survives(tmp_path: Path, ctx: Context) -> None:
    settings = HarnessSettings(runs_dir=tmp_path / "runs", repo_path_prefix=tmp_path / "prefix", preset=Preset(options=OPTIONS))
    first = TestHarness(ctx, settings)
    first.engine.exec_action(ctx, "write-random-files")
    first.engine.exec_action(ctx, "snapshot-root")
    first.engine.exec_action(ctx, "write-random-files")
    first.cleanup(ctx)
    first.cleanup(ctx)  # again is fine
    with TestHarness(new_client_context(), settings) as second:
        assert second.history.ledger.live_count == 2
        totals = {row.action: row.count for row in second.history.ledger.cumulative().actions}
        assert totals["snapshot-root"] == 2
        assert second.engine.statistics().former_runs == 1
        reader = new_client_context()
        for snapshot in second.history.ledger.live():
            options = second.plan.preset.options
            assert second.engine.exec_action(reader, "restore-random-snapID", with_snapshot(options, snapshot)).done.equal


def test_a_set_up_that_fails_leaves_nothing_behind(tmp_path: Path, ctx: Context) -> None:
    foreign = tmp_path / "prefix"
    foreign.mkdir()
    (foreign / "precious").write_text("mine")
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with pytest.raises(UsageError, match="seatrial did not make"):
        TestHarness(ctx, HarnessSettings(runs_dir=tmp_path / "runs", repo_path_prefix=foreign))
    assert (foreign / "precious").read_text() == "mine"
    assert {process.pid for process in psutil.Process().children(recursive=True)} == before


def test_cleaning_up_without_a_client_is_logged_and_returns(harness: TestHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.snapshotter.cleanup_client(Context())
    assert "has none" in caplog.text


def test_cache_information_is_trimmed_text(harness: TestHarness, ctx: Context) -> None:
    harness.engine.exec_action(ctx, "snapshot-root")
    out, err = harness.snapshotter.get_cache_dir_info()
    assert out == out.strip() != ""
    assert err == ""


def test_a_client_that_was_removed_must_be_authorised_anew(harness: TestHarness) -> None:
    ctx = Context(client=Client("brave-otter-removed"))
    harness.engine.exec_action(ctx, "snapshot-root")
    harness.engine.exec_action(ctx, "remove-client")
    assert harness.engine.statistics().findings_total == 0, "the server turned the removed client away"
    harness.engine.exec_action(ctx, "snapshot-root")
