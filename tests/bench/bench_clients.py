"""A thousand clients on this machine: memory of engine and server, and whether each gets its share of actions.

The run is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from statistics import median

import psutil

from seatrial import ActionName, HarnessSettings, Preset, TestHarness, new_client_context, new_client_contexts, unwrap_context
from seatrial.clock import SYSTEM_CLOCK
from seatrial.config.model import ActionOptions, WriteOptions
from seatrial.engine.workers import run_clients
from seatrial.harness.chaos import Chaos
from tests.bench.harness import Row, at_least, at_most

CLIENTS = 1000
CHAOS_S = 30.0
PRESET = Preset(
    clients=CLIENTS,
    duration_s=CHAOS_S,
    mix={ActionName.WRITE: 1, ActionName.SNAPSHOT: 1},
    options=ActionOptions(write=WriteOptions(max_dir_depth=1, max_num_files_per_write=2, max_file_size=8 << 10)),
)


def run() -> list[Row]:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="bench-clients-") as place:
        done = subprocess.run([sys.executable, "-m", __spec__.name, place], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    note = f"peak of engine and server; {found['actions']} actions, joined in {found['join_s']:.1f} s, {found['threads']} threads"
    share = f"over the median's {found['median']:g}; least {found['least']}, most {found['most']}"
    return [
        Row(name="memory of 1,000 clients", measured=found["memory"] / 1e9, unit="GB", aim=at_most(2.0), note=note),
        Row(name="share of the client at the 1st percentile", measured=found["p1"] / found["median"], aim=at_least(0.5), note=share),
        Row(name="share of the client at the 99th percentile", measured=found["p99"] / found["median"], aim=at_most(2.0), note=share),
    ]


class _Peak:
    """The largest sum of resident memory of this process and its children, looked at four times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._ended.wait(0.25):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.bytes = max(self.bytes, total)

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        return self.bytes


def _measure(place: Path) -> dict[str, float]:
    ctx, counts = new_client_context(), Counter[str]()
    peak, clock = _Peak(), SYSTEM_CLOCK
    with TestHarness(ctx, HarnessSettings(runs_dir=place, preset=PRESET)) as harness:
        contexts = new_client_contexts(ctx, CLIENTS)
        began_s = clock.monotonic_s()
        run_clients(contexts, harness.engine.join)
        joined_s = clock.monotonic_s()
        chaos = Chaos(harness.engine, clock=clock, fail_fast=False)
        alarm = threading.Timer(CHAOS_S, chaos.end)
        alarm.start()
        chaos.run(contexts)
        ended_s, threads = clock.monotonic_s(), threading.active_count()
        for one in contexts:
            slot = harness.engine.clients.of(unwrap_context(one).id)
            counts[unwrap_context(one).id] = slot.actions if slot else 0
            if slot:
                slot.wrote_since_snapshot = False  # a thousand last snapshots are not what is measured
        run_clients(contexts, harness.engine.leave)
    ordered = sorted(counts.values())
    return {
        "memory": peak.end(),
        "join_s": joined_s - began_s,
        "chaos_s": ended_s - joined_s,
        "threads": CLIENTS + threads,
        "actions": counts.total(),
        "least": ordered[0],
        "p1": ordered[CLIENTS // 100],
        "median": median(ordered),
        "p99": ordered[-CLIENTS // 100],
        "most": ordered[-1],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(Path(sys.argv[1]))))
