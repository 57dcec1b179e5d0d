"""The user's keys: what fits is taken, what does not is told, and the dashboard starts all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seatrial.config.model import UiSettings
from seatrial_tui.app import WITH_KEYS
from seatrial_tui.keymap import commands, mapped
from seatrial_tui.screens.help import HelpScreen
from tests.tui.app.screens import NARROW, dashboard, shows, until

KNOWN = commands(*WITH_KEYS)


def test_every_command_of_the_dashboard_has_a_name_of_its_own_and_says_what_it_does() -> None:
    assert {"quit", "help", "pause-run", "remark", "hold", "next-finding", "maximise", "pane-7"} <= KNOWN.keys()
    assert all("." not in name for name in KNOWN), "a dot would be a table in TOML"
    assert all(command.description for command in KNOWN.values())


@pytest.mark.parametrize("keys", ["x", "ctrl+b", "f5", "enter,space", "G", "!", "alt+enter", "ctrl+shift+up", "plus", "+"])
def test_a_key_is_taken(keys: str) -> None:
    assert mapped({"quit": keys}, KNOWN) == ({"quit": keys}, [])


@pytest.mark.parametrize("keys", ["", "ctlr+g", "shift+g", "enterr", "a,,b", "ctrl+"])
def test_what_is_no_key_is_told_and_left_out(keys: str) -> None:
    keymap, complaints = mapped({"quit": keys, "help": "h"}, KNOWN)
    assert keymap == {"help": "h"}
    assert len(complaints) == 1
    assert "quit" in complaints[0]
    assert "is no key" in complaints[0]


def test_an_unknown_command_is_told_with_the_nearest() -> None:
    assert mapped({"qiut": "x"}, KNOWN) == ({}, ["ui.keys: there is no command 'qiut'; did you mean 'quit'?"])


@pytest.mark.parametrize(("command", "key", "has_it"), [("help", "q", "quit"), ("quit", "?", "help"), ("table-filter", "s", "table-sort")])
def test_a_key_that_does_something_else_there_is_told_and_left_out(command: str, key: str, has_it: str) -> None:
    keymap, (complaint,) = mapped({command: key}, KNOWN)
    assert keymap == {}
    assert complaint.startswith(f"ui.keys: {command}: ")
    assert f"is the key of {has_it}" in complaint


def test_keys_may_change_places_and_one_that_is_free_by_then_is_taken() -> None:
    swapped = {"help": "q", "quit": "?"}
    assert mapped(swapped, KNOWN) == (swapped, [])
    assert mapped({"help": "q", "quit": "f4"}, KNOWN) == ({"help": "q", "quit": "f4"}, [])


def test_a_key_that_stays_because_its_new_one_is_taken_is_in_nobodys_place() -> None:
    keymap, complaints = mapped({"help": "q", "quit": "p"}, KNOWN)
    assert keymap == {}
    assert len(complaints) == 2


def test_one_key_cannot_be_given_to_two_commands_of_one_place() -> None:
    keymap, complaints = mapped({"help": "f4", "quit": "f4"}, KNOWN)
    assert len(keymap) == len(complaints) == 1


def test_the_dashboard_obeys_the_users_keys_and_says_what_it_could_not_take(finished_run: Path, tmp_path: Path) -> None:
    ui = UiSettings(keys={"help": "h", "quti": "x"})

    async def press() -> None:
        async with dashboard([finished_run], NARROW, tmp_path, ui=ui) as (app, pilot):
            await shows(app, "did you mean 'quit'?")
            await pilot.press("question_mark")
            await pilot.press("h")
            await until(lambda: isinstance(app.screen, HelpScreen), app)
            assert sum(isinstance(screen, HelpScreen) for screen in app.screen_stack) == 1

    asyncio.run(press())
