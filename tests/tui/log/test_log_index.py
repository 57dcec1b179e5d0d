"""The index of a log against a naive model of it."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial_tui.log import index
from seatrial_tui.log.index import Index

PIECES = st.lists(
    st.binary(max_size=90) | st.lists(st.sampled_from([b"\n", b"a", b"\r\n", b"\x00"]), max_size=60).map(b"".join), max_size=12
)
BLOCKS = st.sampled_from([1, 7, 16, 64])


def _lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _index(pieces: list[bytes]) -> tuple[Index, bytes]:
    made = Index()
    for piece in pieces:
        made.feed(piece)
    return made, b"".join(pieces)


@given(PIECES, BLOCKS)
def test_lines_are_counted_whatever_pieces_they_come_in(pieces: list[bytes], block: int) -> None:
    with patch.object(index, "BLOCK_BYTES", block):
        made, data = _index(pieces)
        assert (made.lines, made.newlines, made.size_bytes) == (len(_lines(data)), data.count(b"\n"), len(data))
        assert made.open is bool(data and not data.endswith(b"\n"))


@given(PIECES, BLOCKS, st.data())
def test_a_number_leads_to_an_offset_and_back(pieces: list[bytes], block: int, choice: st.DataObject) -> None:
    with patch.object(index, "BLOCK_BYTES", block):
        made, data = _index(pieces)
        number = choice.draw(st.integers(0, made.lines + 2))
        offset = choice.draw(st.integers(-1, len(data) + 2))
        read = lambda at, size: data[at : at + size]  # noqa: E731 - the index's own way to read
        starts = [0, *(at + 1 for at, byte in enumerate(data) if byte == 10)]
        assert made.start_of(number, read) == (starts[number] if number < len(starts) else len(data))
        assert made.line_at(offset, read) == data[: max(0, offset)].count(b"\n")


@given(PIECES, BLOCKS, st.integers(0, 80), st.integers(0, 20), st.integers(1, 40))
def test_any_page_is_read_as_it_stands_in_the_file(pieces: list[bytes], block: int, first: int, count: int, head: int) -> None:
    with patch.object(index, "BLOCK_BYTES", block):
        made, data = _index(pieces)
        # No more of a line is kept than a block holds.
        head = min(head, block)
        found = made.lines_from(first, count, head, lambda at, size: data[at : at + size])
        assert found == [(line[:head], len(line)) for line in _lines(data)[first : first + count]]


def test_the_index_of_a_line_that_is_longer_than_many_blocks_knows_its_end() -> None:
    data = b"short\n" + b"x" * (5 * index.BLOCK_BYTES) + b"\nlast"
    made = Index()
    made.feed(data)
    assert made.lines_from(1, 5, 10, lambda at, size: data[at : at + size]) == [(b"x" * 10, 5 * index.BLOCK_BYTES), (b"last", 4)]


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_file_that_was_cut_meanwhile_is_read_without_a_crash(size: int) -> None:
    made = Index()
    made.feed(b"line\n" * 100_000)
    cut = b"y" * size
    assert len(made.lines_from(99_000, 10, 10, lambda at, wanted: cut[at : at + wanted])) == 10
