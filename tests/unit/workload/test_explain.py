"""Each planted damage is named, at its exact place; what is as it should be, or not ours, is not slandered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.config.model import WriteOptions
from seatrial.context import new_client_context
from seatrial.workload.blocks import BLOCK_BYTES, Own, Pool, Stream
from seatrial.workload.explain import Damage, Explanation, explain, explain_content
from seatrial.workload.native import NativeFileWriter
from seatrial.workload.original import Expected

CLIENT, PATH = "happy-otter-1", b"dir_1/file_3"
BLOCKS = 12
SIZE = BLOCKS * BLOCK_BYTES + 1000


def content(size: int = SIZE, *, client: str = CLIENT, path: bytes = PATH, generation: int = 5) -> bytes:
    return bytes(Stream(Own(client=client, path=path, generation=generation)).content(0, size))


def explained(data: bytes, original: bytes, **known: object) -> Explanation:
    expected = Expected(path=PATH, size=len(original), content_hash=blake3(original).digest(16), **known)  # type: ignore[arg-type]  # a double, or fields by name
    return explain_content(memoryview(data), expected)


def flipped(data: bytes) -> bytes:
    return data[:20_000] + bytes([data[20_000] ^ 0x10]) + data[20_001:]


def over(data: bytes, block: int, other: bytes) -> bytes:
    """``other`` in place of what stands from ``block`` on."""
    at = block * BLOCK_BYTES
    return data[:at] + other + data[at + len(other) :]


def part(data: bytes, first: int, last: int) -> bytes:
    return data[first * BLOCK_BYTES : last * BLOCK_BYTES]


WHOLE = content()
JUNK = bytes(blake3(b"junk").digest(2 * BLOCK_BYTES))

PLANTED: dict[str, tuple[bytes, Damage, int, int, str]] = {
    "a flipped bit": (flipped(WHOLE), Damage.FLIPPED, 20_000, 1, "a single bit"),
    "a flipped bit in a header": (bytes([WHOLE[0] ^ 1]) + WHOLE[1:], Damage.FLIPPED, 0, 1, "a single bit"),
    "zeroed blocks": (over(WHOLE, 3, bytes(2 * BLOCK_BYTES)), Damage.ZEROED, 3 * BLOCK_BYTES, 2 * BLOCK_BYTES, "zeros"),
    "a zeroed stretch of a block": (WHOLE[:9000] + bytes(200) + WHOLE[9200:], Damage.ZEROED, 9000, 200, "zeros"),
    "all zeros": (bytes(SIZE), Damage.ZEROED, 0, SIZE, "zeros"),
    "cut in a block": (WHOLE[:10_000], Damage.TRUNCATED, 10_000, SIZE - 10_000, "are missing"),
    "cut between blocks": (part(WHOLE, 0, 5), Damage.TRUNCATED, 5 * BLOCK_BYTES, SIZE - 5 * BLOCK_BYTES, "are missing"),
    "emptied": (b"", Damage.TRUNCATED, 0, SIZE, "empty"),
    "zeros at its end": (WHOLE + bytes(5000), Damage.EXTENDED, SIZE, 5000, "zeros after its end"),
    "junk at its end": (WHOLE + JUNK, Damage.EXTENDED, SIZE, len(JUNK), "did not write"),
    "older blocks": (
        over(WHOLE, 4, part(content(generation=3), 4, 7)),
        Damage.STALE,
        4 * BLOCK_BYTES,
        3 * BLOCK_BYTES,
        "generation 3, older than generation 5",
    ),
    "all of it older": (content(generation=4), Damage.STALE, 0, SIZE, "generation 4, older than generation 5"),
    "mostly newer": (over(content(generation=6), 0, part(WHOLE, 0, 2)), Damage.STALE, 2 * BLOCK_BYTES, SIZE - 2 * BLOCK_BYTES, "newer"),
    "blocks of another file": (
        over(WHOLE, 2, part(content(path=b"dir_1/file_9"), 7, 8)),
        Damage.FOREIGN,
        2 * BLOCK_BYTES,
        BLOCK_BYTES,
        "of dir_1/file_9, generation 5, of client happy-otter-1",
    ),
    "blocks of a pool": (
        over(WHOLE, 2, bytes(Stream(Pool(seed=7, blocks=64)).content(0, BLOCK_BYTES))),
        Damage.FOREIGN,
        2 * BLOCK_BYTES,
        BLOCK_BYTES,
        "of shared pool 7",
    ),
    "two blocks cut out": (
        part(WHOLE, 0, 4) + WHOLE[6 * BLOCK_BYTES :],
        Damage.SHIFTED,
        4 * BLOCK_BYTES,
        SIZE - 6 * BLOCK_BYTES,
        "moved by -8192 bytes",
    ),
    "a byte put in": (WHOLE[:5000] + b"!" + WHOLE[5000:], Damage.SHIFTED, 5000, SIZE - 5000, "moved by +1 bytes"),
    "a byte cut out": (WHOLE[:5000] + WHOLE[5001:], Damage.SHIFTED, 5000, SIZE - 5001, "moved by -1 bytes"),
    "a block put in": (
        part(WHOLE, 0, 5) + JUNK[:BLOCK_BYTES] + WHOLE[5 * BLOCK_BYTES :],
        Damage.SHIFTED,
        6 * BLOCK_BYTES,
        SIZE - 6 * BLOCK_BYTES,
        "moved by +4096 bytes",
    ),
    "a block twice, the rest moved": (
        part(WHOLE, 0, 5) + WHOLE[4 * BLOCK_BYTES :],
        Damage.DUPLICATED,
        5 * BLOCK_BYTES,
        SIZE - 5 * BLOCK_BYTES,
        "block 4 of the file is there twice",
    ),
    "a block over another": (
        over(WHOLE, 8, part(WHOLE, 1, 2)),
        Damage.DUPLICATED,
        8 * BLOCK_BYTES,
        BLOCK_BYTES,
        "block 1 of the file is there twice",
    ),
    "junk over blocks": (over(WHOLE, 6, JUNK), Damage.OVERWRITTEN, 6 * BLOCK_BYTES, len(JUNK), "did not write"),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize(
    "known", [{}, {"client": CLIENT}, {"client": CLIENT, "generation": 5}], ids=["", "client", "client and generation"]
)
def test_planted_damage_is_named_where_it_is(name: str, known: dict[str, object]) -> None:
    data, damage, offset, length, text = PLANTED[name]
    explanation = explained(data, WHOLE, **known)
    assert explanation.damage is damage
    # Nothing in these files says what they were.
    assert explanation.proved is bool(known or name not in {"all zeros", "emptied"})
    largest = max(explanation.regions, key=lambda region: region.length)
    assert (largest.offset, largest.length) == (offset, length)
    assert text in explanation.lines[0]
    assert explanation.lines[0].startswith("dir_1/file_3: ")
    assert all(line.isprintable() for line in explanation.lines)


def test_a_file_of_another_client_is_foreign_where_the_owner_is_known() -> None:
    others = content(client="sad-owl-2")
    explanation = explained(others, WHOLE, client=CLIENT)
    assert (explanation.damage, explanation.proved) == (Damage.FOREIGN, True)
    assert "of client sad-owl-2" in explanation.lines[0]
    # Else its headers name the right path, and it can only be told that it is not what it was.
    assert explained(others, WHOLE).damage is Damage.STALE


def test_hex_shows_both_sides_around_the_first_wrong_byte() -> None:
    wrong = flipped(WHOLE)
    lines = explained(wrong, WHOLE).lines
    assert f"  0x00004e20 expected [{WHOLE[20_000]:02x}] {WHOLE[20_001]:02x}" in "\n".join(lines)
    assert f"  0x00004e20 actual   [{wrong[20_000]:02x}] {WHOLE[20_001]:02x}" in "\n".join(lines)


def test_two_swapped_blocks_are_shifted() -> None:
    data = over(over(WHOLE, 2, part(WHOLE, 7, 8)), 7, part(WHOLE, 2, 3))
    explanation = explained(data, WHOLE)
    assert [(region.damage, region.offset) for region in explanation.regions] == [
        (Damage.SHIFTED, 2 * BLOCK_BYTES),
        (Damage.SHIFTED, 7 * BLOCK_BYTES),
    ]


def test_several_damages_are_all_listed_and_bounded() -> None:
    data = WHOLE
    for block in range(0, BLOCKS, 2):
        data = over(data, block, bytes(100))
    explanation = explained(over(data, 11, JUNK[:BLOCK_BYTES]), WHOLE)
    assert {region.damage for region in explanation.regions} == {Damage.ZEROED, Damage.OVERWRITTEN}
    assert len(explanation.regions) == 7
    assert "and 6 more places" in explanation.lines[0]


def test_an_undamaged_file_is_intact() -> None:
    assert explained(WHOLE, WHOLE).damage is Damage.INTACT


@pytest.mark.parametrize("known", [{}, {"client": CLIENT}])
def test_content_that_the_writer_did_not_make_is_unknown(known: dict[str, object]) -> None:
    explanation = explained(JUNK, JUNK[1:], **known)
    assert explanation.damage is Damage.UNKNOWN
    assert "unknown content" in explanation.lines[0]


def test_without_a_hash_the_headers_are_taken_at_their_word() -> None:
    explanation = explain_content(memoryview(flipped(WHOLE)), Expected(path=PATH, size=SIZE))
    assert (explanation.damage, explanation.proved) == (Damage.FLIPPED, False)
    assert "as its headers say" in explanation.lines[1]


def test_the_path_of_a_header_may_begin_above_the_snapshots_root() -> None:
    expected = Expected(path=b"file_3", size=SIZE, content_hash=blake3(WHOLE).digest())
    assert explain_content(memoryview(content(generation=4)), expected).damage is Damage.STALE


@given(st.integers(1, 300), st.data())
@settings(max_examples=60, deadline=None)
def test_even_a_file_shorter_than_a_header_is_explained_where_its_writer_is_known(size: int, data: st.DataObject) -> None:
    original = content(size)
    at = data.draw(st.integers(0, size - 1))
    wrong = original[:at] + bytes([original[at] ^ 0xFF]) + original[at + 1 :]
    explanation = explained(wrong, original, client=CLIENT)
    assert (explanation.damage, explanation.proved) == (Damage.FLIPPED, True)
    assert (explanation.regions[0].offset, explanation.regions[0].length) == (at, 1)


@given(st.integers(0, SIZE - 1), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_any_wrong_byte_is_found_where_it_is(at: int, mask: int) -> None:
    wrong = WHOLE[:at] + bytes([WHOLE[at] ^ mask]) + WHOLE[at + 1 :]
    explanation = explained(wrong, WHOLE)
    assert [(region.damage, region.offset, region.length) for region in explanation.regions] == [(Damage.FLIPPED, at, 1)]
    assert explanation.proved


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("damage", "plant"),
    [
        (Damage.FLIPPED, lambda data, at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]),
        (Damage.ZEROED, lambda data, at: data[:at] + bytes(3000) + data[at + 3000 :]),
        (Damage.TRUNCATED, lambda data, at: data[:at]),
        (Damage.EXTENDED, lambda data, _: data + bytes(3000)),
    ],
    ids=["flipped", "zeroed", "truncated", "extended"],
)
def test_files_of_the_writer_are_explained_with_their_duplicate_runs(
    tmp_path: Path, seed: int, damage: Damage, plant: Callable[[bytes, int], bytes]
) -> None:
    """Runs of a small pool, several times round, at either end of the file."""
    options = WriteOptions(
        max_dir_depth=2,
        max_num_files_per_write=4,
        min_file_size=100_000,
        max_file_size=400_000,
        min_dedupe_percent=50,
        max_dedupe_percent=75,
    )
    writer = NativeFileWriter(tmp_path / "data", CLIENT, 4096)
    writer.write_random_files(new_client_context(), options, seed)
    for path in (tmp_path / "data").rglob("file_*"):
        original = path.read_bytes()
        expected = Expected(
            path=bytes(path.relative_to(tmp_path / "data")), size=len(original), content_hash=blake3(original).digest(16), client=CLIENT
        )
        assert explain(path, expected).damage is Damage.INTACT
        path.write_bytes(plant(original, len(original) * 3 // 4))
        explanation = explain(path, expected)
        assert (explanation.damage, explanation.proved) == (damage, True), explanation.lines


def test_a_sparse_file_keeps_its_holes(tmp_path: Path) -> None:
    writer = NativeFileWriter(tmp_path / "data", CLIENT, 4096)
    writer.write_random_files(
        new_client_context(), WriteOptions(max_dir_depth=0, max_num_files_per_write=1, max_file_size=4096, oddities=True), 1
    )
    sparse = tmp_path / "data/odd/sparse"
    original = sparse.read_bytes()
    expected = Expected(path=b"odd/sparse", size=len(original), content_hash=blake3(original).digest(16))
    assert explain(sparse, expected).damage is Damage.INTACT
    sparse.write_bytes(flipped(original))  # in the hole
    explanation = explain(sparse, expected)
    assert explanation.damage is Damage.FLIPPED
