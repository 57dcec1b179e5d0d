"""A program of somebody else's: where it is found, and which version it is."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from seatrial.config.loader import program_variable
from seatrial.errors import UsageError
from seatrial.targets.protocols import Availability

_ANSWER_S = 20.0
"""A program that does not tell its version within this is not usable."""

Version = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A program that is there and answered."""

    path: Path
    """Absolute."""
    version: str

    @property
    def numbers(self) -> Version:
        """The version for comparing: ``(0, 14, 0)`` of ``0.14.0-dev``."""
        return numbers_of(self.version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What is known of a program before it is looked for. Threading: immutable."""

    name: str
    """As it is called on PATH."""
    version_arguments: tuple[str, ...] = ("version",)
    version_pattern: str
    """Regular expression over what it prints then, with one group: the version."""
    how_to_get: str
    """One sentence for whoever has not got it."""
    oldest: Version = ()
    """Older ones are refused."""
    elsewhere: tuple[str, ...] = ()
    """Directories looked in after PATH: an ordinary user's has no ``/usr/sbin``."""

    def find(self, exe: str = "") -> Found:
        """``exe``, else what the variable ``<NAME>_EXE`` names, else what PATH leads to.

        ``UsageError`` where it is not there, does not tell its version, or is too old. Asked again only when the file has changed.
        """
        path, origin = self._locate(exe)
        try:
            version = _version_of(str(path), path.stat().st_mtime_ns, self.version_arguments, self.version_pattern)
        except (OSError, subprocess.TimeoutExpired, _NoVersion) as error:
            raise UsageError(f"{path} does not tell its version as {self.name} does", where=origin, remedy=self.how_to_get) from error
        if numbers_of(version) < self.oldest:
            oldest = ".".join(map(str, self.oldest))
            raise UsageError(f"{self.name} {version} is too old, {oldest} is needed", where=str(path), remedy=self.how_to_get)
        return Found(path=path, version=version)

    def availability(self, exe: str = "") -> Availability:
        """The same for ``doctor``; raises nothing."""
        try:
            found = self.find(exe)
        except UsageError as error:
            why_not = f"{error.where}: {error.what}" if error.where else error.what
            return Availability(usable=False, why_not=why_not, how_to_get=self.how_to_get)
        return Availability(usable=True, version=found.version, program=str(found.path))

    def _locate(self, exe: str) -> tuple[Path, str]:
        """The program's file, and who named it."""
        variable, named = program_variable(self.name)
        wanted, origin = (exe, "exe") if exe else (named, variable) if named else (self.name, "PATH")
        path = shutil.which(os.path.expanduser(wanted))  # noqa: PTH111 (pathlib raises where there is no home)
        if path is None and origin == "PATH":
            path = shutil.which(self.name, path=os.pathsep.join(self.elsewhere))
        if path is None:
            what = f"{self.name} is not installed" if origin == "PATH" else f"there is no program {wanted}"
            raise UsageError(what, where="" if origin == "PATH" else origin, remedy=self.how_to_get)
        return Path(path).absolute(), origin


def numbers_of(version: str) -> Version:
    """The leading numbers of a version; empty where there are none."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


class _NoVersion(Exception):
    """Raised, not returned, so that whoever was too slow to answer once is asked again."""


@functools.lru_cache(maxsize=64)
def _version_of(path: str, _changed_ns: int, arguments: tuple[str, ...], pattern: str) -> str:
    with subprocess.Popen(
        [path, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as asked:
        try:
            said = b"".join(asked.communicate(timeout=_ANSWER_S))
        finally:
            if asked.returncode is None:  # with whatever it has started: a wrapper's program would hold the pipes
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(asked.pid, signal.SIGKILL)
    found = re.search(pattern, said.decode(errors="replace"))
    if found is None:
        raise _NoVersion
    return found[1]
