"""What a real program printed, recorded: ``# program and version``, ``$ command``, ``rc=N``, then its two streams."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from seatrial.children import Completed

_FORM = re.compile(
    r"# (?P<version>.*)\n(?:# .*\n)*\$ (?P<command>.*)\nrc=(?P<rc>-?\d+)\n-- stdout\n(?P<out>[\s\S]*)\n-- stderr\n(?P<err>[\s\S]*)\n"
)
BASE = Path("/base")
"""What stands for the directory of the recording, ``$BASE``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One command of the program."""

    version: str
    command: str
    done: Completed


def transcript(file: Path) -> Transcript:
    """Read one."""
    found = _FORM.fullmatch(file.read_text().replace("$BASE", str(BASE)))
    assert found, f"{file} is no transcript"
    done = Completed(returncode=int(found["rc"]), stdout=found["out"], stderr=found["err"])
    return Transcript(version=found["version"], command=found["command"], done=done)
