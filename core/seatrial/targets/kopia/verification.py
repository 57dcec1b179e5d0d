"""kopia's own consistency commands, and its two listings held against each other."""

from __future__ import annotations

from seatrial.context import Context
from seatrial.targets.kopia.output import all_snapshots, complaints, listing_differences, snapshot_manifests
from seatrial.targets.programs.commands import Commands
from seatrial.targets.protocols import Verification

_COMMANDS = (
    ("snapshot", "verify", "--verify-files-percent=100", "--json"),
    ("content", "verify", "--full"),
)
_NOT_DAMAGE = frozenset({"timeout", "cancelled", "killed", "unreachable", "denied", "wrong-password", "no-space"})
"""Causes that say nothing of the repository: it was not verified."""


def verify_repository(ctx: Context, kopia: Commands) -> Verification:
    """Every file of every snapshot read, every content read, ``manifest list`` against ``snapshot list``.

    ``kopia`` leads to the repository past every cache. Raises ``OperationError`` where a command did not come to its end and nothing was
    found wrong before.
    """
    said: list[str] = []
    problems: list[str] = []
    for command in _COMMANDS:
        if problems and (ctx.cancel.cancelled or ctx.expired):
            break
        done = kopia.attempt(ctx, "verify", *command)
        said.append(f"$ kopia {' '.join(command)}\n{done.stdout}{done.stderr}")
        error = kopia.error_of("verify", done)
        if error is None:
            continue
        if error.cause not in _NOT_DAMAGE:
            problems += complaints(done) or [f"exit code {done.returncode}, and not a word"]
        elif not problems:
            raise error
    problems += _differences(ctx, kopia) if not problems else []
    return Verification(clean=not problems, problems=list(dict.fromkeys(problems)), output="\n".join(said))


def _differences(ctx: Context, kopia: Commands) -> list[str]:
    """What is seen twice: a snapshot that comes or goes between two listings is none."""
    seen = _difference(ctx, kopia)
    return sorted(set(seen) & set(_difference(ctx, kopia)), key=seen.index) if seen else []


def _difference(ctx: Context, kopia: Commands) -> list[str]:
    manifests = snapshot_manifests(kopia.run(ctx, "list", "manifest", "list", "--json", "--filter", "type:snapshot"))
    return listing_differences(manifests, all_snapshots(kopia.run(ctx, "list", "snapshot", "list", "--all", "--json")))
