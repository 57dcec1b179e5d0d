"""What a backup server needs of a blob store, as checks that raise ``AssertionError``. ``CHECKS`` by name; each takes a store of its own,
made and empty, without a quota unless it says otherwise.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial

from seatrial.targets.embedded.server.store import BlobEntry, BlobStore, BlobType, Chunk, ExistingBlob, MissingBlob, NoRoom

MIB = 1 << 20
VALUE = 4 * MIB
"""Around it a store on a cluster splits."""
LONG = 9 * MIB + 17
QUOTA = 100_000
"""Of the store that ``a_full_store_refuses`` is given."""

Check = Callable[[BlobStore], None]


def blob(number: int, size: int = 1000) -> tuple[str, bytes]:
    """Name and content; no two numbers give the same."""
    seed = hashlib.sha256(str(number).encode()).digest()
    data = (seed * (size // len(seed) + 1))[:size]
    return hashlib.sha256(seed + str(size).encode()).hexdigest(), data


def pieces(data: bytes, size: int = 64 * 1024) -> Iterator[Chunk]:
    """As the wire gives them: one buffer that is used again."""
    buffer = bytearray()
    for start in range(0, len(data), size):
        buffer[:] = data[start : start + size]
        yield memoryview(bytes(buffer))


def whole(store: BlobStore, blob_type: BlobType, name: str) -> bytes:
    """What is there, read to its end."""
    opened = store.open(blob_type, name)
    try:
        read = b""
        while more := opened.read(len(read), 1_000_003):
            read += more
        assert len(read) == opened.size, "a blob is shorter than it says"
        return read
    finally:
        opened.close()


def listed(store: BlobStore, blob_type: BlobType) -> set[tuple[str, int]]:
    entries: list[BlobEntry] = store.list(blob_type)
    assert len({entry.name for entry in entries}) == len(entries), "a name is listed twice"
    return {(entry.name, entry.size) for entry in entries}


def refuses(error: type[Exception], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except error:
        return
    raise AssertionError(what)


def what_was_acknowledged_is_there_whole(store: BlobStore) -> None:
    sizes = (0, 1, 4095, 100_000, VALUE - 29, VALUE - 28, VALUE - 27, VALUE - 1, VALUE, VALUE + 1, 2 * VALUE, LONG)
    for number, size in enumerate(sizes):
        name, data = blob(number, size)
        assert store.put(BlobType.DATA, name, pieces(data)) == size
    for number, size in enumerate(sizes):
        name, data = blob(number, size)
        assert store.size(BlobType.DATA, name) == size
        assert whole(store, BlobType.DATA, name) == data, f"{size} bytes came back otherwise"
    assert listed(store, BlobType.DATA) == {(blob(number, size)[0], size) for number, size in enumerate(sizes)}


def any_part_can_be_read(store: BlobStore) -> None:
    name, data = blob(1, LONG)
    store.put(BlobType.DATA, name, pieces(data))
    opened = store.open(BlobType.DATA, name)
    for offset, length in itertools.product((0, 1, VALUE - 1, VALUE, VALUE + 1, 2 * VALUE - 3, LONG - 1, LONG), (0, 1, 7, VALUE, LONG)):
        assert opened.read(offset, length) == data[offset : offset + length], f"{length} bytes from {offset}"
    opened.close()
    opened.close()


def a_blob_is_never_replaced(store: BlobStore) -> None:
    name, data = blob(1)
    store.put(BlobType.INDEX, name, pieces(data))
    refuses(ExistingBlob, lambda: store.put(BlobType.INDEX, name, pieces(b"other")), "a blob was replaced")
    assert whole(store, BlobType.INDEX, name) == data
    store.put(BlobType.CONFIG, "", pieces(b"config"))
    refuses(ExistingBlob, lambda: store.put(BlobType.CONFIG, "", pieces(b"other")), "the config was replaced")
    assert whole(store, BlobType.CONFIG, "") == b"config"


def of_several_uploads_of_one_name_one_succeeds(store: BlobStore) -> None:
    name, data = blob(1, 200_000)
    barrier, outcomes = threading.Barrier(6), list[str]()

    def upload() -> None:
        barrier.wait()
        try:
            store.put(BlobType.DATA, name, pieces(data))
            outcomes.append("stored")
        except ExistingBlob:
            outcomes.append("existing")

    threads = [threading.Thread(target=upload) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["existing"] * 5 + ["stored"]
    assert whole(store, BlobType.DATA, name) == data
    assert store.stats().stored_bytes == len(data)


def an_upload_that_breaks_off_leaves_nothing(store: BlobStore) -> None:
    name, data = blob(1, LONG)

    class Broken(Exception):
        pass

    def breaking() -> Iterator[Chunk]:
        yield from pieces(data)
        raise Broken

    refuses(Broken, lambda: store.put(BlobType.DATA, name, breaking()), "the upload's own error was lost")
    refuses(MissingBlob, lambda: store.open(BlobType.DATA, name), "a broken upload can be read")
    assert listed(store, BlobType.DATA) == set()
    assert store.stats().stored_bytes == 0
    assert store.put(BlobType.DATA, name, pieces(data)) == LONG
    assert whole(store, BlobType.DATA, name) == data


def nothing_is_seen_of_an_upload_before_its_end(store: BlobStore) -> None:
    name, data = blob(1, LONG)

    def watching() -> Iterator[Chunk]:
        for piece in pieces(data, MIB):
            yield piece
            refuses(MissingBlob, lambda: store.size(BlobType.DATA, name), "half a blob can be seen")
            assert listed(store, BlobType.DATA) == set(), "half a blob is listed"

    store.put(BlobType.DATA, name, watching())
    assert listed(store, BlobType.DATA) == {(name, LONG)}


def what_is_not_there_is_missing(store: BlobStore) -> None:
    name, _ = blob(1)
    refuses(MissingBlob, lambda: store.open(BlobType.DATA, name), "a blob out of nothing")
    refuses(MissingBlob, lambda: store.size(BlobType.DATA, name), "a size out of nothing")
    refuses(MissingBlob, lambda: store.delete(BlobType.DATA, name), "nothing was deleted")
    assert store.list(BlobType.DATA) == []


def what_was_deleted_is_gone_and_may_come_again(store: BlobStore) -> None:
    for size in (1000, LONG):
        name, data = blob(1, size)
        for _ in range(3):
            store.put(BlobType.SNAPSHOTS, name, pieces(data))
            store.delete(BlobType.SNAPSHOTS, name)
            refuses(MissingBlob, partial(store.open, BlobType.SNAPSHOTS, name), "a deleted blob can be read")
            refuses(MissingBlob, partial(store.delete, BlobType.SNAPSHOTS, name), "deleted twice")
            assert listed(store, BlobType.SNAPSHOTS) == set()
        store.put(BlobType.SNAPSHOTS, name, pieces(data))
        assert whole(store, BlobType.SNAPSHOTS, name) == data
        store.delete(BlobType.SNAPSHOTS, name)
    assert store.stats().stored_bytes == 0


def who_reads_is_not_cut_off_by_a_delete(store: BlobStore) -> None:
    name, data = blob(1, LONG)
    store.put(BlobType.DATA, name, pieces(data))
    opened = store.open(BlobType.DATA, name)
    head = opened.read(0, 100)
    store.delete(BlobType.DATA, name)
    assert head + opened.read(100, LONG) == data
    opened.close()


def a_listing_is_complete_and_of_one_type(store: BlobStore) -> None:
    wanted = {blob_type: set[tuple[str, int]]() for blob_type in (BlobType.DATA, BlobType.LOCKS, BlobType.SNAPSHOTS)}
    for number in range(300):
        blob_type = list(wanted)[number % 3]
        name, data = blob(number, number)
        store.put(blob_type, name, pieces(data))
        wanted[blob_type].add((name, number))
    for number in range(0, 300, 7):
        blob_type = list(wanted)[number % 3]
        store.delete(blob_type, blob(number, number)[0])
        wanted[blob_type].discard((blob(number, number)[0], number))
    assert {blob_type: listed(store, blob_type) for blob_type in wanted} == wanted
    assert store.list(BlobType.KEYS) == []
    assert store.stats().stored_bytes == sum(size for entries in wanted.values() for _, size in entries)


def a_listing_while_others_write_and_delete_has_all_that_stays(store: BlobStore) -> None:
    staying = {blob(number)[0] for number in range(40)}
    for number in range(40):
        store.put(BlobType.DATA, *_upload(number))
    over = threading.Event()

    def churn(first: int) -> None:
        for number in itertools.count(first, 2):
            if over.is_set():
                return
            name, chunks = _upload(number)
            store.put(BlobType.DATA, name, chunks)
            store.delete(BlobType.DATA, name)

    threads = [threading.Thread(target=churn, args=(first,)) for first in (1000, 1001)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert staying <= {name for name, _ in listed(store, BlobType.DATA)}, "a listing lacks a blob that was there all the time"
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert {name for name, _ in listed(store, BlobType.DATA)} == staying


def _upload(number: int) -> tuple[str, Iterator[Chunk]]:
    name, data = blob(number)
    return name, pieces(data)


def a_full_store_refuses_and_keeps_what_it_has(store: BlobStore) -> None:
    """Of a store with a quota of ``QUOTA``."""
    first, data = blob(1, QUOTA * 3 // 4)
    store.put(BlobType.DATA, first, pieces(data))
    second, more = blob(2, QUOTA // 2)
    refuses(NoRoom, lambda: store.put(BlobType.DATA, second, pieces(more)), "more than the quota was taken")
    refuses(MissingBlob, lambda: store.open(BlobType.DATA, second), "what was refused is there")
    assert whole(store, BlobType.DATA, first) == data
    assert store.stats().stored_bytes == len(data)
    store.delete(BlobType.DATA, first)
    store.put(BlobType.DATA, second, pieces(more))
    assert whole(store, BlobType.DATA, second) == more


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        what_was_acknowledged_is_there_whole,
        any_part_can_be_read,
        a_blob_is_never_replaced,
        of_several_uploads_of_one_name_one_succeeds,
        an_upload_that_breaks_off_leaves_nothing,
        nothing_is_seen_of_an_upload_before_its_end,
        what_is_not_there_is_missing,
        what_was_deleted_is_gone_and_may_come_again,
        who_reads_is_not_cut_off_by_a_delete,
        a_listing_is_complete_and_of_one_type,
        a_listing_while_others_write_and_delete_has_all_that_stays,
        a_full_store_refuses_and_keeps_what_it_has,
    )
}
