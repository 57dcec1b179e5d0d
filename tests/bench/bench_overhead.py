"""What the harness costs: wall time of the clients that is neither the target's, nor the writer's, nor the checker's.

Four clients with an action each at a time. A client's time is inside while it is in a call of the target's client, of the file
writer, or of fingerprint and comparison; everything else, the waiting at the gate included, is ours.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from seatrial import ActionName, HarnessSettings, Preset, TestHarness, new_client_context, new_client_contexts
from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import ActionOptions, WriteOptions
from seatrial.engine.workers import run_clients
from seatrial.harness.chaos import Chaos
from seatrial.multiclient import client as checked
from seatrial.targets.embedded.client import EmbeddedClient
from seatrial.workload.base import RandomFileWriter
from tests.bench.harness import Row, at_most

CLIENTS, ACTIONS = 4, 60
PRESET = Preset(
    clients=CLIENTS,
    steps=[ActionName.WRITE, ActionName.SNAPSHOT],
    actions_per_client=ACTIONS,
    mix={ActionName.WRITE: 2, ActionName.SNAPSHOT: 2, ActionName.RESTORE: 2, ActionName.DELETE_SNAPSHOT: 1, ActionName.LIST: 1},
    options=ActionOptions(write=WriteOptions(max_dir_depth=2, max_num_files_per_write=50, max_file_size=256 << 10)),
)


class Meter:
    """Seconds spent inside, over all threads; nested calls count once. Threading: any thread."""

    def __init__(self) -> None:
        self.inside_s = 0.0
        self._lock, self._local = threading.Lock(), threading.local()

    @contextmanager
    def inside(self) -> Iterator[None]:
        if getattr(self._local, "depth", 0):
            yield
            return
        self._local.depth, began_s = 1, SYSTEM_CLOCK.monotonic_s()
        try:
            yield
        finally:
            self._local.depth = 0
            with self._lock:
                self.inside_s += SYSTEM_CLOCK.monotonic_s() - began_s

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.inside():
                return function(*args, **kwargs)

        return call


def run() -> list[Row]:
    """One row: the median of three runs."""
    shares = sorted(_share() for _ in range(3))
    return [
        Row(
            name="harness overhead",
            measured=100 * shares[1],
            unit="%",
            aim=at_most(5.0),
            note=f"{CLIENTS} clients, {ACTIONS} actions each; {100 * shares[0]:.1f} to {100 * shares[-1]:.1f} % in three runs",
        )
    ]


def _share() -> float:
    meter, ctx = Meter(), new_client_context()
    seams: list[tuple[Any, str]] = [(EmbeddedClient, name) for name in ("create", "restore", "list", "delete")]
    seams += [(RandomFileWriter, name) for name in ("write_random_files", "delete_random_subdirectory", "delete_directory_contents")]
    seams += [(checked, name) for name in ("fingerprint", "compare")]
    patches = [patch.object(owner, name, meter.timed(getattr(owner, name))) for owner, name in seams]
    settings = partial(HarnessSettings, preset=PRESET, seed=1)
    with tempfile.TemporaryDirectory(prefix="bench-overhead-") as place, TestHarness(ctx, settings(runs_dir=Path(place))) as harness:
        contexts = new_client_contexts(ctx, CLIENTS)
        run_clients(contexts, harness.engine.join)
        spent: list[float] = []

        def work(one: Any) -> None:
            began_s = SYSTEM_CLOCK.monotonic_s()
            Chaos(harness.engine, clock=SYSTEM_CLOCK, fail_fast=True).run([one])
            spent.append(SYSTEM_CLOCK.monotonic_s() - began_s)

        for each in patches:
            each.start()
        try:
            run_clients(contexts, work)
        finally:
            for each in patches:
                each.stop()
    return 1 - meter.inside_s / sum(spent)
