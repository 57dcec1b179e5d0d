"""Running the commands of a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.children import Children
from seatrial.context import Context
from seatrial.errors import CancelledError, OperationError
from seatrial.targets.programs.commands import STARTED, Commands
from seatrial.targets.programs.outcomes import OutcomeTable, Row
from seatrial.targets.programs.program import Found
from seatrial.verdicts import Outcome

TABLE = OutcomeTable(rows=[Row(code=11, outcome=Outcome.FAILED, cause="contended", recognised="exit code 11")])


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Children(environment={"PATH": "/bin:/usr/bin", "TOOL_SECRET": "users", "OTHER": "kept"}) as children:
        found = Found(path=Path(sys.executable), version="3.11")
        yield Commands(
            found, TABLE, children, scratch=tmp_path / "scratch", env={"TOOL_OWN": "ours"}, without=("TOOL_",), prefix=("-I", "-c")
        )


def test_it_runs_with_our_variables_and_without_the_users(commands: Commands) -> None:
    said = commands.run(Context(), "list", "import os, json; print(sorted(k for k in os.environ if k[:4] in ('TOOL', 'OTHE')))").stdout
    assert said.strip() == "['OTHER', 'TOOL_OWN']"


def test_an_exit_code_is_judged_by_the_table(commands: Commands) -> None:
    with pytest.raises(OperationError) as caught:
        commands.run(Context(), "gc", "raise SystemExit(11)")
    assert (caught.value.cause, caught.value.outcome) == ("contended", Outcome.FAILED)
    assert commands.attempt(Context(), "gc", "raise SystemExit(11)").returncode == 11


def test_one_past_its_deadline_is_unknown_and_one_that_never_began_did_not_happen(commands: Commands) -> None:
    with pytest.raises(OperationError) as caught:
        commands.run(Context().within(0.2), "create", "import threading; threading.Event().wait()")
    assert (caught.value.cause, caught.value.outcome) == ("timeout", Outcome.UNKNOWN)
    over = Context()
    over.cancel.cancel("over")
    with pytest.raises(CancelledError):
        commands.run(over, "create", "raise SystemExit(0)")


def test_commands_are_counted_by_operation(commands: Commands) -> None:
    before = STARTED.started()
    for _ in range(2):
        commands.run(Context(), "list", "pass")
    assert (STARTED.started() - before) == {"list": 2}
