"""The plan: what a seed decides. Pure; the same preset and seed give the same plan on any machine.

A draw is named by (root seed, client index, action index, purpose), so that one client's draws do not depend on how often another
one acted. What is chosen out of shared state (a live snapshot) is ``draw mod len(sorted live)``; its resolved value is in the
journal, because the interleaving is not in the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from seatrial.config.model import ActionName, Preset
from seatrial.config.swarm import resolve
from seatrial.errors import UsageError
from seatrial.seeds import derive

NOT_BY_DEFAULT = frozenset({ActionName.RESTORE_INTO_DATA, ActionName.REMOVE_CLIENT})
"""Weight 0 where no mix is given: the first as in the reference, the second because it ends a client."""


@dataclass(frozen=True, slots=True)
class Draws:
    """The chance of one action: 64 bits for each purpose."""

    root: int
    client_index: int
    action_index: int

    def bits(self, purpose: str) -> int:
        return derive(self.root, "client", self.client_index, "action", self.action_index, purpose)

    @property
    def action(self) -> int:
        """Which action of the mix."""
        return self.bits("action")

    @property
    def snapshot(self) -> int:
        """Which live snapshot."""
        return self.bits("snapshot")

    @property
    def workload(self) -> int:
        """Seed of the file writer."""
        return self.bits("workload")


def weights_of(preset: Preset) -> dict[ActionName, float]:
    """The mix as it is used: absent is 0; no mix at all is 1 for each action but ``NOT_BY_DEFAULT``."""
    if preset.mix:
        return {name: weight for name, weight in preset.mix.items() if weight > 0}
    return {name: 1.0 for name in ActionName if name not in NOT_BY_DEFAULT}


def asked_for(preset: Preset) -> set[ActionName]:
    """Every action that a run of it may come to."""
    drawn = weights_of(preset) if preset.duration_s or preset.actions_per_client else {}
    verified = {ActionName.VERIFY_REPOSITORY} if preset.verify.repository else set()
    return {*preset.steps, *drawn, *verified}


def pick_action(weights: Mapping[ActionName, float], draw: int) -> ActionName:
    """One weighted pick: ``draw`` of 64 bits over the weights in the order of ``ActionName``. Nothing to pick is an error."""
    ordered = [(name, weights[name]) for name in ActionName if weights.get(name, 0) > 0]
    if not ordered:
        raise UsageError(
            "no action has a weight above 0", where="mix", remedy="give at least one action a positive weight, or no mix at all"
        )
    point = draw / 2**64 * sum(weight for _, weight in ordered)
    for name, weight in ordered:
        point -= weight
        if point < 0:
            return name
    return ordered[-1][0]


@dataclass(frozen=True, slots=True)
class Plan:
    """A preset with everything drawn that the seed draws ahead."""

    preset_name: str
    preset: Preset
    seed: int

    @classmethod
    def make(cls, preset_name: str, preset: Preset, seed: int) -> Plan:
        return cls(preset_name, resolve(preset, seed), seed)

    def draws(self, client_index: int, action_index: int) -> Draws:
        return Draws(self.seed, client_index, action_index)

    def settings(self) -> dict[str, object]:
        """The resolved preset as builtins, for the journal."""
        builtins: dict[str, object] = msgspec.to_builtins(self.preset)
        return builtins
