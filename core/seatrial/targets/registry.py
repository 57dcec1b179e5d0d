"""All targets by name: ours, one line each, and those that installed packages register under the entry point group."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points

from seatrial.errors import UsageError
from seatrial.targets.protocols import Target

GROUP = "seatrial.targets"
"""Entry point group: ``name = "package.module:Class"``, a ``Target`` made without arguments."""
_OURS = (
    EntryPoint("embedded", "seatrial.targets.embedded.target:EmbeddedTarget", GROUP),
    EntryPoint("kopia", "seatrial.targets.kopia.target:KopiaTarget", GROUP),
    EntryPoint("restic", "seatrial.targets.restic.target:ResticTarget", GROUP),
    EntryPoint("borg", "seatrial.targets.borg.target:BorgTarget", GROUP),
)


def target_names() -> list[str]:
    """Every name that ``target_named`` knows, sorted; nothing is imported."""
    return sorted(_registered())


def target_named(name: str) -> Target:
    """The target called ``name``. ``UsageError`` with the nearest name, or when a third party's cannot be loaded."""
    registered = _registered()
    if name not in registered:
        nearest = difflib.get_close_matches(name, registered, n=1)
        remedy = f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(sorted(registered))}"
        raise UsageError(f"unknown target {name!r}", where="target", remedy=remedy)
    entry = registered[name]
    try:
        made: Target = entry.load()()
    except Exception as error:  # a stranger's module may raise anything
        why = f"the target {name!r} cannot be loaded: {error!r}"
        raise UsageError(why, where=entry.value, remedy="mend or remove that package") from error
    return made


def _registered() -> dict[str, EntryPoint]:
    """Ours win over a third party's of the same name."""
    return {entry.name: entry for entry in (*entry_points(group=GROUP), *_OURS)}
