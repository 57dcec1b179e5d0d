"""All chance of a run comes from one root seed; every draw is named by where it is used, never by when.

``derive(root, *path)`` maps a path of words and numbers to 64 bits, so that one client's draws do not move when another client
acts more often. A seed repeats the plan, not the interleaving.
"""

from __future__ import annotations

import random
import secrets
import uuid
from hashlib import blake2b

import coolname

SEED_BITS = 63
"""So that a seed fits a signed 64-bit column and a JSON number of most readers."""

Random = random.Random
"""What ``stream`` returns, for annotations."""


def new_root_seed() -> int:
    """A root seed from the operating system, ``0 <= seed < 2**63``."""
    return secrets.randbits(SEED_BITS)


def new_uuid() -> str:
    """An identity from the operating system: identities must differ between runs of one seed."""
    return str(uuid.uuid4())


def derive(root: int, *path: str | int) -> int:
    """64 bits that depend on the root and the whole path, and on nothing else."""
    text = "/".join((str(root), *map(str, path)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def stream(root: int, *path: str | int) -> Random:
    """A generator of its own for one use, for draws whose number is not fixed (file trees, contents)."""
    return Random(derive(root, *path))


def new_client_id() -> str:
    """``<word>-<word>-<uuid4>``: two pet words for people, the UUID for uniqueness."""
    return f"{'-'.join(coolname.generate(2))}-{new_uuid()}"
