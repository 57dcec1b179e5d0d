"""The blobs of one repository on a cluster of nodes: in memory, replicated, and gone when the server ends.

A blob is a *head*, which says how large it is, and where it is longer than ``VALUE_BYTES`` as many *parts* as it takes; a blob is there
when its head is, which is written last and deleted first. What was acknowledged is held by ``ClusterNodes.acks`` owners. So as long as
fewer nodes than that are away (down, split from the others, or not refilled yet), one that has it answers; with more of them away, "not
there" cannot be told from "not reachable", and the answer is an error, never a shorter listing.
"""

from __future__ import annotations

import secrets
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from seatrial.cluster import ClusterError, Item
from seatrial.history.frames import ClusterFrame
from seatrial.targets.embedded.server.clusternodes import ClusterNodes
from seatrial.targets.embedded.server.config import NodeOrder
from seatrial.targets.embedded.server.store import BlobEntry, BlobType, Chunk, ExistingBlob, MissingBlob, NoRoom, StoreStats

VALUE_BYTES = 4 << 20
"""The longest value: the wire between nodes carries 16 MiB, base64 included."""
_HEAD = struct.Struct(">QI16s")
"""Size of the blob, number of its parts, the upload they belong to. Without parts the blob follows."""
_KEY_BYTES = 512
"""What a key takes on a node besides its value, so that many small blobs are bounded too (measured: about 350)."""
_CREATED = "repository"


class Unreachable(OSError):
    """Too few nodes answer to say whether something is there."""


@dataclass(slots=True)
class _Upload:
    """One blob on its way."""

    id: bytes
    size: int = 0
    parts: list[str] = field(default_factory=list)
    """Keys of those that may have been written."""
    reserved: dict[str, int] = field(default_factory=dict)
    """Bytes by node."""


class OpenValues:
    """A blob's values, held for as long as it is open: a delete meanwhile takes nothing from a reader. Threading: one thread."""

    __slots__ = ("_values", "size")

    def __init__(self, size: int, values: list[memoryview]) -> None:
        self.size, self._values = size, values

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        pieces = []
        while offset < end:
            index, start = divmod(offset, VALUE_BYTES)
            piece = self._values[index][start : start + end - offset]
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._values = []


class ClusterStore:
    """``BlobStore`` on ``ClusterNodes``, and ``Nodes``.

    Threading: any thread. ``_lock`` guards the bytes reserved on each node, the bytes stored, and the names that somebody is committing or
    deleting; it is never held across a call to a node. One server speaks to the nodes, so that is all the exclusion that names need.
    """

    def __init__(self, nodes: ClusterNodes, *, quota_bytes: int = 0) -> None:
        self.nodes = nodes
        self._quota = quota_bytes
        self._lock = threading.Condition()
        self._used = {slot.name: 0 for slot in nodes.slots()}
        self._stored = self._arriving = 0
        self._busy: set[str] = set()

    def create(self) -> None:
        self._write(_CREATED, b"1")

    def put(self, blob_type: BlobType, name: str, chunks: Iterable[Chunk]) -> int:
        if self._find(_CREATED) is None:
            raise MissingBlob
        upload = _Upload(secrets.token_bytes(16))
        tried = False
        try:
            inline = self._take(upload, chunks)
            key, head = _head_key(blob_type, name), _HEAD.pack(upload.size, len(upload.parts), upload.id) + inline
            self._reserve(upload, key, len(head))
            with self._alone(key):
                if self._find(key) is not None:
                    raise ExistingBlob
                tried = True
                self._write(key, head)
        finally:
            if not tried:  # else it may be there, whatever is raised, and what it consists of must stay
                self._discard(upload.parts)
            with self._lock:
                self._arriving -= upload.size
                if tried:
                    self._stored += upload.size
                else:
                    for owner, taken in upload.reserved.items():
                        self._used[owner] -= taken
        return upload.size

    def open(self, blob_type: BlobType, name: str) -> OpenValues:
        size, parts, upload, inline = self._head(blob_type, name)
        if not parts:
            return OpenValues(size, [inline])
        values = []
        for index in range(parts):
            value = self._find(_part_key(upload, index))
            if value is None:
                raise OSError(f"part {index + 1} of {parts} of {blob_type.value} {name} is lost")
            values.append(memoryview(value))
        return OpenValues(size, values)

    def size(self, blob_type: BlobType, name: str) -> int:
        return self._head(blob_type, name)[0]

    def list(self, blob_type: BlobType) -> list[BlobEntry]:
        """All heads that any node has, each as a read finds it. ``Unreachable`` where so many nodes are away that one may be hidden."""
        if self._find(_CREATED) is None:
            raise MissingBlob
        prefix = _head_key(blob_type, "")
        keys: set[str] = set()
        away = 0
        for slot in self.nodes.slots():
            if slot.reachable is not None:
                keys.update(key for key in slot.reachable.local_keys() if key.startswith(prefix))
            away += not slot.whole
        if away >= self.nodes.acks:
            raise Unreachable(f"{away} of {len(self._used)} nodes are away: a listing would not be complete")
        heads = ((key, self._find(key)) for key in keys)
        return [BlobEntry(key.removeprefix(prefix), _HEAD.unpack_from(head)[0]) for key, head in heads if head is not None]

    def delete(self, blob_type: BlobType, name: str) -> None:
        key = _head_key(blob_type, name)
        with self._alone(key):
            head = self._find(key)
            if head is None:
                raise MissingBlob
            self._remove(key)
            size, parts, upload = _HEAD.unpack_from(head)
            part_keys = [_part_key(upload, index) for index in range(parts)]
            self._discard(part_keys)
            with self._lock:
                self._stored -= size
                self._give_back(key, len(head))
                for index, part in enumerate(part_keys):
                    self._give_back(part, min(VALUE_BYTES, size - index * VALUE_BYTES))

    def stats(self) -> StoreStats:
        return StoreStats(stored_bytes=self._stored, quota_bytes=self._quota)

    def frame(self) -> ClusterFrame:
        with self._lock:
            used = dict(self._used)
        return self.nodes.frame(used)

    def order(self, name: str, wanted: NodeOrder) -> None:
        self.nodes.order(name, wanted)

    def close(self) -> None:
        self.nodes.close()

    # -- values

    def _head(self, blob_type: BlobType, name: str) -> tuple[int, int, bytes, memoryview]:
        value = self._find(_head_key(blob_type, name))
        if value is None:
            raise MissingBlob
        size, parts, upload = _HEAD.unpack_from(value)
        return size, parts, upload, memoryview(value)[_HEAD.size :]

    def _find(self, key: str) -> bytes | None:
        """The newest value that the owners have, None where it certainly is not there. Raises ``Unreachable``."""
        found: Item | None = None
        deleted = -1
        answers, lacking = 0, False
        for owner in self.nodes.owners(key):
            slot = self.nodes.slot(owner)
            if slot.reachable is None:
                continue
            item, tomb = slot.reachable.local_entry(key)
            if item is None and tomb is None:
                lacking = True
                if not slot.whole:
                    continue  # it may have had it, and has yet to be refilled
            answers += 1
            if tomb is not None:
                deleted = max(deleted, tomb.version)
            if item is not None and (found is None or item.version > found.version):
                found = item
            if answers >= self.nodes.answers and found is not None:
                break
        if found is not None and found.version <= deleted:
            found = None
        # A miss is sure once so many have answered that one of them would have it.
        needed = self.nodes.answers if found else max(self.nodes.answers, self.nodes.config.replication - self.nodes.acks + 1)
        if answers < needed:
            raise Unreachable(f"{answers} of {self.nodes.config.replication} owners answer, and it takes {needed}")
        if found is None:
            return None
        if lacking:
            with self.nodes.coordinator(key) as node:
                node.get(key)  # its read repair
        value: bytes = found.value
        return value

    def _write(self, key: str, value: bytes) -> None:
        try:
            with self.nodes.coordinator(key) as node:
                node.put(key, value)
        except ClusterError as error:
            raise OSError(f"the cluster did not acknowledge a write: {error}") from error

    def _remove(self, key: str) -> None:
        """Delete so that it stays deleted: as many owners know of it as acknowledge a write."""
        try:
            with self.nodes.coordinator(key) as node:
                node.remove(key)
        except ClusterError as error:
            raise OSError(f"the cluster did not take a delete: {error}") from error
        nodes = [self.nodes.slot(owner).reachable for owner in self.nodes.owners(key)]
        entries = [node.local_entry(key) for node in nodes if node is not None]
        if sum(tomb is not None for _, tomb in entries) < self.nodes.acks:
            raise Unreachable("too few nodes took a delete")

    def _take(self, upload: _Upload, chunks: Iterable[Chunk]) -> bytes:
        """Write the parts as they come; returns a blob that goes into its head instead."""
        first = b""
        for value in _values(chunks):
            if not upload.parts and not first and len(value) <= VALUE_BYTES - _HEAD.size:
                first = value  # the only one: all but the last are longer
                self._arrive(upload, len(value))
                continue
            self._arrive(upload, len(value))
            key = _part_key(upload.id, len(upload.parts))
            self._reserve(upload, key, len(value))
            upload.parts.append(key)
            self._write(key, value)
        return first

    def _discard(self, keys: Iterable[str]) -> None:
        """Parts that no head names any more. Whom a delete does not reach keeps them: garbage that nobody can see."""
        for key in keys:
            try:
                with self.nodes.coordinator(key) as node:
                    node.remove(key)
            except (ClusterError, OSError):
                continue

    # -- names and room

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Nobody else commits or deletes that key meanwhile."""
        with self._lock:
            self._lock.wait_for(lambda: key not in self._busy)
            self._busy.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(key)
                self._lock.notify_all()

    def _arrive(self, upload: _Upload, size: int) -> None:
        with self._lock:
            if self._quota and self._stored + self._arriving + size > self._quota:
                raise NoRoom(f"the quota of {self._quota} bytes is used up")
            self._arriving += size
            upload.size += size

    def _reserve(self, upload: _Upload, key: str, size: int) -> None:
        limit, owners = self.nodes.config.node_memory_bytes, self.nodes.owners(key)
        taken = size + _KEY_BYTES
        with self._lock:
            full = next((owner for owner in owners if self._used[owner] + taken > limit), None)
            if full is not None:
                raise NoRoom(f"the memory of node {full} is full: {limit} bytes")
            for owner in owners:
                self._used[owner] += taken
                upload.reserved[owner] = upload.reserved.get(owner, 0) + taken

    def _give_back(self, key: str, size: int) -> None:
        """With the lock."""
        for owner in self.nodes.owners(key):
            self._used[owner] -= size + _KEY_BYTES


def _head_key(blob_type: BlobType, name: str) -> str:
    return f"blob/{blob_type.value}/{name}"


def _part_key(upload: bytes, index: int) -> str:
    return f"part/{upload.hex()}/{index}"


def _values(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The same bytes in values of ``VALUE_BYTES``, the last one shorter; none for nothing."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        while len(gathered) >= VALUE_BYTES:
            yield bytes(gathered[:VALUE_BYTES])
            del gathered[:VALUE_BYTES]
    if gathered:
        yield bytes(gathered)
