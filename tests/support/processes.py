"""Processes in tests: whether they live, and programs of our own that use seatrial and may be killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

import seatrial

SOURCE_ROOT = str(Path(seatrial.__file__).parents[1])


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_python(program: str, *arguments: str, home: Path) -> subprocess.Popen[bytes]:
    """Start ``program`` (source text) in a session of its own; its first output line is for ``read_numbers``."""
    source = f"import sys; sys.path.insert(0, {SOURCE_ROOT!r})\n{program}"
    with (home / "program.err").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE, stderr=errors, cwd=home, start_new_session=True
        )


def read_numbers(process: subprocess.Popen[bytes]) -> list[int]:
    """The numbers of the next output line."""
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


def kill_and_reap(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, and give everything back."""
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
