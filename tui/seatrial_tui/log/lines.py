"""One line of a log: what may be shown of it, how grave it is, where its timestamp ends."""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from seatrial_tui.log.text import line_text


class Level(Enum):
    """How grave a line is, as far as it says so."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"
    NONE = ""
    """It does not say: a stack trace, a banner, a line of some other program."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line, harmless to a terminal (``seatrial.observe.serverlog.clean``)."""

    number: int
    """From 0."""
    text: str
    level: Level
    clock_at: int
    """Where in ``text`` the time of day begins; 0 where there is no date before it."""
    message_at: int
    """Where in ``text`` the message begins; 0 where there is no timestamp before it."""


_DATE = r"\d{4}[-/]\d\d[-/]\d\d[T ]|[A-Z][a-z]{2} [ \d]\d |[IWEF]\d{4} "
"""ISO 8601 and Go's; syslog's; glog's with its level."""
_STAMP = re.compile(rf"\[?({_DATE})?\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d)?\]?:?\s+")
_GLOG = {"I": Level.INFO, "W": Level.WARNING, "E": Level.ERROR, "F": Level.ERROR}

_WORDS = {
    Level.ERROR: "error err fatal critical crit panic severe alert emerg emergency traceback",
    Level.WARNING: "warning warn",
    Level.INFO: "info notice information",
    Level.DEBUG: "debug debug1 debug2 debug3 trace verbose",
}
_LEVEL_OF = {word: level for level, words in _WORDS.items() for word in words.split()}
_ANY = "|".join(sorted(_LEVEL_OF, key=len, reverse=True))
_HEAD = 160
"""Characters of the message in which a level is looked for: further on it is talk about something."""
_FIRST = re.compile(rf"[\[<(]?({_ANY})\b(?![-=/.])", re.IGNORECASE)
"""The message begins with it, as with most programs; ``error-rate=0`` does not."""
_LATER = re.compile(
    rf"""\b(?:level|lvl|severity|levelname)"?\s*[=:]\s*"?({_ANY})\b"""  # logfmt and JSON
    rf"|\b({_ANY.upper()})\b(?![-=/.])"  # after the name of a module
    rf"|[\s\]]({_ANY}):\s",  # sshd[12]: error: ...
    re.IGNORECASE,
)


def parse(number: int, head: bytes, length: int) -> LogLine:
    """The line that begins with ``head`` and has ``length`` bytes, without its newline."""
    text = line_text(head, length)
    stamp = _STAMP.match(text)
    if stamp is None:
        return LogLine(number=number, text=text, level=_level(text, 0), clock_at=0, message_at=0)
    at = stamp.end()
    level = _GLOG.get(text[0], Level.NONE) if text[1:5].isdigit() else Level.NONE
    if level is Level.NONE:
        level = _level(text, at)
    return LogLine(number=number, text=text, level=level, clock_at=max(0, stamp.end(1)), message_at=at)


def _level(text: str, at: int) -> Level:
    first = _FIRST.match(text, at, at + _HEAD)
    if first is not None:
        return _LEVEL_OF[first[1].lower()]
    for found in _LATER.finditer(text, at, at + _HEAD):
        word = found[1] or found[3] or found[2]
        if found[2] is None or word.isupper():
            return _LEVEL_OF[word.lower()]
    return Level.NONE
