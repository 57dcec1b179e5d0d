"""JSON, quoted strings and times byte for byte as Go writes them: blobs deduplicate only if every byte agrees.

Where Go versions differ we follow the older ones (up to 1.21, distributions' restic): backspace and form feed are ``\\u0008`` and
``\\u000c``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from seatrial.targets.embedded.repository.errors import corrupt

_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1_S, _YEAR_9999_S = -62_135_596_800, 253_402_300_799

# encoding/json escapes these so that its output may stand inside HTML.
_HTML = tuple((char.encode(), f"\\u{ord(char):04x}".encode()) for char in "<>&\u2028\u2029")
_LONE_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_SHORT_ESCAPE = re.compile(rb"\\(.)")


def encode(value: Any) -> bytes:
    """``encoding/json.Marshal``: compact UTF-8; a surrogate escape (a byte that is no UTF-8) becomes the six characters ``\\ufffd``."""
    try:
        raw = msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        raw = _LONE_SURROGATE.sub(rb"\\ufffd", text.encode("utf-8", "surrogatepass"))
    if b"\\b" in raw or b"\\f" in raw:
        # Pairs are matched from the left, so that the second half of an escaped backslash is not taken for the start of an escape.
        raw = _SHORT_ESCAPE.sub(lambda hit: {b"b": rb"\u0008", b"f": rb"\u000c"}.get(hit[1], hit[0]), raw)
    for char, escaped in _HTML:
        if char in raw:
            raw = raw.replace(char, escaped)
    return raw


# --- strconv.Quote without the outer quotes

_PLAIN = re.compile(rb"[ !#-\[\]-~]*\Z")
_QUOTES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 0x22: '\\"', 0x5C: "\\\\"}
_UNQUOTES = {quote[1]: bytes([code]) for code, quote in _QUOTES.items()} | {"'": b"'"}


def quote(name: bytes) -> str:
    """A file name as ``strconv.Quote`` writes it; ``str.isprintable`` stands in for Go's ``IsPrint``."""
    if _PLAIN.match(name):
        return name.decode("ascii")
    return "".join(map(_quote_char, name.decode("utf-8", "surrogateescape")))


def _quote_char(char: str) -> str:
    code = ord(char)
    if code in _QUOTES:
        return _QUOTES[code]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if char.isprintable():
        return char
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPE = re.compile(r"""\\(?:([abfnrtv\\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))|(\\)|([^\\]+)""", re.DOTALL)


def unquote(text: str) -> bytes:
    """The name that ``quote`` was given; CORRUPT for what no quote writes."""
    if "\\" not in text:
        return text.encode()
    try:
        return b"".join(map(_unquote_piece, _ESCAPE.finditer(text)))
    except ValueError:
        raise corrupt(f"{text!r} is not a quoted name") from None


def _unquote_piece(hit: re.Match[str]) -> bytes:
    short, byte, rune, long_rune, octal, stray, plain = hit.groups()
    if plain is not None:
        return plain.encode()
    if short is not None:
        return _UNQUOTES[short]
    if stray is not None:
        raise ValueError(stray)
    if byte is not None or octal is not None:
        return bytes([int(byte, 16) if byte is not None else int(octal, 8)])
    return chr(int(rune or long_rune, 16)).encode()


# --- time.Time


@lru_cache(maxsize=4096)
def _whole_seconds(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def format_time(at_ns: int) -> str:
    """RFC 3339 in UTC, up to nine fraction digits without trailing zeros. Years beyond 1 to 9999 are cut off there, for JSON's sake."""
    seconds, fraction = divmod(at_ns, _NS)
    text = _whole_seconds(min(max(seconds, _YEAR_1_S), _YEAR_9999_S))
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


def parse_time(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time in any zone; CORRUPT for anything else."""
    hit = _TIME.match(text)
    if hit is None:
        raise corrupt(f"{text!r} is not a time")
    whole, fraction, zone = hit.groups()
    try:
        at = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone))
    except ValueError:
        raise corrupt(f"{text!r} is not a time") from None
    since = at - _EPOCH
    return (since.days * 86400 + since.seconds) * _NS + int((fraction or "").ljust(9, "0"))


def reader(shape: type[Any]) -> Callable[[bytes, str], Any]:
    """A decoder of one shape: ``decode(raw, where)``, CORRUPT where the bytes do not have it."""
    decoder = msgspec.json.Decoder(shape)

    def decode(raw: bytes, where: str) -> Any:
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise corrupt(f"unintelligible: {error}", where) from error

    return decode
