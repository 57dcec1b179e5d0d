"""What every target must hold when nothing disturbs it. Each rule is one function, which raises ``NotConforming``.

Rules may follow each other on one stage in any order: each makes what it needs and looks at nothing else. What they make may stay: a
command of a real program takes half a second.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seatrial.checker.compare import METADATA, Difference, describe
from seatrial.checker.fingerprint import Fingerprint
from seatrial.config.model import GcOptions
from seatrial.errors import OperationError
from seatrial.testing import sample
from seatrial.testing.stage import Player, Stage, by_id, must
from seatrial.verdicts import Outcome

_BLOCK_BYTES = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A snapshot that stays, and what is in it."""

    id: str
    op: str
    source: Path
    content: Fingerprint


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """What a restore of it gave."""

    tree: Path
    differences: Sequence[Difference]

    def must_hold(self, what: str, bad: Sequence[Difference]) -> None:
        lines = "\n  ".join(describe(each.path, each.damage.value, each.expected, each.actual) for each in bad)
        must(not bad, f"{what}:\n  {lines}")


def keep(player: Player, source: Path) -> Kept:
    """Snapshot ``source``."""
    content, op = player.stage.print_of(source), player.stage.new_op()
    return Kept(id=player.create(source, op), op=op, source=source, content=content)


def bring_back(player: Player, kept: Kept) -> Returned:
    """Restore it with cold caches."""
    tree = player.restore_cold(kept.id)
    return Returned(tree=tree, differences=player.stage.differences(kept.content, tree))


# -- what comes back


def nothing_is_lost_or_added(returned: Returned) -> None:
    """Names, kinds, sizes, contents and targets of links come back."""
    returned.must_hold("what came back is not what went in", [each for each in returned.differences if each.damage not in METADATA])


def promises_are_kept(returned: Returned) -> None:
    """What ``traits.keeps`` names comes back."""
    returned.must_hold("traits.keeps promises more than came back", [each for each in returned.differences if each.damage in METADATA])


def holes_are_kept(returned: Returned, keeps: frozenset[str]) -> None:
    """A sparse file comes back sparse where ``traits.keeps`` says so; no fingerprint shows it."""
    file = returned.tree / sample.SPARSE_FILE
    if "sparse" in keeps and file.exists():
        status = file.stat()
        must(status.st_blocks * _BLOCK_BYTES < status.st_size, "traits.keeps promises sparse files, and the hole came back as zeros")


def comes_back(returned: Returned, path: str) -> None:
    """One path of the sample comes back as it was."""
    must(os.path.lexists(returned.tree / path), f"{path} did not come back")
    returned.must_hold(f"{path} came back differently", [each for each in returned.differences if each.path == path])


# -- what is listed


def listed_at_once_for_all(writer: Player, reader: Player) -> None:
    """A snapshot that was acknowledged is listed by every client's next listing, under its id and with its operation, whatever that
    client's cache knew before; and no more once it is deleted."""
    before = reader.listed()
    made = keep(writer, sample.make_small(writer.stage.new_source(), "listed at once"))
    for player in (writer, reader):
        listed = player.listed()
        must(made.id in listed, f"{made.id} was acknowledged and is not in the next listing of {_role(player, writer)}")
        must(listed[made.id] == made.op, f"{made.id} is listed with the operation {listed[made.id]!r}, and was made by {made.op!r}")
        must(before.items() <= listed.items(), f"a new snapshot took others out of the listing: {before.keys() - listed.keys()}")
    writer.delete(made.id)
    must(made.id not in reader.listed(), f"{made.id} was deleted and is in the next listing of {_role(reader, writer)}")


def server_lists_the_same(stage: Stage, player: Player) -> None:
    """``snapshot_ids`` of the server's side is what a client lists."""
    there = by_id(stage.server.snapshot_ids(player.within()))
    must(there == player.listed(), "the server's own listing is not the clients'")


def _role(player: Player, writer: Player) -> str:
    return "the client that made it" if player is writer else "another client"


# -- several clients


def side_by_side(first: Player, second: Player) -> None:
    """Two clients create at the same time; equal trees are different snapshots; each restores what the other made; deleting one
    deletes exactly that one, also another client's."""
    stage = first.stage
    sources = [sample.make_small(stage.new_source(), f"side by side {number}") for number in (1, 2)]
    with ThreadPoolExecutor(2) as threads:
        mine, yours = threads.map(keep, (first, second), sources)
    again = keep(first, sources[0])
    ids = [mine.id, yours.id, again.id]
    must(len(set(ids)) == len(ids), f"ids are not unique: {ids}")
    with ThreadPoolExecutor(2) as threads:
        returned = list(threads.map(bring_back, (first, second), (yours, mine)))
    for each in returned:
        nothing_is_lost_or_added(each)
    before = second.listed()
    first.delete(yours.id)
    after = second.listed()
    must(yours.id not in after, f"{yours.id} was deleted and is still listed")
    must(before.keys() - after.keys() == {yours.id}, f"deleting {yours.id} took others with it: {before.keys() - after.keys()}")
    nothing_is_lost_or_added(bring_back(second, again))


# -- what is not there


def deleted(player: Player) -> str:
    """The id of a snapshot that is no more."""
    gone = keep(player, sample.make_small(player.stage.new_source(), "no more"))
    player.delete(gone.id)
    return gone.id


def deleting_what_is_missing_fails(player: Player, missing: str) -> None:
    """``OperationError(missing, FAILED)``."""
    try:
        player.delete(missing)
    except OperationError as error:
        got = f"({error.cause}, {error.outcome.name})"
        must(
            (error.cause, error.outcome) == ("missing", Outcome.FAILED), f"deleting a missing snapshot raised {got}, not (missing, FAILED)"
        )
    else:
        must(False, "deleting a missing snapshot returned as if it had been there")


def restoring_what_is_missing_fails(player: Player, missing: str) -> None:
    """``OperationError``, and nothing is written."""
    into = player.new_directory()
    try:
        player.client.restore(player.within(), missing, into)
    except OperationError:
        must(not any(into.iterdir()), "restoring a missing snapshot failed, and wrote something")
    else:
        must(False, "restoring a missing snapshot returned as if it had been there")


# -- the connection and the user


def reconnects(player: Player) -> None:
    """``disconnect`` twice is fine; a new connection sees what the old one saw."""
    before = player.listed()
    player.client.disconnect()
    player.client.disconnect()
    player.connect()
    must(player.listed() == before, "after a reconnect the listing is another one")


def turned_away_once_removed(stage: Stage) -> None:
    """A client whose user was removed is denied, or the target declares that it may act on. An unknown user is fine to remove."""
    guest = stage.join()
    guest.listed()
    stage.server.remove_client(guest.name)
    stage.server.remove_client(guest.name)
    try:
        guest.listed()
    except OperationError as error:
        must(error.cause == "denied", f"a removed client was turned away with the cause {error.cause!r}, not 'denied': {error}")
    else:
        must(
            "removed-user-may-act" in stage.target.traits.tolerances,
            "a removed client may still list, and traits.tolerances does not declare 'removed-user-may-act'",
        )
    guest.client.cleanup()


# -- the server's side


def garbage_collection_keeps_what_is_live(stage: Stage, player: Player, kept: Kept) -> None:
    """After garbage was collected what is live comes back with cold caches. Something should have been deleted before."""
    listed = player.listed()
    stats = stage.server.run_gc(player.within(), GcOptions())
    must(stats.freed_bytes >= 0, f"it says that it freed {stats.freed_bytes} bytes")
    must(player.listed() == listed, "garbage collection changed the listing")
    nothing_is_lost_or_added(bring_back(player, kept))


def verification_is_clean(stage: Stage, player: Player) -> None:
    """The target's own verification finds nothing in a whole repository."""
    verification = stage.server.verify(player.within())
    must(verification.clean and not verification.problems, f"the repository is whole, and verify() says: {verification}")


def says_who_it_is(stage: Stage, player: Player) -> None:
    """The server's process lives, its start was told, and clients pin its certificate."""
    child = stage.server.server_cmd()
    must(child is not None and child.returncode is None, "server_cmd() is not a process that lives")
    states = [state for state in ("starting", "ready") if not stage.seen(state)]
    must(not states, f"no ServerEvent said: {', '.join(states)}")
    must(stage.seen("ready")[-1].address, "the 'ready' event has no address")
    must(player.access.fingerprint == stage.server.server_fingerprint(), "access() has another fingerprint than server_fingerprint()")
    must(player.access.user == player.name, f"access() is for {player.access.user}, and was asked for {player.name}")


def caches_are_the_clients_own(player: Player) -> None:
    """A client keeps its cache below the directory that it was given, and tells where."""
    frame = player.client.cache_info()
    must(Path(frame.path).is_relative_to(player.directory), f"the cache lies at {frame.path}, not below {player.directory}")
