"""What this machine can run, and what is missing: for ``seatrial doctor`` and the launch screen.

Looking asks each target's program for its version, which takes a moment.
"""

from __future__ import annotations

import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from seatrial.config.model import Preset
from seatrial.errors import SeatrialError
from seatrial.report.prose import size
from seatrial.resources import OPEN_FILES_WANTED, available_memory_bytes, core_count, free_space_bytes
from seatrial.targets.protocols import Availability
from seatrial.targets.registry import target_named, target_names
from seatrial.version import seatrial_version

REQUIRED_TARGET = "embedded"
"""What every installation must be able to run."""
SCARCE_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Sign:
    """One thing looked at."""

    name: str
    good: bool
    text: str
    remedy: str = ""
    required: bool = False
    """Nothing runs without it."""
    behind: str = ""
    """The target that calls it, where it is one program of several."""


def readiness(runs_dir: Path) -> list[Sign]:
    """All there is to look at, in the order in which a person wants it. Threading: any; raises nothing."""
    return [*_machine(), _runs(runs_dir), *chain.from_iterable(map(_target, target_names())), _fio()]


def _machine() -> list[Sign]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else hard
    few = allowed < 1024
    return [
        Sign(name="seatrial", good=True, text=seatrial_version()),
        Sign(name="python", good=sys.version_info >= (3, 11), text=f"{platform.python_version()}, {sys.executable}", required=True),
        Sign(name="platform", good=sys.platform in ("linux", "darwin"), text=platform.platform()),
        Sign(name="machine", good=True, text=f"{core_count()} cores, {size(available_memory_bytes())} of memory available"),
        Sign(
            name="open files",
            good=not few,
            text=f"{soft:,} now, raised to at most {allowed:,} in a run",
            remedy="raise the hard limit (ulimit -Hn) to run more than a hundred clients" if few else "",
        ),
    ]


def _runs(runs_dir: Path) -> Sign:
    try:
        free = free_space_bytes(runs_dir)
    except SeatrialError as error:
        return Sign(name="runs directory", good=False, text=str(error), remedy="name another with --runs-dir", required=True)
    remedy = "name a place with more room with --runs-dir" if free < SCARCE_BYTES else ""
    return Sign(name="runs directory", good=not remedy, text=f"{runs_dir}, {size(free)} free", remedy=remedy)


def _target(name: str) -> Iterator[Sign]:
    """The target, then, where it calls several programs, each that has not been told with it."""
    required = name == REQUIRED_TARGET
    try:
        target = target_named(name)
        found = target.availability(Preset(target=name))
    except SeatrialError as error:
        yield Sign(name=f"target {name}", good=False, text=error.what, remedy=error.remedy, required=required)
        return
    yield _found(f"target {name}", found, required=required)
    programs = target.traits.programs
    for program in programs if len(programs) > 1 else ():
        of_it = program.availability()
        if not (found.usable and of_it.program == found.program):
            yield _found(f"program {program.name}", of_it, behind=name)


def _found(name: str, found: Availability, *, required: bool = False, behind: str = "") -> Sign:
    text = " ".join(filter(None, (found.version, found.program))) if found.usable else found.why_not
    remedy = "" if found.usable else found.how_to_get
    return Sign(name=name, good=found.usable, text=text, remedy=remedy, required=required, behind=behind)


def _fio() -> Sign:
    program = shutil.which("fio")
    if program:
        return Sign(name="writer fio", good=True, text=program)
    return Sign(
        name="writer fio",
        good=False,
        text="not installed; the native writer needs nothing",
        remedy="install the package fio of your system",
    )
