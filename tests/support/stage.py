"""A world with a terminal in it: the installed command is typed, driven by keys, and looked at."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from seatrial.history.events import Event, Result, RunEnded, Steer
from seatrial.history.reader import read_journal
from seatrial.history.segments import segment_numbers
from seatrial.verdicts import ExitCode, Verdict
from tests.e2e.test_kills import BUSY
from tests.support.command import World, world
from tests.support.terminal import COMES_S, LOOK_AGAIN_S, Terminal, terminal
from tests.support.waiting import eventually

INSTALLED = Path(sys.executable).with_name("seatrial")
CALM = {"clients": 2, "duration_s": "10m", "mix": {"write-random-files": 1, "list-snapshots": 1}, "options": BUSY["options"]}
"""Ends soon when it is told to: hardly anything is there to be verified."""
PANES = ("Clients", "Server log", "Findings", "Server", "Statistics: this run", "Cache", "Directories")
"""In the order of their keys."""
QUESTION = "What is to become of it?"
FOOTER = "Help"
E = TypeVar("E", bound=Event)


class Stage:
    """A world, and a terminal in it on which ``seatrial`` is the installed command."""

    def __init__(self, place: World, shown: Terminal, programs: Path) -> None:
        self.place, self.terminal, self._programs = place, shown, programs
        self.program("seatrial", str(INSTALLED))

    def program(self, name: str, *argv: str) -> None:
        """Have the shell know a program, which has this world as its own: what outlives it is found."""
        variables = {**self.place.environment(), "SEATRIAL_RUNS_DIR": str(self.place.runs_dir), "PYTHONPATH": ""}
        words = shlex.join(("env", *(f"{key}={value}" for key, value in variables.items()), *argv))
        path = self._programs / name
        path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        path.chmod(0o755)

    def enter(self, command: str) -> None:
        """Type a command; ``ended`` waits for its end."""
        self.terminal.enter(f"{command}; echo ended with $?")

    def ended(self) -> int:
        """The exit code of the command, once the prompt is back."""
        screen = self.terminal.wait_until(lambda text: re.search(r"^ended with \d+$", text, re.MULTILINE), "it does not end")
        return int(re.findall(r"^ended with (\d+)$", screen, re.MULTILINE)[-1])

    # -- the run

    @property
    def run(self) -> Path:
        """The newest run's directory."""
        assert eventually(self.place.runs, COMES_S, LOOK_AGAIN_S), self.terminal.screen
        return self.place.runs()[-1]

    def events(self, kind: type[E]) -> list[E]:
        """Of the newest run, which has no gap."""
        run = self.run
        records = list(read_journal(run, on_gap=_no_gap)) if segment_numbers(run) else []
        return [record.event for record in records if isinstance(record.event, kind)]

    def wait_for(self, kind: type[E], **fields: object) -> E:
        """The first event of ``kind`` with these fields in the newest run's journal."""
        found: list[E] = []

        def look() -> bool:
            found.extend(event for event in self.events(kind) if fields.items() <= msgspec.structs.asdict(event).items())
            return bool(found)

        assert eventually(look, COMES_S, LOOK_AGAIN_S), f"no {kind.__name__} {fields}: {self.events(Steer)}\n{self.terminal.screen}"
        return found[0]

    def steered(self) -> list[tuple[str, str]]:
        """What was asked of the run, and by whom."""
        return [(steer.command, steer.by) for steer in self.events(Steer)]

    def goes_on(self) -> None:
        """Its actions go on from now on."""
        begun = len(self.events(Result))
        assert eventually(lambda: len(self.events(Result)) > begun, COMES_S, LOOK_AGAIN_S), self.terminal.screen

    # -- what every test ends with

    def nothing_is_left(self) -> None:
        """No process, port or directory of any run."""
        assert self.place.gone(), self.place.left()

    def run_stopped_cleanly(self) -> None:
        """The journal is whole and has its verdict."""
        end = self.wait_for(RunEnded)
        assert (end.verdict, end.exit_code, end.aborted) == (Verdict.PASS, ExitCode.PASS, False)
        self.nothing_is_left()
        assert self.events(RunEnded)

    def reports(self) -> list[Path]:
        """Crash reports."""
        return [path for path in self.place.temporary.iterdir() if path.name.startswith("seatrial-crash-")]


def _no_gap(gap: object) -> None:
    raise AssertionError(f"the journal has a gap: {gap}")


@contextmanager
def stage(root: Path, size: tuple[int, int]) -> Iterator[Stage]:
    with world(root) as place:
        place.config(calm=CALM)
        programs = root / "programs"
        programs.mkdir()
        environment = {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "HOME": str(place.home), "LANG": "C.UTF-8"}
        with terminal(root, size=size, environment=environment) as shown:
            yield Stage(place, shown, programs)
