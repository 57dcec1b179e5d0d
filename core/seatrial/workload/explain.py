"""Why a restored file is not what was snapshotted, in words: the writer's blocks tell where each of them comes from."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from seatrial.workload.blocks import BLOCK_BYTES, MAGIC, Header, Own, parse, printable
from seatrial.workload.original import Expected, Original, Slots, find_original, is_zero, scan

_PIECE_BLOCKS = 256
_REGIONS_KEPT = 100
_REGION_LINES = 8
_HEX_REGIONS = 3
_HEX_ROW = 16
_DENSE = 0.75
"""Of the bytes between the first and the last wrong one: other content, not flips."""
_FEW_BYTES = 32
"""So few wrong bytes are called flips, however dense."""


class Damage(str, Enum):
    """What happened to content."""

    INTACT = "intact"
    """It is what was expected."""
    STALE = "stale"
    """Another generation of the same file."""
    FOREIGN = "foreign"
    """Blocks of another file or another client."""
    SHIFTED = "shifted"
    """Blocks of this file in the wrong place."""
    DUPLICATED = "duplicated"
    """Blocks of this file that are there twice."""
    ZEROED = "zeroed"
    TRUNCATED = "truncated"
    EXTENDED = "extended"
    FLIPPED = "flipped"
    """Single wrong bytes."""
    OVERWRITTEN = "overwritten"
    """Bytes that nobody of us wrote, in place of ours."""
    UNKNOWN = "unknown content"
    """Not made by the native writer, so nothing but size and hash can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A stretch of a file that is damaged in one way."""

    offset: int
    """In bytes."""
    length: int
    damage: Damage
    text: str
    """What is there instead, in words; may be empty."""

    def __str__(self) -> str:
        blocks = f"blocks {self.offset // BLOCK_BYTES}-{(self.offset + self.length - 1) // BLOCK_BYTES}"
        text = f": {self.text}" if self.text else ""
        return f"{self.damage.value}: {self.length} bytes at offset {self.offset} ({blocks}){text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is wrong with one file."""

    damage: Damage
    """Of the most bytes."""
    lines: tuple[str, ...]
    """For a person, the summary first; bounded."""
    regions: tuple[Region, ...] = ()
    """The first hundred."""
    proved: bool = False
    """The original was computed again and has the expected hash, so that the regions are exact."""


def explain(path: Path, expected: Expected) -> Explanation:
    """Explain the restored file at ``path``. Raises ``OSError`` where it cannot be read."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return explain_content(memoryview(b""), expected)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
            return explain_content(data, expected)


def explain_content(data: memoryview, expected: Expected) -> Explanation:
    """The same for content in memory. Takes some seconds per GiB; the search for an original is bounded."""
    slots = scan(data)
    original = find_original(data, slots, expected)
    if original is None:
        return _without_original(data, expected)
    regions = [*_Comparison(data, slots, original, expected).regions()]
    if not regions and not original.proved and expected.content_hash:
        return _whole_but_wrong(data, original, expected)
    damage = max(regions, key=lambda region: region.length).damage if regions else Damage.INTACT
    lines = tuple(_lines(data, original, expected, damage, regions))
    return Explanation(damage=damage, regions=tuple(regions[:_REGIONS_KEPT]), proved=original.proved, lines=lines)


def _without_original(data: memoryview, expected: Expected) -> Explanation:
    name, size = printable(expected.path), len(data)
    if not size and expected.size:
        region = Region(offset=0, length=expected.size, damage=Damage.TRUNCATED, text="the file is empty")
    elif size and is_zero(data):
        region = Region(offset=0, length=size, damage=Damage.ZEROED, text="the whole file is zeros")
    else:
        start = bytes(data[: 2 * _HEX_ROW]).hex(" ")
        text = f"{name}: unknown content: not made by the native writer; {expected.size} bytes were expected, {size} are there"
        return Explanation(damage=Damage.UNKNOWN, lines=(text, f"it begins {start}" if start else "it is empty"))
    return Explanation(damage=region.damage, regions=(region,), lines=(f"{name}: {region}",))


def _whole_but_wrong(data: memoryview, original: Original, expected: Expected) -> Explanation:
    """Every block is whole and in its place, but the hash is another's."""
    same = original.own is not None and expected.is_place_of(original.own)
    damage = Damage.STALE if same else Damage.FOREIGN
    region = Region(offset=0, length=len(data), damage=damage, text=f"the whole file is {original.own or original.pool}")
    note = "every block is whole and in its place, but other content was snapshotted"
    return Explanation(damage=damage, regions=(region,), lines=(f"{printable(expected.path)}: {region}", note))


@dataclass(frozen=True, slots=True)
class _Bad:
    """A damaged block."""

    damage: Damage
    offset: int
    length: int
    text: str
    delta: int = 0
    """How far its content has moved, in bytes."""


class _Comparison:
    """Holds a file against its original, block by block."""

    def __init__(self, data: memoryview, slots: Slots, original: Original, expected: Expected) -> None:
        self._data, self._slots, self._original, self._expected = data, slots, original, expected
        self._common = min(len(data), original.size)
        self._good_blocks: set[int] = set()

    def regions(self) -> Iterator[Region]:
        """In the order of their offsets; what is missing or too much at the end last."""
        bad = [*self._bad()]
        moved = bad[-1].delta if bad and bad[-1].offset + bad[-1].length == self._common else 0
        for run in _runs(bad):
            yield self._region(run)
        extra = len(self._data) - self._original.size
        if extra < 0 and extra != moved:
            text = f"{-extra} of {self._original.size} bytes are missing" if self._data else "the file is empty"
            yield Region(offset=len(self._data), length=-extra, damage=Damage.TRUNCATED, text=text)
        elif extra > 0 and extra != moved:
            yield Region(offset=self._original.size, length=extra, damage=Damage.EXTENDED, text=self._tail())

    def _bad(self) -> Iterator[_Bad]:
        delta = 0
        for block in self._differing():
            found = self._moved_on(block, delta) or self._classify(block)
            delta = found.delta
            yield found

    def _differing(self) -> Iterator[int]:
        """Blocks that differ. Compared by the MiB first: most of a damaged file is as it was."""
        for first in range(0, -(-self._common // BLOCK_BYTES), _PIECE_BLOCKS):
            start, length = first * BLOCK_BYTES, min(_PIECE_BLOCKS * BLOCK_BYTES, self._common - first * BLOCK_BYTES)
            wanted = memoryview(self._original.read(start, length))
            for at in range(0, length, BLOCK_BYTES):
                stop = min(at + BLOCK_BYTES, length)
                if self._data[start + at : start + stop] == wanted[at:stop]:
                    self._good_blocks.add((start + at) // BLOCK_BYTES)
                else:
                    yield (start + at) // BLOCK_BYTES

    def _piece(self, block: int) -> tuple[int, memoryview, bytes]:
        """Offset, what is there, what was."""
        offset = block * BLOCK_BYTES
        length = min(BLOCK_BYTES, self._common - offset)
        return offset, self._data[offset : offset + length], self._original.read(offset, length)

    def _moved_on(self, block: int, delta: int) -> _Bad | None:
        """Whether the block before has moved, and this one with it."""
        if not delta:
            return None
        offset, actual, _ = self._piece(block)
        if actual != self._original.read(offset - delta, len(actual)):
            # Where content was cut out, what came in at the end of the file is told apart from the shift.
            return None
        return _Bad(Damage.SHIFTED, offset, len(actual), _by(delta), delta)

    def _classify(self, block: int) -> _Bad:
        offset, actual, wanted = self._piece(block)
        header, right = self._slots[block], self._original.header(block)
        if is_zero(actual):
            return _Bad(Damage.ZEROED, offset, len(actual), "zeros")
        if header is not None and header != right:
            return self._misplaced(offset, len(actual), header, right)
        return self._scarred(offset, actual, wanted)

    def _misplaced(self, offset: int, length: int, header: Header, right: Header | None) -> _Bad:
        own = self._original.own
        if right is not None and header.identity == right.identity:
            return _Bad(Damage.SHIFTED, offset, length, f"block {header.n} of {header.identity}", (right.n - header.n) * BLOCK_BYTES)
        if isinstance(header.identity, Own) and own and (header.identity.client, header.identity.path) == (own.client, own.path):
            if header.identity.generation == own.generation:
                return _Bad(Damage.SHIFTED, offset, length, f"block {header.n} of the file", offset - header.n * BLOCK_BYTES)
            age = "older" if header.identity.generation < own.generation else "newer"
            text = f"generation {header.identity.generation}, {age} than generation {own.generation}, which was snapshotted"
            return _Bad(Damage.STALE, offset, length, text)
        return _Bad(Damage.FOREIGN, offset, length, f"of {header.identity}")

    def _scarred(self, offset: int, actual: memoryview, wanted: bytes) -> _Bad:
        """No header, or the right one before a wrong body."""
        length = len(actual)
        wrong = (int.from_bytes(actual, "big") ^ int.from_bytes(wanted, "big")).to_bytes(length, "big")
        first, stop, count = length - len(wrong.lstrip(b"\0")), len(wrong.rstrip(b"\0")), length - wrong.count(0)
        span = stop - first
        if count > _FEW_BYTES and is_zero(actual[first:stop]):
            return _Bad(Damage.ZEROED, offset + first, span, "zeros")
        if count <= _FEW_BYTES or count < span * _DENSE:
            bit = ", a single bit" if wrong[first].bit_count() == 1 else ""
            single = f"0x{wanted[first]:02x} became 0x{actual[first]:02x}{bit}"
            return _Bad(Damage.FLIPPED, offset + first, span, single if count == 1 else f"{count} wrong bytes")
        if delta := self._shift_near(offset + first):
            return _Bad(Damage.SHIFTED, offset + first, len(actual) - first, _by(delta), delta)
        return _Bad(Damage.OVERWRITTEN, offset + first, span, "bytes that the writer did not write")

    def _shift_near(self, offset: int) -> int:
        """By how much content around here has moved, told by the next header of this file that lies between blocks; 0 for none."""
        window = bytes(self._data[offset : offset + 2 * BLOCK_BYTES + len(MAGIC)])
        at = window.find(MAGIC)
        while at >= 0:
            header = parse(self._data[offset + at : offset + at + BLOCK_BYTES])
            between_blocks = (offset + at) % BLOCK_BYTES
            if between_blocks and header is not None and header.identity == self._original.own:
                return offset + at - header.n * BLOCK_BYTES
            at = window.find(MAGIC, at + 1)
        return 0

    def _region(self, run: Sequence[_Bad]) -> Region:
        first, last = run[0], run[-1]
        length = last.offset + last.length - first.offset
        source = (first.offset - first.delta) // BLOCK_BYTES
        if first.damage is Damage.SHIFTED and first.delta % BLOCK_BYTES == 0 and source in self._good_blocks:
            text = f"block {source} of the file is there twice, the second time here" + (
                f", what follows {_by(first.delta)}" if len(run) > 1 else ""
            )
            return Region(offset=first.offset, length=length, damage=Damage.DUPLICATED, text=text)
        text = _by(first.delta) if first.damage is Damage.SHIFTED else first.text
        return Region(offset=first.offset, length=length, damage=first.damage, text=text)

    def _tail(self) -> str:
        tail = self._data[self._original.size :]
        if is_zero(tail):
            return "zeros after its end"
        header = parse(tail[:BLOCK_BYTES])
        return (
            f"after its end, block {header.n} of {header.identity}"
            if header
            else "after its end, bytes that the writer did not write there"
        )


def _by(delta: int) -> str:
    return f"moved by {delta:+d} bytes"


def _runs(bad: Sequence[_Bad]) -> Iterator[list[_Bad]]:
    """Neighbours that are damaged in the same way."""
    run: list[_Bad] = []
    for one in bad:
        if run and (run[-1].offset + run[-1].length != one.offset or _kind(run[-1]) != _kind(one)):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _kind(bad: _Bad) -> tuple[Damage, object]:
    return bad.damage, bad.delta if bad.damage is Damage.SHIFTED else bad.text


def _lines(data: memoryview, original: Original, expected: Expected, damage: Damage, regions: Sequence[Region]) -> Iterator[str]:
    name = printable(expected.path)
    if not regions:
        yield f"{name}: {damage.value}: the content is what was expected"
        return
    largest = max(regions, key=lambda region: region.length)
    others = f", and {len(regions) - 1} more places" if len(regions) > 1 else ""
    yield f"{name}: {largest}{others}"
    source = f"{original.own or original.pool}"
    if original.proved:
        yield f"the original was computed again and has the expected hash: {source}"
    elif expected.content_hash:
        yield f"compared with {source}, which has not the expected hash: more is wrong than what follows"
    else:
        yield f"compared with {source}, as its headers say"
    for region in regions[:_REGION_LINES]:
        yield f"  {region}"
    if len(regions) > _REGION_LINES:
        yield f"  and {len(regions) - _REGION_LINES} more"
    shown = [region for region in regions if region.damage in {Damage.FLIPPED, Damage.OVERWRITTEN, Damage.ZEROED}]
    for region in shown[:_HEX_REGIONS]:
        yield from _hex(data, original, region.offset)


def _hex(data: memoryview, original: Original, offset: int) -> Iterator[str]:
    """The row with the first wrong byte and the one after it, both sides, wrong bytes in brackets."""
    start = offset // _HEX_ROW * _HEX_ROW
    for at in (start, start + _HEX_ROW):
        wanted, actual = original.read(at, _HEX_ROW), bytes(data[at : at + _HEX_ROW])
        if wanted and actual:
            yield f"  {at:#010x} expected {_row(wanted, actual)}"
            yield f"  {at:#010x} actual   {_row(actual, wanted)}"


def _row(this: bytes, other: bytes) -> str:
    cells = (f"[{byte:02x}]" if i >= len(other) or byte != other[i] else f" {byte:02x} " for i, byte in enumerate(this))
    return "".join(cells).rstrip()
