"""What restic prints, as text and as JSON, and where a restore has put what it restored."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.children import Completed
from seatrial.errors import OperationError
from seatrial.targets.protocols import Access
from seatrial.targets.restic import output
from seatrial.targets.restic.layout import raise_up
from seatrial.targets.restic.program import address_of, retry_lock

PRUNE_0_14 = """searching used packs...
collecting packs for deletion and repacking
[0:00] 100.00%  2 / 2 packs processed


to repack:             3 blobs / 2.000 KiB
this removes:          1 blobs / 100 B
to delete:             5 blobs / 1.500 MiB
total prune:           6 blobs / 1.500 MiB
remaining:             0 blobs / 0 B
unused size after prune: 0 B ( of remaining size)

removing 2 old packs
done
"""
PRUNE_0_19 = (
    '{"message_type":"summary","blobs":{"used":0,"remove_total":5},"bytes":{"used":0,"repack":7,"remove_total":831},'
    '"packfiles":{"used":0,"remove_total":2}}\n'
)


def test_a_backup_says_what_it_made() -> None:
    lines = '{"message_type":"status","percent_done":0}\n{"message_type":"summary","snapshot_id":"1a7d3b75","total_files_processed":2,'
    snapshot, stats = output.created(lines + '"total_bytes_processed":3100,"data_added":4499}\n')
    assert (snapshot, stats.files, stats.bytes_read, stats.bytes_added) == ("1a7d3b75", 2, 3100, 4499)
    _, packed = output.created(lines + '"total_bytes_processed":3100,"data_added":4499,"data_added_packed":1036}\n')
    assert packed.bytes_added == 1036


@pytest.mark.parametrize("said", ["", "{}", '{"message_type":"summary"}', '{"message_type":"summary","snapshot_id":7}'])
def test_a_backup_that_does_not_say_what_it_made_is_unknown(said: str) -> None:
    with pytest.raises(OperationError, match="did not say") as caught:
        output.created(said)
    assert caught.value.cause == "protocol"


def test_a_listing_tells_the_operation_out_of_the_tags() -> None:
    rows = output.listed('[{"id":"a","tags":["x","seatrial-op=run/1-2"],"paths":["/s"]},{"id":"b"},{"id":"c","tags":null}]')
    assert [(row.id, row.op) for row in rows] == [("a", "run/1-2"), ("b", ""), ("c", "")]
    assert output.listed("null\n") == []
    with pytest.raises(OperationError):
        output.listed("[{")


def test_a_prune_tells_what_it_freed() -> None:
    text = output.pruned(PRUNE_0_14)
    assert (text.freed_bytes, text.repacked_bytes, text.deleted_packs) == (3 << 19, 2048, 2)
    told = output.pruned(PRUNE_0_19)
    assert (told.freed_bytes, told.repacked_bytes, told.deleted_packs) == (831, 7, 2)


def test_a_check_is_judged_by_what_it_saw() -> None:
    clean = Completed(0, '{"message_type":"summary","num_errors":0}', "")
    wrong = Completed(1, "", "Pack ID does not match, want a879, got a12a\nFatal: repository contains errors\n")
    told = Completed(
        1,
        '{"message_type":"summary","num_errors":1}',
        '{"message_type":"error","message":"pack a8 contains 2 errors"}\n'
        '{"message_type":"exit_error","code":1,"message":"Fatal: repository contains errors"}',
    )
    refused = Completed(1, "", "unable to create lock in backend: repository is already locked")
    assert [output.is_damage(done) for done in (clean, wrong, told, refused)] == [False, True, True, False]
    assert output.problems(wrong) == ["Pack ID does not match, want a879, got a12a"]
    assert output.problems(told) == ["pack a8 contains 2 errors"]


def test_a_check_that_was_ended_counts_by_what_it_had_said() -> None:
    lost = f"pack {'a8' * 32}: does not exist\nLoad(<data/a8>, 1, 0) returned error, retrying after 1s: <data/a8> does not exist\n"
    assert output.is_damage(Completed(-15, "", lost, timed_out=True))
    assert output.is_damage(Completed(-15, "", lost, given_up=True))
    assert not output.is_damage(Completed(-15, "", "Load(<data/a8>, 1, 0) returned error, retrying after 1s: refused\n", timed_out=True))


def test_the_file_that_could_not_be_restored_is_named() -> None:
    assert output.failed_path("ignoring error for /sub/g: ciphertext verification failed\nFatal: There were 1 errors") == "sub/g"
    assert output.failed_path('{"message_type":"error","error":{"message":"x"},"during":"restore","item":"/f"}') == "f"
    assert output.failed_path("Fatal: something") == ""


def test_locks_are_waited_for_by_versions_that_can() -> None:
    assert retry_lock((0, 14, 0), 10) == ()
    assert retry_lock((0, 16, 0), 10) == ("--retry-lock", "10s")
    assert retry_lock((0, 16, 0), 0) == ()


def test_user_and_password_are_quoted_in_the_address() -> None:
    access = Access(url="https://127.0.0.1:8/repository/", fingerprint="", user="a@b", password="c/d:e", repository_password="")
    assert address_of(access) == "rest:https://a%40b:c%2Fd%3Ae@127.0.0.1:8/repository/"


def never() -> list[str]:
    raise AssertionError("asked for nothing")


def test_what_lies_at_the_root_stays_there_and_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").touch()
    raise_up(tmp_path, never)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_source_below_its_path_takes_the_place_of_the_root(tmp_path: Path) -> None:
    into = tmp_path / "into"
    source = into / "srv" / "me" / "data"
    source.mkdir(parents=True)
    (source / "srv").mkdir()  # of the same name as the first directory on the way
    (source / "file").write_text("x")
    raise_up(into, lambda: ["/srv/me/data"])
    assert sorted(path.name for path in into.iterdir()) == ["file", "srv"]
    assert [path.name for path in tmp_path.iterdir()] == ["into"]


def test_one_directory_that_is_content_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "only" / "below").mkdir(parents=True)
    raise_up(tmp_path, lambda: ["/srv/me/data"])
    raise_up(tmp_path, list)
    assert (tmp_path / "only" / "below").is_dir()


def test_a_link_on_the_way_leads_nowhere(tmp_path: Path) -> None:
    into, outside = tmp_path / "into", tmp_path / "outside"
    (into / "srv").mkdir(parents=True)
    (outside / "data").mkdir(parents=True)
    (into / "srv" / "me").symlink_to(outside)
    raise_up(into, lambda: ["/srv/me/data"])
    assert (into / "srv" / "me").is_symlink()
    assert (outside / "data").is_dir()
