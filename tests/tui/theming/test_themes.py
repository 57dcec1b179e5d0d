"""Themes: those that ride along are complete and readable; a broken one is named and costs nothing; a change is seen at once."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from textual.app import ComposeResult
from textual.color import Color
from textual.theme import Theme
from textual.widgets import Static

from seatrial.config.data import builtin
from seatrial.config.model import UiSettings
from seatrial.errors import UsageError
from seatrial_tui.theming.shelf import DEFAULT, Shelf, load_themes
from seatrial_tui.theming.theme_file import COLOURS, read_theme
from seatrial_tui.theming.themed import ThemedApp
from tests.support.waiting import eventually, soon

BUILT_IN = load_themes([builtin("themes")])
GOOD = builtin("themes").joinpath("dark.toml").read_text(encoding="utf-8")
TEXTS = ("text", "text-muted", "text-success", "text-warning", "text-error", "text-accent")
GROUNDS = ("background", "surface", "panel")


def edited(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_all_that_ride_along_are_themes_and_the_default_is_among_them() -> None:
    assert not BUILT_IN.problems
    assert set(BUILT_IN.themes) == {
        "seatrial-dark",
        "seatrial-light",
        "seatrial-high-contrast",
        "seatrial-colour-blind",
        "seatrial-no-colour",
        "seatrial-terminal",
    }
    assert UiSettings().theme == DEFAULT
    assert {theme.dark for theme in BUILT_IN.themes.values()} == {True, False}


@pytest.mark.parametrize("name", sorted(name for name, theme in BUILT_IN.themes.items() if not theme.ansi))
def test_every_text_can_be_read_on_every_ground(name: str) -> None:
    theme = BUILT_IN.themes[name]
    colours = theme.to_color_system().generate() | theme.variables
    least = 7.0 if name == "seatrial-high-contrast" else 3.0
    for ground in GROUNDS:
        on = Color.parse(colours[ground])
        for text in TEXTS:
            seen = on + resolved(colours[text], on)
            assert contrast(on, seen) >= least, (text, ground)


def contrast(one: Color, other: Color) -> float:
    """Of WCAG 2: (L1 + 0.05) / (L2 + 0.05) of the relative luminances."""
    darker, lighter = sorted(luminance(colour) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: Color) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def resolved(value: str, on: Color) -> Color:
    """A colour as the stylesheet gives it: ``auto 60%`` is black or white, whichever is the farther, at that strength."""
    name, _, alpha = value.partition(" ")
    strength = float(alpha.rstrip("%")) / 100 if alpha else 1.0
    colour = on.get_contrast_text(1.0) if name == "auto" else Color.parse(name)
    return colour.with_alpha(colour.a * strength)


def test_the_theme_without_colour_has_none() -> None:
    theme = BUILT_IN.themes["seatrial-no-colour"]
    assert {getattr(theme, colour) for colour in COLOURS} == {"ansi_default"}
    assert {value for key, value in theme.variables.items() if not key.endswith("-style")} == {"ansi_default"}


def test_the_colour_blind_theme_tells_good_bad_and_warnings_apart_by_lightness() -> None:
    theme = BUILT_IN.themes["seatrial-colour-blind"]
    greys = sorted(Color.parse(colour).brightness for colour in (theme.success or "", theme.warning or "", theme.error or ""))
    assert greys[2] - greys[1] > 0.1


@pytest.mark.parametrize(
    ("text", "line", "what", "remedy"),
    [
        ("name = \n", ", line 1", "not TOML", "correct"),
        (edited('accent = "#e8a33d"', 'accent = "#e8a33"'), ", line 6: accent", "no colour", "#rrggbb"),
        (edited('accent = "#e8a33d"', 'accent = "bluu"'), ", line 6: accent", "no colour", "blue"),
        (edited('accent = "#e8a33d"', "accent = 7"), ", line 6: accent", "no colour", "quotes"),
        (edited("dark = true", 'dark = "yes"'), ", line 3: dark", "neither", "true or false"),
        (edited("seatrial-dark", "My Theme"), ", line 2: name", "no name", "small letters"),
        (edited('primary = "#4ea1d3"\n', ""), "x.toml", "no 'primary'", "add it"),
        (edited("accent", "acent"), ", line 6: acent", "unknown key", "'accent'"),
        (GOOD + '[variables]\nborder-blured = "#123456"\n', ", line 15: border-blured", "unknown key", "border-blurred"),
        (GOOD + '[variables]\nborder = "no such"\n', ", line 15: border", "no colour", ""),
        (GOOD + '[variables]\nlink-style = "fat"\n', ", line 15: link-style", "no text style", "bold"),
        (GOOD + "variables = 3\n", ", line 14: variables", "no table", "[variables]"),
    ],
)
def test_a_broken_theme_is_refused_with_file_line_reason_and_remedy(text: str, line: str, what: str, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_theme(text, "x.toml")
    assert refused.value.where.startswith("x.toml")
    assert line in refused.value.where
    assert what in refused.value.what
    assert remedy in refused.value.remedy


def test_what_is_no_theme_is_told_and_left_out_and_the_users_own_come_first(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.replace("#e8a33d", "#123456"))
    (tmp_path / "b.toml").write_text("name =")
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "d.toml").write_text("# " + "x" * (64 << 10))
    (tmp_path / "e.toml").mkdir()
    (tmp_path / "notes.txt").write_text("no theme")
    found = load_themes([builtin("themes"), tmp_path, tmp_path / "not there"])
    assert found.themes["seatrial-dark"].accent == "#123456"
    assert len(found.themes) == len(BUILT_IN.themes)
    told = "\n".join(found.problems)
    assert [name in told for name in ("b.toml, line 1", "c.toml: not UTF-8", "d.toml: longer", "e.toml: cannot be read")] == [True] * 4
    assert len(found.problems) == 4


class Wearing(ThemedApp[None]):
    """An application that shows one text, and collects what it complains of."""

    CSS = "Static { color: $accent; }"

    def compose(self) -> ComposeResult:
        yield Static("text", id="text")

    def wears(self, colour: str) -> bool:
        """Whether the text has this colour, give or take the rounding of Textual's arithmetic."""
        here, wanted = self.query_one("#text").styles.color.rgb, Color.parse(colour).rgb
        return all(abs(one - other) <= 2 for one, other in zip(here, wanted, strict=True))

    @property
    def told(self) -> str:
        return "\n".join(notification.message for notification in self._notifications)


def shelf(folder: Path) -> Shelf:
    return Shelf([builtin("themes"), folder])


def test_a_saved_change_of_the_theme_is_worn_and_a_broken_one_leaves_the_last_good(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(GOOD.replace("seatrial-dark", "mine"))

    async def wear() -> None:
        app = Wearing("mine", shelf(tmp_path))
        async with app.run_test() as pilot:
            await soon(lambda: app.wears("#e8a33d"))
            mine.write_text(GOOD.replace("seatrial-dark", "mine").replace("#e8a33d", "#112233"))
            await soon(lambda: app.wears("#112233"))
            mine.write_text('name = "mine"\naccent = "#zz"')
            await soon(lambda: "mine.toml" in app.told)
            await pilot.pause()
            assert app.wears("#112233")
            (tmp_path / "other.toml").write_text(GOOD.replace("seatrial-dark", "other"))
            await soon(lambda: "other" in app.available_themes)

    asyncio.run(wear())


def test_a_broken_theme_is_told_once_and_again_when_it_is_saved_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("name")
    with closing(shelf(tmp_path)) as themes:
        assert len(themes.current.problems) == 1
        themes.watch()
        assert eventually(themes._unsure.is_set)
        assert themes.take() is None
        broken.write_text("name")
        assert eventually(lambda: themes.take() is not None)
        assert len(themes.current.problems) == 1


def test_a_theme_that_is_not_there_is_told_and_the_default_worn(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("name")

    async def wear() -> None:
        app = Wearing("mien", shelf(tmp_path))
        async with app.run_test():
            assert app.theme == DEFAULT
            assert "'mien'" in app.told
            assert "broken.toml, line 1" in app.told

    asyncio.run(wear())


@pytest.mark.parametrize("name", sorted(BUILT_IN.themes))
def test_each_theme_can_be_worn_and_left(name: str, tmp_path: Path) -> None:
    async def wear() -> None:
        app = Wearing(DEFAULT, shelf(tmp_path))
        async with app.run_test() as pilot:
            app.theme = name
            await pilot.pause()
            accent: Theme | None = app.get_theme(name)
            assert accent is not None
            app.theme = DEFAULT
            await soon(lambda: app.wears("#e8a33d"))

    asyncio.run(wear())
