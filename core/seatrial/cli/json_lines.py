"""``--json``: one JSON document a line on standard output.

The form::

    {"type": "start", "run_id": ..., "directory": ..., "seed": ..., "command": [...]}
    {"type": "event", "run_id": ..., "record": {"seq": 1, "at_ns": ..., "event": {"kind": "plan", ...}}}
    ...
    {"type": "summary", "run_id": ..., "report": {...}}

``record`` is a line of the journal; all are there in ``seq`` order, except those of kind ``trees`` (fingerprints, of no use without the
files). ``report`` is ``report.json``. ``--quiet`` leaves out the events that are no findings. With ``--repeat`` the documents of one
run follow those of the run before. ``--dry-run`` gives one document ``{"type": "plan", ...}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from seatrial.cli.lines import Detail
from seatrial.cli.terminal import Screen
from seatrial.history.events import Finding, Record, Trees
from seatrial.history.view import RunView
from seatrial.report.document import document
from seatrial.report.prose import block
from seatrial.report.summary import Summary

_encode = msgspec.json.Encoder().encode


class JsonLines:
    """A narrator for machines."""

    def __init__(
        self, screen: Screen, diagnostics: Screen, seed: int, command: tuple[str, ...] = (), detail: Detail = Detail.NORMAL
    ) -> None:
        self._screen, self._diagnostics, self._detail = screen, diagnostics, detail
        self._seed, self._command = seed, command
        self._run_id = ""

    @property
    def lost(self) -> bool:
        return self._screen.lost

    def start(self, directory: Path) -> None:
        self._run_id = directory.name
        self._put("start", directory=str(directory), seed=self._seed, command=self._command)

    def note(self, text: str) -> None:
        for line in block(f"seatrial: {text}", indent=2):
            self._diagnostics.line(line)

    def record(self, record: Record) -> None:
        if isinstance(record.event, Trees) or (self._detail is Detail.QUIET and not isinstance(record.event, Finding)):
            return
        self._put("event", record=record)

    def tick(self, view: RunView) -> None:
        """Nothing: rates and progress follow from the events."""

    def finish(self, summary: Summary) -> None:
        self._put("summary", report=document(summary))

    def _put(self, kind: str, **fields: Any) -> None:
        self._screen.line(_encode({"type": kind, "run_id": self._run_id, **fields}).decode())
