"""Key patterns: everything, a literal prefix, or a path-style glob. Not fnmatch, which differs on ``/``, ``!``, ``]`` and escapes."""

from __future__ import annotations

import re
from collections.abc import Callable

from seatrial.cluster.errors import BadPatternError

_SYNTAX = "syntax error in pattern"


def build_key_matcher(pattern: str) -> Callable[[str], bool]:
    """A predicate over keys; raises BadPatternError. Empty matches all; without ``*``, ``?`` or ``[`` it is a prefix."""
    if not pattern:
        return lambda _key: True
    if not any(sign in pattern for sign in "*?["):
        return lambda key: key.startswith(pattern)
    expression = re.compile(_translate(pattern), re.DOTALL)
    return lambda key: expression.fullmatch(key) is not None


def _translate(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "*":
            while at + 1 < len(pattern) and pattern[at + 1] == "*":
                at += 1
            parts.append("[^/]*")
        elif sign == "?":
            parts.append("[^/]")
        elif sign == "[":
            text, at = _class(pattern, at + 1)
            parts.append(text)
            continue
        else:
            literal, at = _literal(pattern, at)
            parts.append(re.escape(literal))
            continue
        at += 1
    return "".join(parts)


def _literal(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] != "\\":
        return pattern[at], at + 1
    if at + 1 >= len(pattern):
        raise BadPatternError(_SYNTAX)
    return pattern[at + 1], at + 2


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A character class from behind its ``[``: the expression and where it ends."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while not (pattern[at : at + 1] == "]" and ranges):
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _member(pattern, at + 1)
        if low <= high:  # an empty range matches nothing, and is no error
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")
    body = "".join(ranges)
    if not body:
        return ("[\\s\\S]" if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{body}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise BadPatternError(_SYNTAX)
    sign, at = _literal(pattern, at)
    if at >= len(pattern):
        raise BadPatternError(_SYNTAX)
    return sign, at
