"""Who restores which snapshot in the verify phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from types import SimpleNamespace
from typing import cast

import pytest

from seatrial.config.model import ActionName, ActionOptions, Preset
from seatrial.context import Client, Context
from seatrial.engine.engine import Engine
from seatrial.errors import DeadlineExceededError
from seatrial.harness.liveness import Halfway, Liveness
from seatrial.harness.sweep import Sweep, one_per_root
from seatrial.history.ledger import SnapshotRow


@dataclass
class Clients:
    known: Mapping[str, str] = field(default_factory=dict)

    def programs(self) -> dict[str, str]:
        return dict(self.known)


@dataclass
class KnowsPrograms:
    """All of an engine that dealing needs."""

    clients: Clients


def swept(owners: str, programs: Mapping[str, str] | None = None) -> Sweep:
    """One snapshot of each owner named, oldest first, all different."""
    engine = cast(Engine, KnowsPrograms(Clients(programs or {})))
    rows = [row(f"s{place}", owner, place) for place, owner in enumerate(owners)]
    return Sweep(engine, Liveness(engine, 1.0), rows)


def row(snapshot: str, owner: str, made: int, root: str = "") -> SnapshotRow:
    return SnapshotRow(
        id=snapshot, run_id="run", op="", owner=owner, root=root or snapshot, state="live", created_start_ns=made, created_end_ns=made
    )


def halfway(client: str) -> Halfway:
    return Halfway(ctx=Context(client=Client(client)), own="", left_s=1.0)


def without_a_row(sweep: Sweep, clients: str) -> set[str]:
    return {each.client for each in sweep.deal([halfway(client) for client in clients])}


@pytest.mark.parametrize("owners", ["".join(order) for order in permutations("abc")])
def test_of_clients_with_one_snapshot_each_every_one_gets_anothers(owners: str) -> None:
    sweep = swept(owners)
    assert without_a_row(sweep, "abc") == set()
    assert sweep.rows == []
    assert all(client != dealt.owner for client, (_, dealt) in sweep.dealt.items())
    assert sorted(dealt.owner for _, dealt in sweep.dealt.values()) == ["a", "b", "c"]


def test_who_made_all_of_them_gets_none() -> None:
    sweep = swept("aaa")
    assert without_a_row(sweep, "ab") == {"a"}
    assert [each.owner for each in sweep.rows] == ["a", "a"]
    assert without_a_row(swept("a"), "a") == {"a"}


def test_where_there_are_fewer_snapshots_than_clients_none_is_dealt_twice() -> None:
    sweep = swept("ab")
    assert len(without_a_row(sweep, "abcd")) == 2
    assert {dealt.id for _, dealt in sweep.dealt.values()} == {"s0", "s1"}
    assert sweep.rows == []


def test_what_one_program_made_is_dealt_to_a_client_of_another() -> None:
    programs = {"a": "one", "b": "other", "c": "one"}
    sweep = swept("ac", programs)
    assert without_a_row(sweep, "acb") == {"a", "c"}
    assert [programs[dealt.owner] for _, dealt in sweep.dealt.values()] == ["one"]


def test_a_snapshot_of_somebody_who_is_gone_is_anybodys() -> None:
    assert without_a_row(swept("z"), "a") == set()


def test_of_equal_snapshots_the_newest_is_restored() -> None:
    rows = [row("old", "a", 1, "same"), row("new", "a", 2, "same"), row("apart", "b", 0)]
    assert [each.id for each in one_per_root(rows)] == ["apart", "new"]
    assert len(one_per_root([row("x", "a", 1, "same"), row("y", "b", 2, "same")], {"a": "one", "b": "other"})) == 2


class Restoring(KnowsPrograms):
    """An engine on which what is in ``slow`` takes longer than an action may."""

    def __init__(self, slow: set[str]) -> None:
        super().__init__(Clients())
        self.slow, self.asked = slow, list[str]()
        self.preset, self.scene = Preset(), SimpleNamespace(snapshotter=SimpleNamespace(drop_caches=lambda _: None))

    def join(self, _: Context) -> SimpleNamespace:
        return SimpleNamespace(program="")

    def leave(self, _: Context) -> None: ...

    def exec_action(self, _: Context, __: ActionName, options: ActionOptions, *, times: int) -> None:
        self.asked += [options.restore.snapshot_id] * times
        if options.restore.snapshot_id in self.slow:
            raise DeadlineExceededError("too slow")


def test_a_snapshot_whose_restore_takes_too_long_is_tried_once_and_holds_up_no_other() -> None:
    double = Restoring({"s0"})
    engine = cast(Engine, double)
    Sweep(engine, Liveness(engine, 1.0), [row(f"s{place}", "gone", place) for place in range(20)]).run(Context().within(60.0))
    assert sorted(double.asked) == sorted(f"s{place}" for place in range(20))
