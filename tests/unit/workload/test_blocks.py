"""A block says what it is, and every byte of it can be computed again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.workload.blocks import BLOCK_BYTES, Header, Identity, Own, Pool, Stream, header_path, parse, printable

owns = st.builds(
    Own,
    client=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30),
    path=st.binary(min_size=1, max_size=60).map(lambda raw: raw.replace(b"\0", b"_")),
    generation=st.integers(1, 2**40),
)
identities = st.one_of(owns, st.builds(Pool, seed=st.integers(0, 2**63), blocks=st.integers(1, 4096)))


@given(identities, st.integers(0, 2**40), st.integers(0, 4 * BLOCK_BYTES))
def test_content_does_not_depend_on_how_it_is_cut(identity: Identity, first: int, length: int) -> None:
    stream = Stream(identity)
    whole = bytes(stream.content(first, 4 * BLOCK_BYTES))
    assert stream.content(first, length) == whole[:length]
    for block in range(4):
        assert stream.content(first + block, BLOCK_BYTES) == whole[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]


@given(identities, st.integers(0, 2**40))
def test_a_block_says_what_it_is(identity: Identity, n: int) -> None:
    stream = Stream(identity)
    assert parse(stream.content(n, BLOCK_BYTES)) == Header(identity, n)
    assert parse(memoryview(stream.content(n, stream.header_bytes))) == Header(identity, n)
    assert parse(stream.content(n, stream.header_bytes - 1)) is None


@given(identities, st.integers(0, 1000), st.data())
def test_a_damaged_header_is_none(identity: Identity, n: int, data: st.DataObject) -> None:
    stream = Stream(identity)
    block = bytearray(stream.content(n, BLOCK_BYTES))
    block[data.draw(st.integers(0, stream.header_bytes - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert parse(bytes(block)) is None


@given(st.binary(max_size=200))
def test_other_bytes_are_not_taken_for_a_header(data: bytes) -> None:
    assert parse(data) is None
    assert parse(b"\xf5STR" + data) is None


def test_every_part_of_an_identity_changes_every_block() -> None:
    base = Own(client="a", path=b"p", generation=1)
    others: list[Identity] = [
        Own(client="b", path=b"p", generation=1),
        Own(client="a", path=b"q", generation=1),
        Own(client="a", path=b"p", generation=2),
        Pool(seed=1, blocks=8),
        Pool(seed=2, blocks=8),
    ]
    bodies = {bytes(Stream(identity).content(3, BLOCK_BYTES))[200:] for identity in [base, *others]}
    assert len(bodies) == 6


@pytest.mark.parametrize("length", [10, 1024, 1025, 5000])
def test_a_path_of_any_length_fits_a_header_and_stays_unique(length: int) -> None:
    one, other = header_path(b"a" * length), header_path(b"b" + b"a" * (length - 1))
    assert one != other
    assert len(one) <= 1024
    assert parse(Stream(Own(client="c" * 60, path=one, generation=1)).content(0, BLOCK_BYTES)) is not None


@given(st.binary(max_size=40))
def test_a_printable_path_fits_a_line(path: bytes) -> None:
    assert printable(path).isprintable()
