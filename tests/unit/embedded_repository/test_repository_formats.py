"""The format's small parts, each against what the format says and against itself."""

from __future__ import annotations

import base64
import json
import struct
from array import array

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from seatrial.clock import VirtualClock
from seatrial.targets.embedded.repository import gojson, keys, polynomial
from seatrial.targets.embedded.repository.codec import Codec
from seatrial.targets.embedded.repository.crypto import OVERHEAD, SealKey, sha256
from seatrial.targets.embedded.repository.errors import Cause, RepositoryError
from seatrial.targets.embedded.repository.index import PackBlobs, decode_index, encode_index
from seatrial.targets.embedded.repository.packs import Blob, BlobType, PackBuilder, pack_size, parse_header
from seatrial.targets.embedded.repository.store import Kind, is_name
from tests.unit.embedded_repository.stores import PASSWORD, MemoryStore, make, virtual

KEY = SealKey(bytes(range(32)), bytes(range(16)), bytes(range(16, 32)))


def causes(cause: Cause) -> pytest.RaisesExc[RepositoryError]:
    return pytest.RaisesExc(RepositoryError, check=lambda error: error.cause is cause)


# --- sealing


@given(st.binary(max_size=5000))
def test_what_is_sealed_opens_again(plain: bytes) -> None:
    sealed = KEY.seal(plain)
    assert len(sealed) == len(plain) + OVERHEAD
    assert KEY.open(sealed) == plain
    assert KEY.open(memoryview(sealed)) == plain


@given(st.binary(max_size=200), st.data())
def test_any_changed_byte_breaks_the_seal(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(KEY.seal(plain))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RepositoryError, match=r"seal|IV"):
        KEY.open(sealed)


def test_another_key_and_a_short_text_do_not_open() -> None:
    with pytest.raises(RepositoryError, match="seal is broken"):
        SealKey.generate().open(KEY.seal(b"secret"))
    with pytest.raises(RepositoryError, match="too few"):
        KEY.open(b"short")


def test_a_seal_made_elsewhere_opens() -> None:
    """Computed with other calls than ours: one-time Poly1305 key from AES-128 of the IV, AES-256-CTR with the IV as counter."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    iv = bytes(range(100, 116))
    text = Cipher(algorithms.AES(KEY.encrypt), modes.CTR(iv)).encryptor().update(b"plain")
    block = Cipher(algorithms.AES(KEY.mac_k), modes.ECB()).encryptor().update(iv)  # noqa: S305  # the format's MAC is one block of it
    assert KEY.open(iv + text + Poly1305.generate_tag(KEY.mac_r + block, text)) == b"plain"


# --- key files


def test_a_key_file_has_the_documented_fields_and_opens_with_its_password_only() -> None:
    store = MemoryStore()
    make(store)
    ((name, raw),) = store.files[Kind.KEY].items()
    document = json.loads(raw)
    assert list(document) == ["created", "username", "hostname", "kdf", "N", "r", "p", "salt", "data"]
    assert len(base64.b64decode(document["salt"])) == 64
    assert name == sha256(raw)
    with causes(Cause.WRONG_PASSWORD):
        keys.find_master_key(virtual(), store, "wrong")


def test_no_more_than_twenty_keys_are_tried_and_a_damaged_one_does_not_hide_a_good_one() -> None:
    store = MemoryStore()
    store.create(virtual())
    master = SealKey.generate()
    good = keys.make_key_file(master, PASSWORD, VirtualClock())
    store.put(virtual(), Kind.KEY, sha256(good), good)
    store.put(virtual(), Kind.KEY, "0" * 64, b"damaged")
    assert keys.find_master_key(virtual(), store, PASSWORD).encrypt == master.encrypt
    with causes(Cause.CORRUPT):
        keys.find_master_key(virtual(), store, "wrong")
    crowded = MemoryStore()
    crowded.create(virtual())
    for number in range(20):
        crowded.put(virtual(), Kind.KEY, f"{number:064x}", b"damaged")
    crowded.files[Kind.KEY]["f" * 64] = good  # the 21st by name, so that nobody looks at it
    with causes(Cause.CORRUPT):
        keys.find_master_key(virtual(), crowded, PASSWORD)


@pytest.mark.parametrize("change", [{"N": 3}, {"N": 1 << 40}, {"kdf": "argon2"}, {"salt": "AAAA"}, {"salt": "!"}, {"r": 0}])
def test_a_key_file_that_asks_for_nonsense_is_corrupt(change: dict[str, object]) -> None:
    document = json.loads(keys.make_key_file(KEY, PASSWORD, VirtualClock())) | change
    raw = json.dumps(document).encode()
    store = MemoryStore()
    store.create(virtual())
    store.put(virtual(), Kind.KEY, sha256(raw), raw)
    with causes(Cause.CORRUPT):
        keys.find_master_key(virtual(), store, PASSWORD)


# --- polynomial


def _naive_irreducible(f: int) -> bool:
    def remainder(a: int, m: int) -> int:
        while a.bit_length() >= m.bit_length():
            a ^= m << (a.bit_length() - m.bit_length())
        return a

    return f.bit_length() > 1 and all(remainder(f, d) for d in range(2, 1 << ((f.bit_length() + 1) // 2)))


def test_irreducibility_agrees_with_trial_division() -> None:
    for f in range(512):
        assert polynomial.irreducible(f) == _naive_irreducible(f), f"{f:b}"


def test_generated_polynomials_have_degree_53_and_are_irreducible() -> None:
    for _ in range(5):
        made = polynomial.generate()
        assert made.bit_length() == 54
        assert made & 1
        assert polynomial.irreducible(made)
    assert polynomial.irreducible(0x3DA3358B4DC173)  # restic's own in its tests


# --- JSON and quoting as Go does it


@given(st.binary(max_size=60).filter(bool))
def test_every_name_survives_quoting(name: bytes) -> None:
    quoted = gojson.quote(name)
    assert quoted.encode().isascii() or quoted.isprintable()
    assert not any(ord(char) < 0x20 for char in quoted)
    assert gojson.unquote(quoted) == name


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        (b"plain-~.txt", "plain-~.txt"),
        (b'a"b\\c', 'a\\"b\\\\c'),
        (b"\a\b\f\n\r\t\v", "\\a\\b\\f\\n\\r\\t\\v"),
        (b"\x00\x1f\x7f", "\\x00\\x1f\\x7f"),
        (b"\xff\xe2\x82", "\\xff\\xe2\\x82"),
        ("\u0085\u200b\ue000\u00a0".encode(), "\\u0085\\u200b\\ue000\\u00a0"),
        ("\U000e0001".encode(), "\\U000e0001"),
        ("gr\u00fc\U0001f600".encode(), "gr\u00fc\U0001f600"),
    ],
)
def test_names_are_quoted_as_go_quotes_them(name: bytes, quoted: str) -> None:
    assert gojson.quote(name) == quoted


@pytest.mark.parametrize("text", ["\\", "\\q", "\\x1", "\\ud800", "\\U00110000", "a\\", "\\400"])
def test_what_no_quote_writes_is_corrupt(text: str) -> None:
    with causes(Cause.CORRUPT):
        gojson.unquote(text)


def test_octal_escapes_and_single_quotes_are_read() -> None:
    assert gojson.unquote("\\101\\'") == b"A'"


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("<a>&\u2028\u2029", b'"\\u003ca\\u003e\\u0026\\u2028\\u2029"'),
        ("\b\f\n\r\t\x00\x7f", b'"\\u0008\\u000c\\n\\r\\t\\u0000\x7f"'),
        ("back\\back", b'"back\\\\back"'),
        ("\\f\\\\b", b'"\\\\f\\\\\\\\b"'),
        ("bad\udcffbyte\ufffd", b'"bad\\ufffdbyte\xef\xbf\xbd"'),
    ],
)
def test_json_is_escaped_as_go_escapes_it(text: str, raw: bytes) -> None:
    assert gojson.encode(text) == raw


@given(st.text())
def test_json_reads_back_the_same(text: str) -> None:
    assert json.loads(gojson.encode({"k": text})) == {"k": text}


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_600_000_000_123_456_789, "2020-09-13T12:26:40.123456789Z"),
        (1_600_000_000_100_000_000, "2020-09-13T12:26:40.1Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (-300_000_000_000_000_000, "1960-06-29T18:40:00Z"),
        (-62_135_596_800_000_000_000, "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_as_go_writes_them(at_ns: int, text: str) -> None:
    assert gojson.format_time(at_ns) == text
    assert gojson.parse_time(text) == at_ns


@given(st.integers(-62_135_596_800 * 10**9, 253_402_300_799 * 10**9))
def test_every_time_survives(at_ns: int) -> None:
    assert gojson.parse_time(gojson.format_time(at_ns)) == at_ns


def test_other_zones_are_read_and_years_out_of_range_are_cut_off() -> None:
    assert gojson.parse_time("2020-09-13T14:26:40.5+02:00") == 1_600_000_000_500_000_000
    assert gojson.format_time(10**21) == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2020-13-01T00:00:00Z", "2020-01-01T00:00:00", "0000-01-01T00:00:00Z"])
def test_what_is_no_time_is_corrupt(text: str) -> None:
    with causes(Cause.CORRUPT):
        gojson.parse_time(text)


# --- compression


@given(st.binary(max_size=3000))
def test_what_is_compressed_decompresses(plain: bytes) -> None:
    codec = Codec()
    assert codec.decompress(codec.compress(plain), max(1, len(plain))) == plain


def test_a_frame_without_its_size_is_read_and_a_bomb_is_refused() -> None:
    plain = bytes(1 << 20)
    stream = zstandard.ZstdCompressor().compressobj()
    unsized = stream.compress(plain) + stream.flush()
    assert zstandard.frame_content_size(unsized) == -1
    codec = Codec()
    assert codec.decompress(unsized, 1 << 20) == plain
    for frame in (unsized, codec.compress(plain)):
        with causes(Cause.CORRUPT):
            codec.decompress(frame, 1 << 16)
    with causes(Cause.CORRUPT):
        codec.decompress(b"no frame at all", 100)


# --- packs


def _pack(*plains: bytes, kind: BlobType = BlobType.DATA, compressed: bool = True) -> tuple[bytes, list[Blob]]:
    builder = PackBuilder()
    for plain in plains:
        builder.add(kind, bytes.fromhex(sha256(plain)), KEY.seal(plain), len(plain) if compressed else 0)
    pack = builder.finish(KEY)
    assert pack.name == sha256(pack.data)
    return bytes(pack.data), pack.blobs


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.sampled_from(BlobType), st.booleans())
def test_a_pack_names_its_blobs_and_their_places(plains: list[bytes], kind: BlobType, compressed: bool) -> None:
    raw, blobs = _pack(*plains, kind=kind, compressed=compressed)
    assert parse_header(KEY, raw, "here") == blobs
    assert len(raw) == pack_size(blobs)
    assert [KEY.open(raw[blob.offset : blob.offset + blob.length]) for blob in blobs] == plains
    assert [blob.size for blob in blobs] == [len(plain) for plain in plains]


def test_header_entries_take_37_bytes_and_41_when_compressed() -> None:
    for compressed, entry in ((False, 37), (True, 41)):
        raw, _ = _pack(b"abc", b"def", compressed=compressed)
        assert struct.unpack("<I", raw[-4:])[0] == 2 * entry + OVERHEAD


@pytest.mark.parametrize("length", [0, 31, 1 << 30])
def test_an_impossible_header_length_is_corrupt(length: int) -> None:
    raw, _ = _pack(b"abc")
    with causes(Cause.CORRUPT):
        parse_header(KEY, raw[:-4] + struct.pack("<I", length), "here")
    with causes(Cause.CORRUPT):
        parse_header(KEY, raw[5:], "here")  # then its blobs do not fill it
    with causes(Cause.CORRUPT):
        parse_header(KEY, b"tiny", "here")


# --- index files

BLOBS = st.builds(
    Blob,
    st.sampled_from(BlobType),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**32 - 1),
    st.integers(33, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)


@given(st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.lists(BLOBS, max_size=5)), max_size=4))
def test_an_index_reads_back(packs: list[tuple[bytes, list[Blob]]]) -> None:
    given_packs = [PackBlobs(name.hex(), blobs) for name, blobs in packs]
    raw = encode_index(given_packs)
    assert raw.endswith(b"}\n")
    assert decode_index(raw, "here") == given_packs


def test_uncompressed_blobs_have_no_uncompressed_length() -> None:
    raw = encode_index([PackBlobs("a" * 64, [Blob(BlobType.TREE, bytes(32), 0, 40, 0)])])
    assert json.loads(raw) == {"packs": [{"id": "a" * 64, "blobs": [{"id": "0" * 64, "type": "tree", "offset": 0, "length": 40}]}]}


@pytest.mark.parametrize(
    "change",
    [
        {"id": "xyz"},
        {"id": "A" * 64},
        {"type": "irregular"},
        {"offset": -1},
        {"length": 0},
        {"length": 1 << 32},
        {"uncompressed_length": -1},
    ],
)
def test_an_impossible_index_entry_is_corrupt(change: dict[str, object]) -> None:
    blob = {"id": "0" * 64, "type": "tree", "offset": 0, "length": 40} | change
    with causes(Cause.CORRUPT):
        decode_index(json.dumps({"packs": [{"id": "a" * 64, "blobs": [blob]}]}).encode(), "here")
    with causes(Cause.CORRUPT):
        decode_index(b'{"packs":[{"id":"../../etc","blobs":[]}]}', "here")
    with causes(Cause.CORRUPT):
        decode_index(b"[]", "here")


def test_names_are_64_lower_case_digits() -> None:
    assert is_name("0123456789abcdef" * 4)
    for name in ("", "a" * 63, "A" * 64, "g" * 64, "a" * 63 + "\n", "../" + "a" * 61):
        assert not is_name(name)


def test_offsets_fit_the_columns() -> None:
    assert array("I").itemsize == 4
