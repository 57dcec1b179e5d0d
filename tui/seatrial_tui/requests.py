"""Requests to engines, off the screen's thread: an engine that answers slowly must not hold up a key press."""

from __future__ import annotations

import queue
import threading
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from seatrial.errors import SeatrialError


class Answer(NamedTuple):
    """What became of one request."""

    command: str
    text: str
    """The engine's answer, or why there is none."""
    refused: bool


class Requests:
    """Sends one request after the other.

    Threading: ``send`` and ``answers`` from any thread; one daemon thread of its own asks. ``close`` does not wait for a request
    under way: it has a deadline of its own.
    """

    def __init__(self) -> None:
        self._to_ask: queue.SimpleQueue[tuple[Path, str, str] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="requests", daemon=True).start()

    def send(self, run: Path, command: str, argument: str = "") -> None:
        """Ask the engine of this run directory."""
        self._to_ask.put((run, command, argument))

    def answers(self) -> list[Answer]:
        """Those that have come since the last call."""
        return [self._answers.get() for _ in range(self._answers.qsize())]

    def close(self) -> None:
        """Take no more."""
        self._to_ask.put(None)

    def _work(self) -> None:
        while (asked := self._to_ask.get()) is not None:
            run, command, argument = asked
            try:
                # Not before it is needed: it stands on half of the engine, which a screen that is to be there at once does not need.
                text: str = import_module("seatrial.harness.control").request(run, command, argument)
                self._answers.put(Answer(command, text, refused=False))
            except SeatrialError as error:
                self._answers.put(Answer(command, f"{error.what}{f': {error.remedy}' if error.remedy else ''}", refused=True))
            except Exception as error:  # noqa: BLE001 - the thread's boundary: the next request may fare better, and this one is told
                self._answers.put(Answer(command, f"it could not be asked: {type(error).__name__}: {error}", refused=True))
