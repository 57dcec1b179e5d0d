"""An open repository: files and blobs, unsealed and verified. What is in them is the business of the modules above."""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from seatrial.context import Context
from seatrial.targets.embedded.repository import gojson, keys, polynomial
from seatrial.targets.embedded.repository.codec import Codec
from seatrial.targets.embedded.repository.crypto import SealKey, sha256
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError, corrupt
from seatrial.targets.embedded.repository.index import IndexPool, IndexView, Location
from seatrial.targets.embedded.repository.packs import Blob
from seatrial.targets.embedded.repository.store import Bytes, Entry, FileCache, Kind, Store, is_name, label

VERSION = 2
"""The format we write new repositories in; 1 is read and written too."""
_ZSTD = b"\x02"
_FILE_BYTES_MAX = 1 << 30
"""Of the JSON in one index or snapshot file."""
RUN_BYTES, GAP_BYTES = 4 << 20, 64 << 10
"""Blobs of one pack are fetched together while the part is no longer than this and skips no more than that."""


class RepositoryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The ``config`` file."""

    version: int
    id: str
    chunker_polynomial: str


_read_config = gojson.reader(RepositoryConfig)


def initialise(ctx: Context, store: Store, password: str, *, version: int = VERSION) -> RepositoryConfig:
    """Make a new repository. Keys first, config last: until the config is there it is none, and may be made again."""
    store.create(ctx)
    if store.size(ctx, Kind.CONFIG, "") is not None:
        raise RepositoryError("there is a repository already", cause=Cause.REJECTED, remedy="open it, or choose an empty place")
    for left_over in store.entries(ctx, Kind.KEY):
        # Of an initialisation that was cut short: it would open with the same password and hold another master key.
        store.delete(ctx, Kind.KEY, left_over.name)
    master = SealKey.generate()
    raw = keys.make_key_file(master, password, ctx.clock)
    store.put(ctx, Kind.KEY, sha256(raw), raw)
    config = RepositoryConfig(version=version, id=secrets.token_hex(32), chunker_polynomial=f"{polynomial.generate():x}")
    store.put(ctx, Kind.CONFIG, "", master.seal(gojson.encode(config)))
    return config


class Repository:
    """Files and blobs of one repository, through one store.

    Owns its codec, which ``rest`` drops between operations, and its view of the index. Threading: one thread at a time.
    """

    def __init__(self, store: Store, key: SealKey, config: RepositoryConfig) -> None:
        self.store, self.key, self.config = store, key, config
        self.index = IndexView(IndexPool())
        self.cache: FileCache | None = None
        self._codec: Codec | None = None

    @classmethod
    def open(cls, ctx: Context, store: Store, password: str) -> Repository:
        """Unlock the master key and read the config. WRONG_PASSWORD, MISSING, CORRUPT, UNSUPPORTED."""
        key = keys.find_master_key(ctx, store, password)
        try:
            config: RepositoryConfig = _read_config(key.open(store.get(ctx, Kind.CONFIG, "")), "config")
        except RepositoryError as error:
            error.where = error.where or "config"
            raise
        if config.version not in (1, 2):
            raise RepositoryError(f"repository format {config.version}; 1 and 2 are known", cause=Cause.UNSUPPORTED)
        if not is_name(config.id):
            raise corrupt(f"{config.id!r} is no repository id", "config")
        return cls(store, key, config)

    @property
    def compresses(self) -> bool:
        return self.config.version > 1

    @property
    def codec(self) -> Codec:
        if self._codec is None:
            self._codec = Codec()
        return self._codec

    def rest(self) -> None:
        """Give back what is only needed while working."""
        self._codec = None

    # --- whole files

    def entries(self, ctx: Context, kind: Kind) -> Sequence[Entry]:
        """All files of a kind; a place that does not exist yet counts as empty."""
        try:
            return self.store.entries(ctx, kind)
        except RepositoryError as error:
            if error.cause is Cause.MISSING:
                return ()
            raise

    def load(self, ctx: Context, kind: Kind, name: str) -> bytes:
        """The JSON of an index, snapshot or lock file, verified against its name. MISSING, CORRUPT."""
        where = label(kind, name)
        sealed = self._load_sealed(ctx, kind, name, where)
        try:
            plain = self.key.open(sealed)
            if plain[:1] == _ZSTD and self.compresses:
                return self.codec.decompress(memoryview(plain)[1:], _FILE_BYTES_MAX)
        except RepositoryError as error:
            error.where = where
            raise
        if plain[:1] not in (b"{", b"["):
            raise corrupt("neither JSON nor compressed JSON", where)
        return plain

    def _load_sealed(self, ctx: Context, kind: Kind, name: str, where: str) -> bytes:
        cached = self.cache if kind in (Kind.INDEX, Kind.SNAPSHOT) else None
        if cached is not None:
            copy = cached.read(kind, name)
            if copy is not None:
                if sha256(copy) == name:
                    return copy
                cached.discard(kind, name)
        sealed = self.store.get(ctx, kind, name)
        if sha256(sealed) != name:
            raise corrupt(f"its {len(sealed)} bytes are not what its name says", where)
        if cached is not None:
            cached.write(kind, name, sealed)
        return sealed

    def seal_file(self, plain: bytes) -> tuple[str, bytes]:
        """Name and content of a new index, snapshot or lock file with this JSON."""
        sealed = self.key.seal(_ZSTD + self.codec.compress(plain) if self.compresses else plain)
        return sha256(sealed), sealed

    def save(self, ctx: Context, kind: Kind, plain: bytes) -> str:
        """Write a new file; returns its name."""
        name, sealed = self.seal_file(plain)
        self.store.put(ctx, kind, name, sealed)
        return name

    # --- index and blobs

    def refresh_index(self, ctx: Context, listed: Sequence[Entry] | None = None) -> None:
        """See the index files that are there now (or those listed). Under a lock, so that none of them goes away meanwhile."""
        entries = self.entries(ctx, Kind.INDEX) if listed is None else listed
        self.index.sync(entries, lambda name: self.load_listed(ctx, Kind.INDEX, name))

    def load_listed(self, ctx: Context, kind: Kind, name: str) -> bytes:
        """As ``load``, of a file that has to be there: its absence is GONE."""
        try:
            return self.load(ctx, kind, name)
        except RepositoryError as error:
            raise _missing_is_damage(error, "is listed, but is not there", label(kind, name)) from error

    def open_blob(self, pack: str, blob: Blob, sealed: Bytes) -> bytes:
        """The plaintext of a blob, decrypted, decompressed and verified against its id; CORRUPT."""
        try:
            plain = self.key.open(sealed)
            if blob.uncompressed:
                plain = self.codec.decompress(plain, blob.uncompressed)
            if hashlib.sha256(plain).digest() != blob.id:
                raise corrupt("the plaintext is not what its id says")
        except RepositoryError as error:
            error.where = f"{label(Kind.PACK, pack)} {blob.type.word} blob {blob.id.hex()}"
            error.pack, error.blob = pack, blob.id
            raise
        return plain

    def read_blobs(self, ctx: Context, locations: Iterable[Location]) -> Iterator[tuple[Blob, bytes, memoryview]]:
        """(blob, plaintext, sealed) for each location, pack by pack in the order of the packs; neighbours come with one request.

        Holds one part of ``RUN_BYTES`` (or one blob, if that is longer) at a time.
        """
        for pack, blobs in _by_pack(locations).items():
            for run in _runs(blobs):
                yield from self._read_run(ctx, pack, run)

    def _read_run(self, ctx: Context, pack: str, run: list[Blob]) -> Iterator[tuple[Blob, bytes, memoryview]]:
        start, end = run[0].offset, max(blob.offset + blob.length for blob in run)
        part = memoryview(self._get_pack(ctx, pack, start, end - start))
        for blob in run:
            ctx.check()
            sealed = part[blob.offset - start : blob.offset - start + blob.length]
            yield blob, self.open_blob(pack, blob, sealed), sealed

    def read_trees(self, ctx: Context, locations: Iterable[Location]) -> Iterator[tuple[Blob, bytes]]:
        """(blob, plaintext) for each location. Packs of trees are kept whole in the cache, where there is one."""
        if self.cache is None or not self.cache.holds_packs:
            for blob, plain, _ in self.read_blobs(ctx, locations):
                yield blob, plain
            return
        for pack, blobs in _by_pack(locations).items():
            missed: list[Blob] = []
            for blob in blobs:
                plain_or_none = self._cached_blob(self.cache, pack, blob)
                if plain_or_none is None:
                    missed.append(blob)
                else:
                    yield blob, plain_or_none
            if missed:
                yield from self._fetch_trees(ctx, self.cache, pack, missed)

    def _cached_blob(self, cache: FileCache, pack: str, blob: Blob) -> bytes | None:
        sealed = cache.read(Kind.PACK, pack, offset=blob.offset, length=blob.length)
        if sealed is None:
            return None
        try:
            return self.open_blob(pack, blob, sealed)
        except RepositoryError:
            cache.discard(Kind.PACK, pack)  # damaged here; the server's may be sound
            return None

    def _fetch_trees(self, ctx: Context, cache: FileCache, pack: str, blobs: list[Blob]) -> Iterator[tuple[Blob, bytes]]:
        whole = memoryview(self._get_pack(ctx, pack))
        if sha256(whole) == pack:
            # Otherwise it is damaged somewhere; what we need of it may be sound all the same.
            cache.write(Kind.PACK, pack, whole)
        for blob in blobs:
            yield blob, self.open_blob(pack, blob, whole[blob.offset : blob.offset + blob.length])

    def _get_pack(self, ctx: Context, pack: str, offset: int = 0, length: int | None = None) -> bytes:
        try:
            return self.store.get(ctx, Kind.PACK, pack, offset=offset, length=length)
        except RepositoryError as error:
            damage = _missing_is_damage(error, "the index names this pack, but it is not there", label(Kind.PACK, pack))
            damage.pack = pack
            raise damage from error


def _missing_is_damage(error: RepositoryError, what: str, where: str) -> RepositoryError:
    """A file that something else refers to must be there: its absence is damage, not a wrong request."""
    return RepositoryError(what, cause=Cause.GONE, where=where) if error.cause is Cause.MISSING else error


def _by_pack(locations: Iterable[Location]) -> dict[str, list[Blob]]:
    """Blobs by pack, in ascending offset, each once."""
    packs: defaultdict[str, set[Blob]] = defaultdict(set)
    for location in locations:
        packs[location.pack].add(location.blob)
    return {pack: sorted(blobs, key=lambda blob: blob.offset) for pack, blobs in packs.items()}


def _runs(blobs: list[Blob]) -> Iterator[list[Blob]]:
    """Neighbours that are worth one request."""
    run: list[Blob] = []
    end = 0
    for blob in blobs:
        if run and (blob.offset - end > GAP_BYTES or blob.offset + blob.length - run[0].offset > RUN_BYTES):
            yield run
            run = []
        run.append(blob)
        end = max(end, blob.offset + blob.length)
    if run:
        yield run
