"""What can be started, what was run, what is missing, and a wish for a run. Knows no screen; reads files and asks programs.

Imported by a thread after the launch screen has been painted for the first time: nothing here is light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from seatrial.config.loader import LoadedConfig, load_config, place
from seatrial.config.model import Clients, Preset, Seconds
from seatrial.config.quantities import duration_s
from seatrial.config.swarm import pinned
from seatrial.engine.plan import Plan
from seatrial.errors import SeatrialError
from seatrial.history.runs import RunSummary, list_runs, runs_root
from seatrial.report.explain import command_line
from seatrial.report.listing import described, estimated, random_part
from seatrial.report.prose import duration, plain, size
from seatrial.report.readiness import Sign, readiness
from seatrial.resources import free_space_bytes
from seatrial.seeds import SEED_BITS
from seatrial.targets.registry import target_named

RUNS_LISTED = 100
FIELDS = ("clients", "duration", "target", "seed")
"""What can be changed before the start, in this order."""


class Offer(NamedTuple):
    """A preset in the list."""

    name: str
    preset: Preset
    default: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Offers:
    """What the configuration offers."""

    loaded: LoadedConfig
    runs_dir: Path

    @property
    def presets(self) -> list[Offer]:
        """The default one first, then as the files have them."""
        default = self.loaded.config.default_preset
        listed = [Offer(name, preset, name == default) for name, preset in self.loaded.config.presets.items()]
        return sorted(listed, key=lambda offer: not offer.default)


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """Former runs, the newest first."""

    runs: tuple[RunSummary, ...]
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signs:
    """What this machine can run."""

    signs: tuple[Sign, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """The configuration cannot be used: what, where, what to do."""

    error: SeatrialError


News = Offers | Runs | Signs | Unreadable


def survey(tell: Callable[[News], object], config_file: Path | None = None) -> None:
    """Find out everything, the quickest first. ``tell`` is called from this thread. Raises nothing that is known."""
    try:
        loaded = load_config(config_file=config_file)
        offers = Offers(loaded=loaded, runs_dir=runs_root(place(loaded.config.run.runs_dir) or ""))
    except SeatrialError as error:
        tell(Unreadable(error=error))
        return
    tell(offers)
    try:
        tell(Runs(runs=tuple(islice(list_runs(offers.runs_dir), RUNS_LISTED))))
    except SeatrialError as error:
        tell(Runs(runs=(), problem=str(error)))
    tell(Signs(signs=tuple(sign for sign in readiness(offers.runs_dir) if not sign.behind)))  # the rest is for `seatrial doctor`


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A preset and what is changed of it, as it was typed; an empty text changes nothing."""

    preset: str
    clients: str = ""
    duration: str = ""
    target: str = ""
    seed: str = ""

    def problems(self) -> dict[str, str]:
        """What cannot be run like this, by field."""
        found = {}
        for name, check in _CHECKS.items():
            text = getattr(self, name).strip()
            try:
                if text:
                    check(text)
            except ValueError:
                found[name] = _MEANT[name]
            except SeatrialError as error:
                found[name] = plain(f"{error.what}: {error.remedy}" if error.remedy else error.what)
        return found

    def argv(self) -> tuple[str, ...]:
        """The arguments of ``seatrial`` that run it. Only for a wish without problems."""
        given = ((f"--{name}", getattr(self, name).strip()) for name in ("target", "clients", "duration", "seed"))
        return ("run", self.preset, *(word for option, text in given if text for word in (option, text)))

    def applied(self, offers: Offers) -> Preset:
        """The preset as it would be run, with what the seed draws where a seed is given. Only for a wish without problems."""
        preset = offers.loaded.config.presets[self.preset]
        changes: dict[str, Any] = {}
        if self.clients.strip():
            changes["clients"] = _clients(self.clients.strip())
        if self.duration.strip():
            changes["duration_s"] = _duration(self.duration.strip())
        if self.target.strip():
            changes["target"] = self.target.strip()
        preset = pinned(msgspec.structs.replace(preset, **changes), changes.get("clients"))
        return Plan.make(self.preset, preset, _seed(self.seed.strip())).preset if self.seed.strip() else preset


def _clients(text: str) -> int:
    return msgspec.convert(int(text), Clients)


def _duration(text: str) -> float:
    return msgspec.convert(float(text) if text.isascii() and text.isdigit() else duration_s(text), Seconds)


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 1 << SEED_BITS:
        raise ValueError(text)
    return seed


_CHECKS: Mapping[str, Callable[[str], object]] = {"clients": _clients, "duration": _duration, "target": target_named, "seed": _seed}
"""Raise ``ValueError`` (``msgspec.ValidationError`` is one) or a ``SeatrialError``."""
_MEANT = {
    "clients": "a number from 1 to 10,000",
    "duration": "90s, 5m or 1h30m, at most a year",
    "seed": f"a number from 0 to {(1 << SEED_BITS) - 1}",
}


def facts(offers: Offers, wish: Wish) -> Iterator[tuple[str, str]]:
    """What a run of this wish would be, label and text, without what the form says. Only for a wish without problems."""
    preset = wish.applied(offers)
    yield "", described(preset)
    yield from _disk(offers, preset)
    if preset.steps:
        yield "each client", " -> ".join(step.value for step in preset.steps) + (f", {preset.rounds:,} rounds" if preset.rounds > 1 else "")
    if random := random_part(preset):
        yield "then", random
    yield "verification", f"every live snapshot, within {duration(preset.verify.budget_s)}"
    yield "runs directory", plain(str(offers.runs_dir))
    yield "runs as", command_line(("seatrial", *wish.argv()))


def _disk(offers: Offers, preset: Preset) -> list[tuple[str, str]]:
    """The room it needs and the room there is, before what that is made of."""
    try:
        free_bytes = free_space_bytes(offers.runs_dir)
    except SeatrialError as error:
        return [("disk", plain(str(error)))]
    if preset.swarm is not None:
        return [("disk", f"as the seed draws it; {size(free_bytes)} free")]
    return sorted(estimated(preset, free_bytes), key=lambda fact: fact[0] != "disk")
