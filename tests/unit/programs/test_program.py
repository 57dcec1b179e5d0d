"""Finding a program of somebody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seatrial.errors import UsageError
from seatrial.targets.programs import program as module
from seatrial.targets.programs.program import Program, numbers_of
from tests.support.processes import alive
from tests.support.waiting import eventually

TOOL = Program(name="some-tool", version_pattern=r"some-tool (\S+)", how_to_get="install the package some-tool", oldest=(1, 2))


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    monkeypatch.delenv("SOME_TOOL_EXE", raising=False)


def installed(place: Path, says: str = "some-tool 1.4.2 linux") -> Path:
    place.mkdir(exist_ok=True)
    program = place / "some-tool"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def test_it_is_found_on_the_path_with_its_version(tmp_path: Path) -> None:
    program = installed(tmp_path / "bin")
    found = TOOL.find()
    assert (found.path, found.version, found.numbers) == (program, "1.4.2", (1, 4, 2))
    shown = TOOL.availability()
    assert (shown.usable, shown.version, shown.program) == (True, "1.4.2", str(program))


def test_the_variable_beats_the_path_and_exe_beats_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path / "bin")
    named = installed(tmp_path / "named", "some-tool 1.5")
    monkeypatch.setenv("SOME_TOOL_EXE", str(named))
    assert TOOL.find().path == named
    own = installed(tmp_path / "own", "some-tool 2.0")
    assert TOOL.find(str(own)).version == "2.0"


@pytest.mark.parametrize(
    ("exe", "where", "what"),
    [("", "", "some-tool is not installed"), ("/nowhere/some-tool", "exe", "there is no program /nowhere/some-tool")],
)
def test_one_that_is_missing_is_named_with_its_remedy(exe: str, where: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        TOOL.find(exe)
    assert (caught.value.where, caught.value.what, caught.value.remedy) == (where, what, TOOL.how_to_get)
    shown = TOOL.availability(exe)
    assert not shown.usable and what in shown.why_not and shown.how_to_get == TOOL.how_to_get


def test_a_variable_that_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOOL_EXE", "/nowhere/tool")
    with pytest.raises(UsageError, match="there is no program /nowhere/tool") as caught:
        TOOL.find()
    assert caught.value.where == "SOME_TOOL_EXE"


@pytest.mark.parametrize(("says", "what"), [("some-tool 1.1.9", "too old, 1.2 is needed"), ("other 9", "does not tell its version")])
def test_one_that_is_too_old_or_another_is_refused(tmp_path: Path, says: str, what: str) -> None:
    installed(tmp_path / "bin", says)
    with pytest.raises(UsageError, match=what):
        TOOL.find()


def test_a_new_build_at_the_same_place_is_asked_again(tmp_path: Path) -> None:
    program = installed(tmp_path / "bin")
    assert TOOL.find().version == "1.4.2"
    changed_ns = program.stat().st_mtime_ns
    installed(tmp_path / "bin", "some-tool 1.4.3")
    os.utime(program, ns=(changed_ns + 10**9, changed_ns + 10**9))
    assert TOOL.find().version == "1.4.3"


@pytest.mark.parametrize(("text", "numbers"), [("0.14.0-dev", (0, 14, 0)), ("2", (2,)), ("v1.2", ())])
def test_versions_compare_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert numbers_of(text) == numbers


def test_a_program_of_the_administrators_is_found_past_the_path(tmp_path: Path) -> None:
    program = installed(tmp_path / "sbin")
    beyond = Program(name="some-tool", version_pattern=r"some-tool (\S+)", how_to_get="", elsewhere=(str(tmp_path / "sbin"),))
    assert beyond.find().path == program
    first = installed(tmp_path / "bin")
    assert beyond.find().path == first


def test_one_that_was_too_slow_once_is_ended_with_all_it_started_and_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, slow = tmp_path / "slow", tmp_path / "loaded"
    program.write_text(f"#!/bin/sh\nif [ -e '{slow}' ]; then sleep 600 & echo $! > '{slow}'; wait; fi\necho some-tool 1.4\n")
    program.chmod(0o755)
    slow.touch()
    monkeypatch.setattr(module, "_ANSWER_S", 0.5)
    with pytest.raises(UsageError, match="does not tell its version"):
        TOOL.find(str(program))
    pid = int(slow.read_text() or 0)
    assert not pid or eventually(lambda: not alive(pid))
    monkeypatch.setattr(module, "_ANSWER_S", 60.0)
    slow.unlink()
    assert TOOL.find(str(program)).version == "1.4"
