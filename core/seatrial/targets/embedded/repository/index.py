"""The index: which pack holds which blob, in a form that a thousand clients of one process can share.

An index file never changes and its name is its hash, so its parsed form is the same for everybody. ``IndexPool`` keeps one copy per
process; what differs between clients is only *which* files each has seen, and ``IndexView`` keeps that as one bit per file.
Memory: about 200 bytes per blob and process, one bit per file and client.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from seatrial.targets.embedded.repository import gojson
from seatrial.targets.embedded.repository.errors import corrupt
from seatrial.targets.embedded.repository.packs import Blob, BlobType
from seatrial.targets.embedded.repository.store import Entry, is_name

BLOBS_PER_FILE_MAX = 50_000
"""More than this and a new index file is begun; the blobs of one pack stay together."""
_TYPES = {kind.word: kind for kind in BlobType}


class _BlobRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    type: str
    offset: int
    length: int
    uncompressed_length: int = 0


class _PackRecord(msgspec.Struct, kw_only=True):
    id: str
    blobs: list[_BlobRecord]


class _IndexRecord(msgspec.Struct, kw_only=True):
    packs: list[_PackRecord]


_read = gojson.reader(_IndexRecord)


class PackBlobs(NamedTuple):
    """One pack as an index names it."""

    name: str
    blobs: list[Blob]


class Location(NamedTuple):
    """Where a blob is."""

    pack: str
    blob: Blob


def encode_index(packs: Iterable[PackBlobs]) -> bytes:
    """The JSON of an index file."""
    record = _IndexRecord(packs=[_PackRecord(id=pack.name, blobs=[_record(blob) for blob in pack.blobs]) for pack in packs])
    return gojson.encode(record) + b"\n"


def _record(blob: Blob) -> _BlobRecord:
    return _BlobRecord(id=blob.id.hex(), type=blob.type.word, offset=blob.offset, length=blob.length, uncompressed_length=blob.uncompressed)


def decode_index(raw: bytes, where: str) -> list[PackBlobs]:
    """The packs that an index file names; CORRUPT where it cannot be one."""
    record: _IndexRecord = _read(raw, where)
    return [PackBlobs(pack.id, [_blob(blob, where) for blob in pack.blobs]) for pack in record.packs if _checked(pack.id, where)]


def _checked(name: str, where: str) -> bool:
    if not is_name(name):
        raise corrupt(f"{name!r} names no pack or blob", where)
    return True


def _blob(record: _BlobRecord, where: str) -> Blob:
    _checked(record.id, where)
    kind = _TYPES.get(record.type)
    if kind is None or not (0 <= record.offset < 1 << 32 and 0 < record.length < 1 << 32 and 0 <= record.uncompressed_length < 1 << 32):
        raise corrupt(f"an impossible entry for blob {record.id[:16]}", where)
    return Blob(kind, bytes.fromhex(record.id), record.offset, record.length, record.uncompressed_length)


class _File:
    """One index file, column by column."""

    __slots__ = ("ids", "lengths", "name", "offsets", "pack_of", "packs", "size", "types", "uncompressed", "users")

    def __init__(self, name: str, size: int, packs: Sequence[PackBlobs]) -> None:
        self.name, self.size, self.users = name, size, 0
        self.packs = [pack.name for pack in packs]
        rows = [(number, blob) for number, pack in enumerate(packs) for blob in pack.blobs]
        self.pack_of = array("I", (number for number, _ in rows))
        self.types = bytes(blob.type for _, blob in rows)
        self.ids = [blob.id for _, blob in rows]
        self.offsets = array("I", (blob.offset for _, blob in rows))
        self.lengths = array("I", (blob.length for _, blob in rows))
        self.uncompressed = array("I", (blob.uncompressed for _, blob in rows))

    def blob(self, row: int) -> Blob:
        return Blob(BlobType(self.types[row]), self.ids[row], self.offsets[row], self.lengths[row], self.uncompressed[row])


_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1
_Places = dict[bytes, "int | tuple[int, ...]"]


class IndexPool:
    """All index files that anybody in this process knows of one repository.

    A place is ``slot << 32 | row``; a blob that several files name has a tuple of places.
    Threading: any thread. ``_lock`` guards every change; ``find`` reads without it, which is safe because a place is replaced whole and
    a slot that one's own view holds is not given back meanwhile.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: list[_File | None] = []
        self._free: list[int] = []
        self._slots: dict[str, int] = {}
        self._places: tuple[_Places, _Places] = ({}, {})

    def hold(self, name: str, size: int) -> int | None:
        """The slot of a known file, held for one more user; None where it is not known in this size."""
        with self._lock:
            slot = self._slots.get(name)
            file = None if slot is None else self._files[slot]
            if file is None or file.size != size:
                return None
            file.users += 1
            return slot

    def add(self, name: str, size: int, packs: Sequence[PackBlobs]) -> int:
        """Make a file known and hold it; where somebody else was faster, hold theirs."""
        held = self.hold(name, size)
        if held is not None:
            return held
        file = _File(name, size, packs)
        with self._lock:
            slot = self._slots.get(name)
            if slot is None:
                slot = self._insert(file)
            known = self._files[slot]
            assert known is not None  # noqa: S101 - a slot in _slots has its file
            known.users += 1
            return slot

    def _insert(self, file: _File) -> int:
        if self._free:
            slot = self._free.pop()
            self._files[slot] = file
        else:
            slot = len(self._files)
            self._files.append(file)
        self._slots[file.name] = slot
        for row, blob_id in enumerate(file.ids):
            places, place = self._places[file.types[row]], slot << _ROW_BITS | row
            known = places.get(blob_id)
            if known is None:
                places[blob_id] = place
            else:
                places[blob_id] = (*(known if isinstance(known, tuple) else (known,)), place)
        return slot

    def release(self, slots: Iterable[int]) -> None:
        """Give files back; one that nobody holds is forgotten."""
        with self._lock:
            for slot in slots:
                file = self._files[slot]
                if file is not None:
                    file.users -= 1
                    if file.users == 0:
                        self._forget(slot, file)

    def _forget(self, slot: int, file: _File) -> None:
        for row, blob_id in enumerate(file.ids):
            places = self._places[file.types[row]]
            known = places.get(blob_id, ())
            rest = tuple(place for place in (known if isinstance(known, tuple) else (known,)) if place >> _ROW_BITS != slot)
            # In one step: whoever holds another file with this blob may be looking for it.
            if rest:
                places[blob_id] = rest if len(rest) > 1 else rest[0]
            else:
                places.pop(blob_id, None)
        del self._slots[file.name]
        self._files[slot] = None
        self._free.append(slot)

    def slot_of(self, name: str) -> int | None:
        """The slot of a file, not held."""
        return self._slots.get(name)

    def find(self, kind: BlobType, blob_id: bytes, holds: Callable[[int], bool]) -> Location | None:
        """Where a blob is according to the files that ``holds`` says one holds."""
        known = self._places[kind].get(blob_id)
        if known is None:
            return None
        for place in known if isinstance(known, tuple) else (known,):
            slot = place >> _ROW_BITS
            if holds(slot):
                file = self._files[slot]
                assert file is not None  # noqa: S101 - held
                row = place & _ROW_MASK
                return Location(file.packs[file.pack_of[row]], file.blob(row))
        return None

    def packs(self, slot: int) -> list[PackBlobs]:
        """The packs that a held file names."""
        file = self._files[slot]
        assert file is not None  # noqa: S101 - held
        packs = [PackBlobs(name, []) for name in file.packs]
        for row, number in enumerate(file.pack_of):
            packs[number].blobs.append(file.blob(row))
        return packs

    def __len__(self) -> int:
        """Files known at this moment."""
        return len(self._slots)


class IndexView:
    """The index as one client has seen it. Threading: one thread at a time."""

    def __init__(self, pool: IndexPool) -> None:
        self._pool = pool
        self._held = bytearray()
        self._cold = False

    def sync(self, listed: Iterable[Entry], load: Callable[[str], bytes]) -> None:
        """See exactly the files listed. ``load`` gives the JSON of a file that neither we nor, unless cold, this process knows."""
        wanted = bytearray(len(self._held))
        for entry in listed:
            slot = self._pool.slot_of(entry.name)
            if slot is None or not self._holds(slot):
                slot = None if self._cold else self._pool.hold(entry.name, entry.size)
                if slot is None:
                    slot = self._pool.add(entry.name, entry.size, decode_index(load(entry.name), f"index/{entry.name}"))
                _set(self._held, slot)
            _set(wanted, slot)
        unwanted = [slot for slot in _bits(self._held) if not (slot >> 3 < len(wanted) and wanted[slot >> 3] >> (slot & 7) & 1)]
        for slot in unwanted:
            self._held[slot >> 3] &= ~(1 << (slot & 7))
        self._pool.release(unwanted)
        self._cold = False

    @property
    def cold(self) -> bool:
        """Whether the next ``sync`` loads every file."""
        return self._cold

    def find(self, kind: BlobType, blob_id: bytes) -> Location | None:
        """Where a blob is; None where no file seen names it."""
        return self._pool.find(kind, blob_id, self._holds)

    def packs(self) -> dict[str, list[Blob]]:
        """Every pack that a file seen names, with its blobs by offset. Files that name the same pack are taken together."""
        merged: dict[str, set[Blob]] = {}
        for slot in _bits(self._held):
            for pack in self._pool.packs(slot):
                merged.setdefault(pack.name, set()).update(pack.blobs)
        return {name: sorted(blobs, key=lambda blob: blob.offset) for name, blobs in merged.items()}

    def clear(self) -> None:
        """Forget everything; the next ``sync`` loads every file anew, even those that others in this process know."""
        self._pool.release(list(_bits(self._held)))
        self._held, self._cold = bytearray(), True

    def _holds(self, slot: int) -> bool:
        byte = slot >> 3
        return byte < len(self._held) and bool(self._held[byte] >> (slot & 7) & 1)


def _set(bits: bytearray, slot: int) -> None:
    missing = (slot >> 3) + 1 - len(bits)
    if missing > 0:
        bits.extend(bytes(missing))
    bits[slot >> 3] |= 1 << (slot & 7)


def _bits(bits: bytearray) -> Iterator[int]:
    return (number * 8 + bit for number, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1)
