"""The launch screen of a bare ``seatrial``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from seatrial.config.model import Preset
from seatrial.history.runs import create_run
from seatrial.targets.embedded.target import EmbeddedTarget
from seatrial.targets.protocols import Availability
from seatrial_tui.lines.page import Page
from seatrial_tui.lines.table import LineTable
from seatrial_tui.screens.choose import ChooseScreen
from seatrial_tui.screens.help import HelpScreen
from seatrial_tui.screens.launch import Launch
from seatrial_tui.theming.shelf import user_folder
from tests.tui.screens.still import SIZES, drive, text_of, until
from tests.unit.report.story import clean_run, damaged_run


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, a home and a store of runs of its own; the store."""
    home, work, store = tmp_path / "home", tmp_path / "work", tmp_path / "runs"
    home.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SEATRIAL_RUNS_DIR", str(store))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "SEATRIAL_PRESET", "SEATRIAL_REPO_PATH_PREFIX", "SEATRIAL_SET"):
        monkeypatch.delenv(name, raising=False)
    return store


async def ready(pilot: Pilot[tuple[str, ...] | None]) -> ChooseScreen:
    """Wait until everything has been found out."""
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, ChooseScreen) and app.screen.is_mounted)
    screen = app.screen
    assert isinstance(screen, ChooseScreen)
    await until(pilot, lambda: "looking at" not in about(screen))
    return screen


def about(screen: ChooseScreen) -> str:
    """What is said of the selected preset and of the machine, whatever is in sight."""
    return screen.query_one(Page).text or "looking at"


@pytest.mark.parametrize("size", SIZES)
def test_presets_what_one_would_do_and_former_runs_are_shown(surroundings: Path, size: tuple[int, int]) -> None:
    clean_run(create_run(surroundings, "smoke").path)
    damaged_run(create_run(surroundings, "soak").path)
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        screen = await ready(pilot)
        await until(pilot, lambda: "✗ FAIL" in text_of(app))
        text = text_of(app)
        assert "smoke *" in text
        assert "✓ PASS" in text
        assert "many-small-files" in text
        assert "B free" in " ".join(about(screen).split())
        assert "✓ " in about(screen)
        assert max(map(len, text.splitlines())) <= size[0]
        assert all(line.isprintable() for line in text.split("\n"))

    drive(app, steps, size)


@pytest.mark.parametrize("size", [(40, 10), (110, 10)])
def test_on_a_small_terminal_there_are_presets_to_choose_from(surroundings: Path, size: tuple[int, int]) -> None:
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        await ready(pilot)
        await until(pilot, lambda: "smoke *" in text_of(app))
        await pilot.press("r")
        await until(pilot, lambda: "no run yet" in text_of(app))
        await pilot.press("p", "down")
        await until(pilot, lambda: "many-small-files" in text_of(app))

    drive(app, steps, size)


@pytest.mark.parametrize(
    ("keys", "argv"),
    [
        (["enter"], ("run", "smoke")),
        (["down", "enter"], ("run", "many-small-files")),
        (["c", *"12", "enter"], ("run", "smoke", "--clients", "12")),
        (["d", *"90s", "escape", "enter"], ("run", "smoke", "--duration", "90s")),
        (["c", *"2", "tab", *"5m", "tab", "tab", *"77", "enter"], ("run", "smoke", "--clients", "2", "--duration", "5m", "--seed", "77")),
        (["t", *"embedded", "enter"], ("run", "smoke", "--target", "embedded")),
        (["q"], None),
    ],
)
def test_keys_alone_make_the_arguments(surroundings: Path, keys: list[str], argv: tuple[str, ...] | None) -> None:
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        await ready(pilot)
        await pilot.press(*keys)
        await until(pilot, lambda: not app.is_running or app.return_code is not None)

    drive(app, steps)
    assert app.return_value == argv


def test_what_is_said_follows_the_selection(surroundings: Path) -> None:
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        screen = await ready(pilot)
        assert about(screen).startswith("smoke\n")
        await pilot.press("down")
        await until(pilot, lambda: about(screen).startswith("many-small-files\n"))
        few = next(line for line in about(screen).splitlines() if "disk" in line)
        await pilot.press("c", *"1000")
        await until(pilot, lambda: few not in about(screen) and "seatrial run many-small-files --clients 1000" in about(screen))

    drive(app, steps, (160, 50))


def test_the_users_theme_and_keys_are_taken_and_a_broken_theme_is_told(surroundings: Path) -> None:
    themes = user_folder()
    themes.mkdir(parents=True)
    (themes / "broken.toml").write_text("name = [")
    Path("config.toml").write_text('[ui]\ntheme = "seatrial-light"\n[ui.keys]\nlaunch-runs = "f2"\n"no-such" = "x"\n')
    clean_run(create_run(surroundings, "smoke").path)
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        screen = await ready(pilot)
        await until(pilot, lambda: "✓ PASS" in text_of(app))
        assert app.theme == "seatrial-light"
        assert ["broken.toml" in toast.message for toast in app._notifications] == [True]
        runs = screen.query_one("#runs LineTable")
        await pilot.press("r")
        assert app.focused is not runs, "the key it had is free"
        await pilot.press("f2")
        await until(pilot, lambda: app.focused is runs)

    drive(app, steps)


def test_enter_on_a_former_run_shows_it(surroundings: Path) -> None:
    made = clean_run(create_run(surroundings, "smoke").path)
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        await ready(pilot)
        await until(pilot, lambda: "✓ PASS" in text_of(app))
        await pilot.press("r", "enter")
        await until(pilot, lambda: app.return_code is not None)

    drive(app, steps)
    assert app.return_value == ("watch", str(made))


def test_what_is_wrong_in_the_form_is_said_and_nothing_starts(surroundings: Path) -> None:
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        screen = await ready(pilot)
        await pilot.press("t", *"embeded")
        await until(pilot, lambda: "did you mean embedded?" in about(screen))
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(app.focused, Input) and app.focused.id == "target")
        assert app.screen is screen
        await pilot.press("home", "ctrl+k", *"embedded")
        await until(pilot, lambda: "did you mean" not in about(screen))
        await pilot.press("enter")
        await until(pilot, lambda: app.return_code is not None)

    drive(app, steps)
    assert app.return_value == ("run", "smoke", "--target", "embedded")


def test_a_target_whose_program_is_missing_is_told_and_not_started(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_target: EmbeddedTarget, _preset: Preset) -> Availability:
        return Availability(usable=False, why_not="no program [kopia]", how_to_get="install [/it]")

    monkeypatch.setattr(EmbeddedTarget, "availability", missing)
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        screen = await ready(pilot)
        told = " ".join(about(screen).split())
        assert "cannot run here no program [kopia]: install [/it]" in told
        assert "- no program [kopia]" in told
        await pilot.press("enter")
        await until(
            pilot, lambda: [toast.message for toast in app._notifications] == ["cannot run here: no program [kopia]: install [/it]"]
        )
        assert app.screen is screen

    drive(app, steps, (120, 40))


@pytest.mark.parametrize("size", SIZES)
def test_a_configuration_with_a_mistake_is_told_with_file_key_and_remedy_and_read_again(surroundings: Path, size: tuple[int, int]) -> None:
    file = Path("config.toml")
    file.write_text("[presets.smoke]\nclient = 3\n")
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        screen = await ready(pilot)
        told = " ".join(about(screen).split())
        assert "The configuration cannot be used." in told
        assert "config.toml:2" in told
        assert "client" in told
        assert "did you mean" in told
        await pilot.press("enter")
        assert app.screen is screen
        file.write_text("[presets.smoke]\nclients = 3\n")
        await pilot.press("f5")
        await until(pilot, lambda: app.screen is not screen and "smoke *" in text_of(app))
        screen = await ready(pilot)
        assert screen.query_one("#clients", Input).placeholder == "3"
        await pilot.press("enter")
        await until(pilot, lambda: not app.is_running or app.return_code is not None)

    drive(app, steps, size)
    assert app.return_value == ("run", "smoke")


def test_help_tells_its_keys(surroundings: Path) -> None:
    app = Launch()

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        await ready(pilot)
        await until(pilot, lambda: isinstance(app.focused, LineTable))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        text = app.screen.query_one(Page).text
        assert "Change clients" in text
        assert "Enter on a preset starts it" in " ".join(text.split())

    drive(app, steps)


def test_a_defect_in_the_thread_ends_the_screen_instead_of_leaving_it_empty(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("seatrial_tui.screens.offers.survey", broken)

    async def steps(pilot: Pilot[tuple[str, ...] | None]) -> None:
        await until(pilot, lambda: not pilot.app.is_running)

    app = Launch()
    with pytest.raises(ZeroDivisionError, match="a defect"):
        drive(app, steps)
    assert isinstance(app.crash, ZeroDivisionError), "who runs it writes the crash report"


def test_the_first_frame_needs_nothing_heavy() -> None:
    script = "import sys, seatrial_tui.screens.launch; print([m for m in sys.modules if m.startswith(('seatrial.', 'msgspec', 'psutil'))])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
