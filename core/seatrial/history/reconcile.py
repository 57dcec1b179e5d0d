"""What a listing of the repository says about what we know. Pure functions over small values.

A listing overlaps creates and deletes in flight. So the ledger notes, while a listing is under way, every snapshot and operation whose
state changes (``Known.changed``). About those the listing proves nothing except presence; all others stood still from before
the listing began until it was judged, and for these, element by element, absence counts:

====================================  ==========================  =================================================
the ledger says (and it stood still)  listed                      not listed
====================================  ==========================  =================================================
live                                  as it should be             ``lost``
deleted                               ``phantoms``                as it should be
lost                                  ``reappeared``              already told
delete UNKNOWN                        settled: FAILED (live)      OK (gone)
create UNKNOWN (by its tag)           OK (live), also unsettled   settled: FAILED
no such id, our tag                   ``late``
no such id, no tag of ours            ``foreign``
====================================  ==========================  =================================================

**Settled** is the caller's promise that no request of the operations in question can still arrive: before the listing began, every
connection of the clients that made them had been closed (or their process was gone) and the server had either been restarted since or
had been left alone long enough to finish what it had already received. Without it an absent create stays UNKNOWN, and so
does a delete whose snapshot is still there. **Complete** is the promise that the listing was read to its end without an error; an
incomplete one proves presence only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Literal

import msgspec

from seatrial.history.events import Resolved
from seatrial.history.view import SnapshotState
from seatrial.verdicts import Outcome

LOST = "lost"
"""``Finding.damage`` that takes a snapshot out of the live ones."""
PHANTOM = "phantom"
"""``Finding.damage`` of a deleted snapshot that is there again."""
LATE = "late"
"""``Finding.damage`` of a snapshot with our tag whose create had been settled otherwise, or that one create made twice."""

OperationKey = tuple[str, str]
"""(run id, op): ``seatrial-op=<run>/<op>`` taken apart."""


class UnknownOperation(msgspec.Struct, frozen=True, kw_only=True):
    """A create or a delete that may have happened."""

    run_id: str
    op: str
    client: str
    kind: Literal["create", "delete"]
    snapshot: str = ""
    """Of a delete; of a create only where it was told before it went wrong."""
    root: str = ""
    """Of the fingerprint of what a create was about to store; empty where it did not come so far."""
    invoked_ns: int = 0
    ended_ns: int = 0
    """When its result came, or when its run was seen to be dead."""

    @property
    def key(self) -> OperationKey:
        return self.run_id, self.op


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """As much of the ledger as one listing needs."""

    live: Set[str]
    states: Mapping[str, SnapshotState]
    """Of every listed id that is not live but known."""
    unknown: Iterable[UnknownOperation]
    in_flight: Set[OperationKey] = frozenset()
    """Creates that have not returned."""
    runs: Set[str]
    """Ids of all runs under this prefix."""
    changed: Set[str | OperationKey]
    """Snapshot ids and operations whose state changed since the listing began."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a listing about which something is to be said."""

    id: str
    op: str
    """The tag's value ``<run>/<op>``; empty without one."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said; all lists sorted by id. Nothing has changed yet: resolutions and findings become events, events the ledger."""

    resolutions: list[Resolved] = []
    lost: list[str] = []
    phantoms: list[str] = []
    reappeared: list[str] = []
    late: list[Listed] = []
    foreign: list[Listed] = []


def operation_key(tag: str) -> OperationKey | None:
    """``<run>/<op>`` taken apart; None for what is no such tag."""
    run_id, slash, op = tag.partition("/")
    return (run_id, op) if run_id and slash and op else None


def reconcile(listed: Iterable[tuple[str, str]], known: Known, *, complete: bool, settled: bool) -> Reconciliation:
    """Hold a listing (id, tag) against what is known; see the table above."""
    tags = dict(listed)
    resolutions: list[Resolved] = []
    explained: set[str] = set()
    by_key: dict[OperationKey, list[str]] = {}
    for snapshot, tag in tags.items():
        key = operation_key(tag)
        if key is not None:
            by_key.setdefault(key, []).append(snapshot)
    for operation in sorted(known.unknown, key=lambda operation: operation.key):
        still = operation.key not in known.changed and operation.snapshot not in known.changed
        if operation.kind == "create":
            found = sorted(by_key.get(operation.key, ()))
            resolution = _resolve_create(operation, found, absence_counts=complete and settled and still)
            explained.update(found[:1])
        else:
            resolution = _resolve_delete(
                operation, listed=operation.snapshot in tags, absence_counts=complete and still, presence_counts=settled and still
            )
        if resolution is not None:
            resolutions.append(resolution)
    phantoms, reappeared, late, foreign = _strangers(tags, known, explained)
    lost = sorted(known.live - tags.keys() - known.changed) if complete else []
    return Reconciliation(resolutions=resolutions, lost=lost, phantoms=phantoms, reappeared=reappeared, late=late, foreign=foreign)


def _resolve_create(operation: UnknownOperation, found: list[str], *, absence_counts: bool) -> Resolved | None:
    if found:
        return _resolved(operation, found[0], Outcome.OK, "its tag is in a listing")
    if absence_counts:
        return _resolved(operation, "", Outcome.FAILED, "its tag is not in a listing made after it could last arrive")
    return None


def _resolve_delete(operation: UnknownOperation, *, listed: bool, absence_counts: bool, presence_counts: bool) -> Resolved | None:
    if not listed and absence_counts:
        return _resolved(operation, operation.snapshot, Outcome.OK, "the snapshot is not in a listing made after it")
    if listed and presence_counts:
        return _resolved(operation, operation.snapshot, Outcome.FAILED, "the snapshot is in a listing made after it could last arrive")
    return None


def _resolved(operation: UnknownOperation, snapshot: str, outcome: Outcome, how: str) -> Resolved:
    return Resolved(op=operation.op, run_id=operation.run_id, snapshot=snapshot, outcome=outcome, how=how)


def _strangers(tags: Mapping[str, str], known: Known, explained: Set[str]) -> tuple[list[str], list[str], list[Listed], list[Listed]]:
    """What is listed and not live: phantoms, reappeared, late, foreign."""
    phantoms: list[str] = []
    reappeared: list[str] = []
    late: list[Listed] = []
    foreign: list[Listed] = []
    for snapshot in sorted(tags.keys() - known.live - known.changed - explained):
        state = known.states.get(snapshot)
        key = operation_key(tags[snapshot])
        if state == "deleted":
            phantoms.append(snapshot)
        elif state == "lost":
            reappeared.append(snapshot)
        elif state is None and key is not None and key[0] in known.runs:
            if key not in known.in_flight and key not in known.changed:
                late.append(Listed(id=snapshot, op=tags[snapshot]))
        elif state is None:
            foreign.append(Listed(id=snapshot, op=tags[snapshot]))
    return phantoms, reappeared, late, foreign
