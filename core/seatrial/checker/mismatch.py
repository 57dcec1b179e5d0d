"""What a comparison raises, and what a person is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.checker.compare import describe
from seatrial.errors import RobustnessError


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One place where what came back is not what went in."""

    path: str
    """Printable, relative to the snapshot's root."""
    kind: str
    """missing, extra, kind, mode, link, ... of the comparison; for contents flipped, zeroed, truncated, stale, foreign, ..."""
    expected: str = ""
    actual: str = ""
    lines: tuple[str, ...] = ()
    """For a person: hex around it."""


class MismatchError(RobustnessError):
    """A restored tree is not the tree that was snapshotted. ``damages`` has at least one."""

    def __init__(self, snapshot_id: str, damages: Sequence[Damage]) -> None:
        self.snapshot_id, self.damages = snapshot_id, damages
        first, more = damages[0], len(damages) - 1
        text = f"snapshot {snapshot_id}: {first.path}: {first.kind}"
        super().__init__(f"{text}, and {more} more" if more else text)

    @property
    def lines(self) -> list[str]:
        """The whole difference, line by line."""
        lines = []
        for damage in self.damages:
            lines.append(describe(damage.path, damage.kind, damage.expected, damage.actual))
            lines.extend(f"    {line}" for line in damage.lines)
        return lines
