"""A few lines of toned text: facts, bars, plots. Only the lines that are not what they were are painted again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.selection import Selection
from textual.strip import Strip

from seatrial.report.prose import cells, shorten
from seatrial_tui.lines.columns import split
from seatrial_tui.lines.tones import Cell, Toned

Line = Sequence[Cell]
GAP = "  "
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL, _EMPTY = "█", "░"


def length(line: Iterable[Cell]) -> int:
    """Columns that it takes."""
    return sum(cells(split(cell)[0]) for cell in line)


def fit(line: Line, width: int) -> list[Cell]:
    """``line`` in at most ``width`` columns: what goes beyond is shortened, what comes behind that is left out."""
    fitted: list[Cell] = []
    for text, tone in map(split, line):
        if width <= 0:
            break
        shown = shorten(text, width)
        fitted.append((shown, tone))
        width -= cells(shown)
    return fitted


def spread(left: Line, right: Line, width: int) -> list[Cell]:
    """``left`` at the left, ``right`` at the right; where they do not fit beside each other, the left one gives way."""
    right = fit(right, width)
    room = max(0, width - length(right) - (len(GAP) if right else 0))
    left = fit(left, room)
    return [*left, " " * max(0, width - length(left) - length(right)), *right]


def packed(parts: Sequence[tuple[int, Line]], width: int, gap: str = GAP) -> list[Cell]:
    """The parts (priority, cells) one behind the other; where it is narrow, those of the highest number are left out."""
    kept = [(priority, part) for priority, part in parts if part]
    while len(kept) > 1 and sum(length(part) for _, part in kept) + len(gap) * (len(kept) - 1) > width:
        kept.remove(max(reversed(kept), key=lambda one: one[0]))
    line: list[Cell] = []
    for number, (_, part) in enumerate(kept):
        line += [gap, *part] if number else part
    return fit(line, width)


def meter(fraction: float, width: int) -> str:
    """A bar of ``width`` columns, filled to an eighth of a column; ``fraction`` from 0 to 1."""
    eighths = round(min(1.0, max(0.0, fraction)) * width * len(_EIGHTHS))
    full, rest = divmod(eighths, len(_EIGHTHS))
    return _FULL * full + (_EIGHTHS[rest] if rest else "") + _EMPTY * (width - full - bool(rest))


class Sheet(Toned):
    """As high as its lines where its height is ``auto``. Threading: the application's."""

    DEFAULT_CSS = "Sheet { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: list[list[Cell]] = []
        self._strips: dict[int, Strip] = {}

    def show(self, lines: Iterable[Line]) -> None:
        """Show these lines from now on; each is cut where the sheet ends."""
        new, old = [list(line) for line in lines], self._lines
        self._lines = new
        if len(new) != len(old):
            self._strips.clear()
            self.refresh(layout=True)
            return
        changed = [y for y, line in enumerate(new) if line != old[y]]
        if changed:
            for y in changed:
                self._strips.pop(y, None)
            width = max(1, self.size.width)
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    @property
    def text(self) -> str:
        """What it says, without colours."""
        return "\n".join("".join(split(cell)[0] for cell in line).rstrip() for line in self._lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width, self.base)
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != width:
            strip = Strip([Segment(text, self.base + self.tone(tone)) for text, tone in map(split, self._lines[y])])
            strip = self._strips[y] = strip.adjust_cell_length(width, self.base)
        return self.placed(self._selected(strip, y), 0, y)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """The text under the mouse's selection."""
        return selection.extract(self.text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def _selected(self, strip: Strip, y: int) -> Strip:
        span = self.text_selection.get_span(y) if self.text_selection else None
        if span is None:
            return strip
        begin, end = span[0], strip.cell_length if span[1] == -1 else span[1]
        parts = strip.divide([begin, end, strip.cell_length])
        style = self.screen.get_component_rich_style("screen--selection")
        return Strip.join([part.apply_style(style) if number == 1 else part for number, part in enumerate(parts)])
