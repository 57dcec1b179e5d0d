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
from seatrial.report.summary import Summary

_encode = msgspec.json.Encoder().encode


class JsonLines:
    """A narrator for machines."""

    def __init__(self, screen: Screen, detail: Detail = Detail.NORMAL) -> None:
        self._screen, self._detail = screen, detail
        self._run_id = ""

    @property
    def lost(self) -> bool:
        return self._screen.lost

    def start(self, run_id: str, directory: Path, seed: int, command: tuple[str, ...]) -> None:
        self._run_id = run_id
        self._put("start", directory=str(directory), seed=seed, command=command)

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
