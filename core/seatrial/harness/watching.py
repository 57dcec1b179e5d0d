"""Telemetry of a running harness: what is sampled once a second, and where it comes from."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from seatrial.children import Child
from seatrial.harness.dirs import dirs_to_log
from seatrial.harness.harness import TestHarness
from seatrial.history.frames import Frame
from seatrial.history.telemetry import TelemetryWriter
from seatrial.observe.directories import DirectoryMeter
from seatrial.observe.processes import ProcessSampler, Watched
from seatrial.observe.sampler import FramePart, Sampler


class Watching:
    """Samples the engine, the processes, the directories, the caches and the server; writes frames and folds them.

    A context manager. Threading: one thread enters and leaves; the sources run on the sampler's. A source that fails is left out and
    does not touch the run.
    """

    def __init__(self, harness: TestHarness) -> None:
        self._harness = harness
        self._processes = ProcessSampler(harness.clock)
        self._meter = DirectoryMeter(harness.clock)
        self._sampler = Sampler(self._write, clock=harness.clock)
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        """Also where the machine has no thread for one of them, the others end: one left over would keep the process from its end."""
        with ExitStack() as undo:
            self._writer = TelemetryWriter(self._harness.history.directory, self._harness.clock)
            undo.callback(self._writer.close)
            undo.callback(self._meter.close)
            undo.callback(self._sampler.close)
            self._sampler.add("engine", self._engine)
            self._sampler.add("processes", self._sample_processes)
            self._sampler.add("directories", self._directories)
            self._sampler.add("caches", self._caches, blocking=True)
            self._sampler.add("server", self._server, blocking=True)
            for label, path in self._worth_logging():
                self._meter.watch(path, label)
            self._meter.start()
            self._sampler.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        """One last frame, then all threads end."""
        self._undo.close()

    def _worth_logging(self) -> list[tuple[str, Path]]:
        return dirs_to_log(self._harness.history.prefix, self._harness.base, self._harness.base, ())

    def _write(self, frame: Frame) -> None:
        self._writer.write(frame)
        self._harness.history.fold.apply_frame(frame)

    def _engine(self) -> FramePart:
        engine = self._harness.engine
        return FramePart(
            paused=engine.gate.paused,
            in_flight=engine.gate.in_flight,
            waiting=engine.gate.waiting,
            clients=engine.clients.frames(),
            server_log_bytes=self._harness.history.server_log_offset(),
        )

    def _sample_processes(self) -> FramePart:
        command: Child | None = self._harness.server.server_cmd()
        watched = {"engine": Watched(os.getpid(), with_descendants=False)}
        if command is not None and command.returncode is None:
            watched["server"] = Watched(command.pid)
        return FramePart(processes=self._processes.sample(watched))

    def _directories(self) -> FramePart:
        return FramePart(directories=self._meter.frames())

    def _caches(self) -> FramePart:
        return FramePart(caches=self._harness.snapshotter.caches())

    def _server(self) -> FramePart:
        return FramePart(server=self._harness.server.frame())
