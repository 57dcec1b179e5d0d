"""What is asked for lines when a little has changed, and that the terminal is sent the same as if everything were asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from textual._compositor import ChopsUpdate, Compositor
from textual._styles_cache import StylesCache
from textual.dom import DOMNode
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from seatrial_tui.app import Dashboard
from seatrial_tui.lines.sheet import Sheet
from seatrial_tui.lines.table import LineTable
from seatrial_tui.panes.clients.pane import ClientsPane
from seatrial_tui.panes.pane import Pane
from seatrial_tui.panes.server.pane import ServerPane
from seatrial_tui.panes.server_log.pane import ServerLogPane
from seatrial_tui.panes.server_log.view import LogView
from seatrial_tui.screens.painting import SparingCompositor
from tests.tui.app.screens import NARROW, WIDE, dashboard, shows, until

MOVES_FOR_NOTHING = re.compile(r"\x1b\[\d+;\d+H(?=\x1b\[\d+;\d+H|\n|$)")
"""To a place where nothing is written."""


def on_dashboard(run: Path, files: Path, act: Callable[[Dashboard], None], size: tuple[int, int] = WIDE) -> None:
    """Do something once all is painted and nothing waits to be."""

    async def play() -> None:
        async with dashboard([run], size, files) as (app, _):
            await shows(app, "Clients", "■ ended")
            await until(lambda: not app.screen._dirty_widgets and not app.screen._layout_required, app)
            act(app)

    asyncio.run(play())


def asked(app: Dashboard, changed: Iterable[Region], monkeypatch: pytest.MonkeyPatch) -> dict[Widget, range]:
    """Which widgets are asked for which of their lines to paint these regions of the screen."""
    found: dict[Widget, range] = {}
    with monkeypatch.context() as patch:
        for kind in {type(widget) for widget in app.screen._compositor.visible_widgets}:
            patch.setattr(kind, "render_lines", _noting(kind.render_lines, found))
        app.screen._compositor._dirty_regions.update(changed)
        app.screen._compositor.render_partial_update()
    return found


def _noting(render: Callable[[Widget, Region], list[Strip]], found: dict[Widget, range]) -> Callable[[Widget, Region], list[Strip]]:
    def note(widget: Widget, crop: Region) -> list[Strip]:
        found.setdefault(widget, range(*crop.line_span))
        return render(widget, crop)

    return note


def test_one_line_of_a_table_asks_for_that_line_and_nothing_else(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(app: Dashboard) -> None:
        table = app.screen.query_one(ClientsPane).query_one(LineTable)
        line = Region(table.content_region.x, table.region.y + 2, table.content_region.width, 1)
        assert asked(app, [line], monkeypatch) == {table: range(2, 3)}

    on_dashboard(finished_run, tmp_path, act)


def test_two_panes_that_have_changed_do_not_ask_what_lies_between(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(app: Dashboard) -> None:
        table, server = app.screen.query_one(ClientsPane).query_one(LineTable), app.screen.query_one(ServerPane).query_one(Sheet)
        lines = [table.content_region.crop_size((1000, 1)), server.content_region]
        assert set(asked(app, lines, monkeypatch)) == {table, server}

    on_dashboard(finished_run, tmp_path, act)


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_the_terminal_is_sent_what_it_would_be_if_all_widgets_were_asked(finished_run: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    def sent(app: Dashboard, compositor: type[Compositor], changed: Sequence[Region]) -> str:
        ours = app.screen._compositor
        ours._dirty_regions.update(changed)
        update = compositor.render_partial_update(ours)
        assert isinstance(update, ChopsUpdate)
        return MOVES_FOR_NOTHING.sub("", update.render_segments(app.console))

    def act(app: Dashboard) -> None:
        assert isinstance(app.screen._compositor, SparingCompositor)
        width, height = size
        regions = [
            widget.region for widget in app.screen._compositor.visible_widgets if isinstance(widget, Pane | LineTable | LogView | Sheet)
        ]
        cases = [[region] for region in regions if region]
        cases += [
            [Region(x, y, 7, 3), Region(width - 9 - x, height - 4 - y, 9, 2)] for x in range(0, 60, 7) for y in range(0, height - 4, 5)
        ]
        assert len(cases) > 30
        for changed in cases:
            assert sent(app, SparingCompositor, changed) == sent(app, Compositor, changed), changed

    on_dashboard(finished_run, tmp_path, act, size)


def test_lines_look_as_textual_would_make_them(finished_run: Path, tmp_path: Path) -> None:
    def textuals(widget: Widget, crop: Region) -> list[Strip]:
        widget._styles_cache = StylesCache()
        return widget._styles_cache.render_widget(widget, crop)

    def looks(strips: Sequence[Strip]) -> list[list[tuple[str, str, str, str]]]:
        """Cell by cell. A blank has no foreground that anybody could see."""
        return [
            [(character, str(each.style and each.style.bgcolor), *_ink(character, each.style)) for each in strip for character in each.text]
            for strip in strips
        ]

    def _ink(character: str, style: object) -> tuple[str, str]:
        shown = getattr(style, "color", None) if character != " " else None
        return str(shown), str(getattr(style, "bold", None) if character != " " else None)

    def act(app: Dashboard) -> None:
        widgets = [widget for widget in app.screen.query("*") if isinstance(widget, Pane | LineTable | LogView | Sheet) and widget.region]
        assert {type(widget) for widget in widgets} >= {LineTable, LogView, Sheet, ClientsPane, ServerLogPane}
        for widget in widgets:
            whole = Region(0, 0, *widget.outer_size)
            for crop in (whole, whole.shrink((1, 2, 1, 3))):
                if crop:
                    assert looks(widget.render_lines(crop)) == looks(textuals(widget, crop)), widget

    on_dashboard(finished_run, tmp_path, act)


def test_another_pane_has_the_keys_and_nothing_but_borders_is_styled_anew(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        async with dashboard([finished_run], WIDE, tmp_path) as (app, pilot):
            await shows(app, "Clients", "■ ended")
            clients, log = app.screen.query_one(ClientsPane), app.screen.query_one(ServerLogPane)
            await until(lambda: clients.query_one(LineTable).has_focus, app)
            without, having = log.styles.border_top[1], clients.styles.border_top[1]
            assert without != having
            styled: list[DOMNode] = []
            update = app.stylesheet.update_nodes

            def note(nodes: Iterable[DOMNode], animate: bool = False) -> None:
                noted = [*nodes]
                styled.extend(noted)
                update(noted, animate)

            monkeypatch.setattr(app.stylesheet, "update_nodes", note)
            await pilot.press("2")
            await until(lambda: log.query_one(LogView).has_focus and not clients.query_one(LineTable).has_focus, app)
            await shows(app, "Timestamps")
            assert (log.styles.border_top[1], clients.styles.border_top[1]) == (having, without)
            assert set(styled) == {clients, log}

    asyncio.run(play())


def test_the_selected_line_tells_whether_its_table_has_the_keys(finished_run: Path, tmp_path: Path) -> None:
    async def play() -> None:
        async with dashboard([finished_run], WIDE, tmp_path) as (app, pilot):
            await shows(app, "Clients", "■ ended")
            table = app.screen.query_one(ClientsPane).query_one(LineTable)

            def background(line: int) -> object:
                strips = app.screen._compositor.render_strips()
                segments = strips[table.region.y + line].crop(table.region.x + 1, table.region.x + 2)
                return next(iter(segments)).style

            await until(lambda: table.has_focus and background(1) != background(2), app)
            having, other = background(1), background(2)
            await pilot.press("2")
            await until(lambda: background(1) not in {having, other}, app)
            assert background(2) == other
            await pilot.press("1")
            await until(lambda: background(1) == having, app)

    asyncio.run(play())
