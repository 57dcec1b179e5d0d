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
    assert all(KNOWN.values())


@pytest.mark.parametrize("keys", ["x", "ctrl+g", "f5", "enter,space", "G", "?", "alt+enter", "ctrl+shift+up", "plus", "+"])
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
