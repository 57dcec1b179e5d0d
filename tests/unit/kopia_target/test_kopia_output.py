"""kopia's output is read as the real program printed it (``tests/data/kopia``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.children import Completed
from seatrial.errors import OperationError
from seatrial.targets.kopia.metrics import read_metrics
from seatrial.targets.kopia.output import (
    MAX_PROBLEMS,
    Snapshot,
    all_snapshots,
    cache_parts,
    complaints,
    created,
    damaged_path,
    listing_differences,
    server_address,
    snapshot_manifests,
    snapshots,
)
from seatrial.targets.kopia.program import PROGRAM
from tests.support.transcripts import BASE, transcript

RECORDED = Path(__file__).parents[2] / "data" / "kopia"


def printed(name: str) -> Completed:
    return transcript(RECORDED / f"{name}.txt").done


def test_every_transcript_tells_version_and_command_and_no_machine() -> None:
    files = sorted(RECORDED.glob("*.txt"))
    assert len(files) > 30
    for file in files:
        text = file.read_text()
        assert text.startswith("# kopia v0.23"), file
        assert file.name == "metrics.txt" or transcript(file).command.startswith("kopia "), file
        assert not any(place in text for place in ("/tmp/", "/root/", "/home/", "/work/")), file


def test_a_version_is_read_of_a_release_and_of_a_build_of_ones_own() -> None:
    import re

    def version(text: str) -> str:
        found = re.search(PROGRAM.version_pattern, text)
        return found[1] if found else ""

    assert version(transcript(RECORDED / "snapshot-create.txt").version.removeprefix("kopia ")) == "0.23.1"
    assert version("0.14.0-rc1 build: abc from: kopia/kopia") == "0.14.0-rc1"
    assert version("v0-unofficial build: -(unknown_revision) from: ") == "0-unofficial"
    assert version("restic 0.14.0 compiled with go1.19") == ""


def test_a_create_tells_its_id_and_what_it_read() -> None:
    snapshot_id, stats = created(printed("snapshot-create"))
    assert len(snapshot_id) == 32
    assert (stats.files, stats.bytes_read) == (3, 150_000)


def test_a_create_that_could_not_read_everything_is_none() -> None:
    with pytest.raises(OperationError) as raised:
        created(printed("snapshot-create-unreadable"))
    assert raised.value.cause == "source-unreadable"


@pytest.mark.parametrize("text", ["", "{", '{"id": 3}', "[]"])
def test_output_that_is_no_answer_is_an_error_of_its_own(text: str) -> None:
    with pytest.raises(OperationError) as raised:
        created(Completed(returncode=0, stdout=text, stderr=""))
    assert raised.value.cause == "protocol"


def test_a_listing_that_was_cut_is_not_read_as_a_shorter_one() -> None:
    whole = printed("snapshot-list")
    with pytest.raises(OperationError, match="more of it than is kept"):
        snapshots(Completed(returncode=0, stdout=whole.stdout, stderr="", truncated=True))


def test_a_listing_gives_ids_and_operations_of_complete_snapshots_only() -> None:
    listed = snapshots(printed("snapshot-list"))
    assert {row.op for row in listed} == {"run/0-1", "run/1-1"}
    everything = all_snapshots(printed("snapshot-list"))
    assert [row.op for row in everything if row.incomplete] == ["run/0-2"]
    assert len(everything) == len(listed) + 1


def test_text_listings_hide_what_is_incomplete_and_manifests_do_not() -> None:
    hidden = [row.id for row in all_snapshots(printed("snapshot-list")) if row.incomplete]
    assert hidden[0] not in printed("snapshot-list-text").stdout
    assert hidden[0] in snapshot_manifests(printed("manifest-list"))


def test_both_listings_agree_and_either_ones_surplus_is_named() -> None:
    manifests, listed = snapshot_manifests(printed("manifest-list")), all_snapshots(printed("snapshot-list"))
    assert listing_differences(manifests, listed) == []
    assert listing_differences([*manifests, "a" * 32], listed) == [
        f"snapshot {'a' * 32} is in the manifests, and `snapshot list` does not show it"
    ]
    assert listing_differences(manifests, [*listed, Snapshot(id="b" * 32)]) == [
        f"`snapshot list` shows {'b' * 32}, which is not in the manifests"
    ]


def test_a_clean_verification_has_no_complaints() -> None:
    assert complaints(printed("snapshot-verify")) == []
    assert complaints(printed("content-verify")) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("snapshot-verify-pack-deleted", "is backed by missing blob"),
        ("snapshot-verify-flipped", "invalid checksum"),
        ("content-verify-pack-deleted", "depends on missing blob"),
        ("content-verify-flipped", "invalid checksum"),
    ],
)
def test_a_verification_of_damage_says_what_is_damaged_first(name: str, said: str) -> None:
    found = complaints(printed(name))
    assert said in found[0]
    assert len(found) == len(set(found)) <= MAX_PROBLEMS


def test_complaints_are_bounded() -> None:
    many = "\n".join(f"content {number} is invalid" for number in range(1000))
    assert len(complaints(Completed(returncode=1, stdout="", stderr=many))) == MAX_PROBLEMS


def test_the_file_that_a_restore_failed_at_is_named() -> None:
    said = printed("snapshot-restore-pack-deleted").stderr
    assert damaged_path(said, BASE / "o4") in {"f0", "f1", "f2"}
    assert damaged_path(said, BASE / "elsewhere") == ""
    assert damaged_path(printed("snapshot-restore-missing").stderr, BASE / "o2") == ""


def test_the_servers_address_is_the_last_it_said() -> None:
    log = printed("server-start").stderr
    assert server_address(log).startswith("https://127.0.0.1:")
    assert server_address(log + "\nSERVER ADDRESS: https://127.0.0.1:1\n") == "https://127.0.0.1:1"
    assert server_address("SERVER ADDRESS: https://127.0.0.1:1") != "", "the last line need not be ended"
    assert server_address("Running full maintenance...") == ""


def test_cache_info_tells_places_and_limits() -> None:
    parts = {part.name: part for part in cache_parts(printed("cache-info-server").stdout)}
    assert set(parts) == {"blob-list", "contents", "index-blobs", "indexes", "metadata", "own-writes"}
    assert parts["contents"].path == BASE / "cache-server" / "contents"
    assert (parts["contents"].limit_bytes, parts["metadata"].limit_bytes) == (500_000_000, 500_000_000)
    assert parts["indexes"].limit_bytes == 0
    assert [part.name for part in cache_parts(printed("cache-info-client").stdout)] == ["server-contents"]


def test_metrics_tell_requests_and_latencies_of_what_there_was() -> None:
    frame = read_metrics((RECORDED / "metrics.txt").read_text())
    assert frame.requests["ListBlobs"] > 0
    assert set(frame.requests) == set(frame.latency_ms_p95)
    assert all(count > 0 for count in frame.requests.values())
    assert all(0 < latency <= 10_000 for latency in frame.latency_ms_p95.values())


def test_a_percentile_is_the_upper_bound_of_its_bucket_or_the_last_there_is() -> None:
    def frame_of(*below: int) -> float:
        rows = zip(("0.5", "10", "+Inf"), below, strict=True)
        text = "\n".join(f'kopia_blob_storage_latency_ms_bucket{{method="m",le="{le}"}} {count}' for le, count in rows)
        return read_metrics(text).latency_ms_p95["m"]

    assert frame_of(100, 100, 100) == 0.5
    assert frame_of(94, 100, 100) == 10
    assert frame_of(0, 10, 100) == 10
