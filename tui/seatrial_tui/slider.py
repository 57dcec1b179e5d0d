"""Where in the run's time the screen stands: a line to look at and to click on."""

from __future__ import annotations

from typing import NamedTuple

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from seatrial.report.prose import cells
from seatrial_tui.lines.tones import Tone, Toned

_FINDING, _HERE, _PAST, _AHEAD = "!", "●", "━", "─"


class Span(NamedTuple):
    """What the slider shows; times in nanoseconds."""

    begin_ns: int
    end_ns: int
    position_ns: int
    speed: float
    """Seconds of the run in one; 0 where it stands."""
    findings: tuple[int, ...]

    def column(self, at_ns: int, width: int) -> int:
        """Where on a line of ``width`` cells a moment lies."""
        length = max(1, self.end_ns - self.begin_ns)
        return max(0, min(width - 1, round((at_ns - self.begin_ns) * (width - 1) / length)))

    def at(self, column: int, width: int) -> int:
        """The moment under a cell; the last cell is the end."""
        return self.begin_ns + (self.end_ns - self.begin_ns) * column // max(1, width - 1)


class TimeSlider(Toned):
    """One line: playing or not, the moment, the whole, and a bar with the findings on it."""

    DEFAULT_CSS = "TimeSlider { height: 1; width: 1fr; background: $panel; }"

    class Sought(Message):
        """Somebody clicked on a moment."""

        def __init__(self, at_ns: int) -> None:
            super().__init__()
            self.at_ns = at_ns

    def __init__(self) -> None:
        super().__init__()
        self._span = Span(0, 0, 0, 0.0, ())
        self._bar = (0, 1)
        """Where the bar begins and how wide it is."""

    def show(self, span: Span) -> None:
        """Show this, if it is another than before."""
        if span != self._span:
            self._span = span
            self.refresh()

    def render_line(self, y: int) -> Strip:
        span, base, width = self._span, self.base, self.size.width
        state = f" ▶ {span.speed:g}x " if span.speed else " ‖ "
        clock = f"{_clock(span.position_ns - span.begin_ns)} / {_clock(span.end_ns - span.begin_ns)} "
        begin = cells(state) + cells(clock)
        room = max(1, width - begin - 1)
        self._bar = begin, room
        here = span.column(span.position_ns, room)
        marks = {span.column(at_ns, room) for at_ns in span.findings}
        segments = [Segment(state, base + self.tone(Tone.ACCENT)), Segment(clock, base + self.tone(Tone.HEAD))]
        for column in range(room):
            sign, tone = (_PAST, Tone.ACCENT) if column < here else (_AHEAD, Tone.FAINT)
            if column in marks:
                sign, tone = _FINDING, Tone.BAD
            if column == here:
                sign, tone = _HERE, Tone.HEAD
            segments.append(Segment(sign, base + self.tone(tone)))
        return Strip(Segment.simplify(segments)).adjust_cell_length(width, base)

    def on_click(self, event: events.Click) -> None:
        begin, width = self._bar
        if event.x >= begin:
            self.post_message(self.Sought(self._span.at(min(event.x - begin, width - 1), width)))


def _clock(length_ns: int) -> str:
    minutes, seconds = divmod(max(0, length_ns) // 1_000_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"
