"""What the harness costs on each target that is there, and how many commands each action takes.

Four clients with an action each at a time. A client's time is inside while it is in a call of the target's client, of the file
writer, or of fingerprint and comparison; everything else is ours, the waiting at the gate included, unless the target declares that one
of these actions excludes others: then its lock is what is waited for.
"""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import msgspec

from seatrial import ActionName, HarnessSettings, Preset, TestHarness, new_client_context, new_client_contexts
from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import ActionOptions, WriteOptions
from seatrial.engine.gate import Gate
from seatrial.engine.workers import run_clients
from seatrial.harness.chaos import Chaos
from seatrial.multiclient import client as checked
from seatrial.targets.programs.commands import Tally
from seatrial.targets.protocols import Availability, Server, Surroundings, Target, TargetClient
from seatrial.targets.registry import target_named, target_names
from seatrial.workload.base import RandomFileWriter
from tests.bench.harness import Row, at_most

CLIENTS = 4
OF_CLIENTS = ("create", "restore", "list", "delete")
"""The calls of a target's client that are commands of its program, where it has one."""
ACTIONS_IN_PROCESS, ACTIONS_BY_PROGRAM = 60, 8
"""Of each client: a program takes a hundred times as long."""
RUNS_IN_PROCESS = 3
PRESET = Preset(
    clients=CLIENTS,
    steps=[ActionName.WRITE, ActionName.SNAPSHOT],
    mix={ActionName.WRITE: 2, ActionName.SNAPSHOT: 2, ActionName.RESTORE: 2, ActionName.DELETE_SNAPSHOT: 1, ActionName.LIST: 1},
    options=ActionOptions(write=WriteOptions(max_dir_depth=2, max_num_files_per_write=50, max_file_size=256 << 10)),
)


class Meter:
    """Seconds spent inside, over all threads; nested calls count once. Threading: any thread."""

    def __init__(self) -> None:
        self.inside_s = 0.0
        self.calls: Counter[str] = Counter()
        self._lock, self._local = threading.Lock(), threading.local()

    @contextmanager
    def inside(self, name: str = "") -> Iterator[None]:
        if getattr(self._local, "depth", 0):
            yield
            return
        self._local.depth, self._local.name, began_s = 1, name, SYSTEM_CLOCK.monotonic_s()
        try:
            yield
        finally:
            self._local.depth, self._local.name = 0, ""
            with self._lock:
                self.inside_s += SYSTEM_CLOCK.monotonic_s() - began_s
                self.calls[name] += 1

    @property
    def current(self) -> str:
        """What this thread is inside of; empty for nothing."""
        name: str = getattr(self._local, "name", "")
        return name

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.inside(function.__name__):
                return function(*args, **kwargs)

        return call


class MeteredTarget:
    """A target whose clients' calls are timed."""

    def __init__(self, target: Target, meter: Meter) -> None:
        self._target, self._meter = target, meter
        self.name, self.traits = target.name, target.traits

    def availability(self, preset: Preset) -> Availability:
        return self._target.availability(preset)

    def make_server(self, around: Surroundings) -> Server:
        return self._target.make_server(around)

    def make_client(self, around: Surroundings, directory: Path) -> TargetClient:
        client = self._target.make_client(around, directory)
        for name in OF_CLIENTS:
            setattr(client, name, self._meter.timed(getattr(client, name)))
        return client


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one run."""

    outside: float
    """Share of the clients' time that is the harness's."""
    outside_calls: float
    """The same with writing, fingerprints and comparing counted as the harness's."""
    commands: Counter[tuple[str, str]]
    """Started, by call and operation."""
    calls: Counter[str]
    """Of the target's clients."""


def run() -> list[Row]:
    """Two rows for each target whose program is there; of the embedded one, which starts none, the median of three runs."""
    return [row for name in target_names() for row in _rows(target_named(name))]


def _rows(target: Target) -> Iterator[Row]:
    name = f"harness overhead on {target.name}"
    found = target.availability(Preset(target=target.name))
    if not found.usable:
        yield Row.skipped(name, found.why_not)
        return
    by_program = bool(found.program)
    actions = ACTIONS_BY_PROGRAM if by_program else ACTIONS_IN_PROCESS
    costs = [_cost(target, actions) for _ in range(1 if by_program else RUNS_IN_PROCESS)]
    yield Row(
        name=name,
        measured=100 * median(cost.outside for cost in costs),
        unit="%",
        aim=at_most(5.0),
        note=f"{CLIENTS} clients, {actions} actions each; with writing, fingerprints and comparing "
        f"{100 * median(cost.outside_calls for cost in costs):.1f} %",
    )
    if by_program:
        (cost,) = costs
        yield Row(
            name=f"commands per action on {target.name}",
            measured=sum(cost.commands.values()) / sum(cost.calls.values()),
            unit="",
            note="; ".join(_commands_of(call, cost) for call in OF_CLIENTS if cost.calls[call]),
        )


def _commands_of(call: str, cost: Cost) -> str:
    of_it = {operation: count for (of, operation), count in cost.commands.items() if of == call}
    parts = " + ".join(f"{count / cost.calls[call]:.2f} {operation}" for operation, count in sorted(of_it.items()))
    return f"{call} ({cost.calls[call]}): {parts or 'none'}"


def _cost(target: Target, actions: int) -> Cost:
    calls, everything, ctx = Meter(), Meter(), new_client_context()
    preset = msgspec.structs.replace(PRESET, target=target.name, actions_per_client=actions)
    with tempfile.TemporaryDirectory(prefix="bench-overhead-") as place:
        settings = HarnessSettings(preset=preset, seed=1, runs_dir=Path(place), target=MeteredTarget(target, calls))
        with TestHarness(ctx, settings) as harness:
            contexts = new_client_contexts(ctx, CLIENTS)
            run_clients(contexts, harness.engine.join)
            spent: list[float] = []

            def work(one: Any) -> None:
                began_s = SYSTEM_CLOCK.monotonic_s()
                Chaos(harness.engine, clock=SYSTEM_CLOCK, fail_fast=True).run([one])
                spent.append(SYSTEM_CLOCK.monotonic_s() - began_s)

            joined_s, started = calls.inside_s, list[tuple[str, str]]()
            with ExitStack() as patches:
                patches.enter_context(patch.object(Tally, "count", lambda _, operation: started.append((calls.current, operation))))
                queued = _measure(patches, everything, excludes=bool(target.traits.exclusive & preset.mix.keys()))
                run_clients(contexts, work)
            in_calls_s = calls.inside_s - joined_s
            whole_s = sum(spent)
            results = harness.engine.statistics().actions
            wrong = {row.action: dict(row.errors) for row in results if row.failed or row.unknown}
            if wrong:
                raise RuntimeError(f"{target.name}: what failed was not measured: {wrong}")
            outside_calls = 1 - (in_calls_s + queued.inside_s) / whole_s
            # The writer, fingerprints and comparisons are never inside a call of the client, nor the other way round.
            return Cost(
                outside=outside_calls - everything.inside_s / whole_s,
                outside_calls=outside_calls,
                commands=Counter(started),
                calls=calls.calls.copy(),  # at the end of the harness there are more
            )


def _measure(patches: ExitStack, work: Meter, *, excludes: bool) -> Meter:
    """Time writing, fingerprints and comparing in ``work``; returns the meter of what is waited for at the gate of a target that
    ``excludes``."""
    seams: list[tuple[Any, str]] = [
        *((RandomFileWriter, name) for name in ("write_random_files", "delete_random_subdirectory", "delete_directory_contents")),
        *((checked, name) for name in ("fingerprint", "compare")),
    ]
    for owner, name in seams:
        patches.enter_context(patch.object(owner, name, work.timed(getattr(owner, name))))
    queued, admit = Meter(), Gate.admit

    @contextmanager
    def timed_admit(gate: Gate, *args: Any, **kwargs: Any) -> Iterator[float]:
        with ExitStack() as passage:
            with queued.inside():
                queue_s = passage.enter_context(admit(gate, *args, **kwargs))
            yield queue_s

    if excludes:
        patches.enter_context(patch.object(Gate, "admit", timed_admit))
    return queued
