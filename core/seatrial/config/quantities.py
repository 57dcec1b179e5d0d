"""Sizes and durations as people write them: ``64MiB``, ``1.5 GB``, ``90s``, ``1h30m``."""

from __future__ import annotations

import re
from decimal import Decimal

_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]i?)?b\s*", re.IGNORECASE | re.ASCII)
_BYTES = {"": 1} | {f"{prefix}i": 1 << 10 * power for power, prefix in enumerate("kmgt", 1)}
_BYTES |= {prefix: 1000**power for power, prefix in enumerate("kmgt", 1)}
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)\s*", re.IGNORECASE | re.ASCII)
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}


def size_bytes(text: str) -> int:
    """Bytes of ``512B``, ``64MiB`` (powers of 1024) or ``64MB`` (powers of 1000). ``ValueError`` for anything else."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a size")
    size = Decimal(found[1]) * _BYTES[(found[2] or "").lower()]
    if size != int(size):
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(size)


def duration_s(text: str) -> float:
    """Seconds of ``250ms``, ``90s``, ``5m``, ``8h``, ``2d`` or parts of falling size (``1h30m``). ``ValueError`` for anything else."""
    rest, total, last = text.strip(), Decimal(0), Decimal("Infinity")
    while rest:
        found = _PART.match(rest)
        if not found or _SECONDS[found[2].lower()] >= last:
            raise ValueError(f"{text!r} is not a duration")
        last = _SECONDS[found[2].lower()]
        total += Decimal(found[1]) * last
        rest = rest[found.end() :]
    if last == Decimal("Infinity"):
        raise ValueError("an empty text is not a duration")
    return float(total)
