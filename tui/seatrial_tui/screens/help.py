"""What is in front, how to read it, and its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from seatrial.verdicts import Verdict
from seatrial_tui.lines.page import Page, Paragraph, field, heading
from seatrial_tui.lines.signs import verdict_cell
from seatrial_tui.lines.tones import Cell, Tone

KEY_CELLS = 20
SIGNS: Sequence[tuple[Cell, str]] = (
    *(
        (verdict_cell(verdict), text)
        for verdict, text in (
            (Verdict.PASS, "what came back is what went in"),
            (Verdict.INCONCLUSIVE, "something that is needed for a verdict cannot be known"),
            (Verdict.FAIL, "what came back is not what went in"),
        )
    ),
    ("▲ ▼", "the table is sorted by this column, upwards or downwards"),
    ("● live", "the engine is there and writes"),
    ("‖ PAUSED", "no further action of the run begins"),
    ("■ ended", "the run is over"),
)


class HelpScreen(ModalScreen[None]):
    """About a pane or a screen: what it shows, its keys, the keys that work everywhere. Scrolls; closes as it was opened."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > Page {
        width: 92; max-width: 96%; height: 92%; border: round $accent; border-title-color: $accent; background: $surface; padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "close", "Close", id="help-close")]

    def __init__(self, subject: Widget) -> None:
        """Reads keys and words of ``subject``, which is mounted, at once: they are those of this moment."""
        super().__init__()
        self._page = Page()
        self._title = str(getattr(subject, "TITLE", None) or "Help")
        self._paragraphs = tuple(paragraphs_about(subject))

    def compose(self) -> ComposeResult:
        yield self._page

    def on_mount(self) -> None:
        self._page.border_title = Content(f"Help: {self._title}")
        self._page.border_subtitle = Content("esc  close")
        self._page.show(self._paragraphs)
        self._page.focus()

    def action_close(self) -> None:
        self.dismiss()


def paragraphs_about(subject: Widget) -> Iterator[Paragraph]:
    """What is said about a mounted pane or screen."""
    screen = subject if isinstance(subject, Screen) else subject.screen
    help_text = str(getattr(subject, "HELP", ""))
    yield from (Paragraph((line,)) for line in help_text.splitlines())
    active = screen.active_bindings
    here = {key: each for key, each in active.items() if _belongs(each.node, subject)}
    elsewhere = {key: each for key, each in active.items() if key not in here}
    for title, bindings in ((f"Keys of {getattr(subject, 'TITLE', None) or 'this screen'}", here), ("Keys everywhere", elsewhere)):
        lines = [*_keys(screen, bindings)]
        if lines:
            yield from (Paragraph(), heading(title), *lines)
    yield from (Paragraph(), heading("Signs"))
    for sign, text in SIGNS:
        mark, tone = (sign, Tone.PLAIN) if isinstance(sign, str) else sign
        yield Paragraph(((mark.ljust(KEY_CELLS - 2), tone), text), "", 2)


def _belongs(node: DOMNode, subject: Widget) -> bool:
    return node is subject or subject in node.ancestors


def _keys(screen: Screen[object], bindings: Mapping[str, ActiveBinding]) -> Iterator[Paragraph]:
    """One line for each thing to do, with all the keys that do it."""
    said: dict[tuple[str, str], list[str]] = {}
    for each in bindings.values():
        if each.binding.description and each.enabled:
            keys = said.setdefault((each.binding.action, each.binding.description), [])
            shown = screen.app.get_key_display(each.binding)
            if shown not in keys:
                keys.append(shown)
    for (_, description), keys in said.items():
        yield field("  ".join(keys), description, KEY_CELLS)
