"""Questions that stand before everything else: yes or no, a line of text, how to leave. The harmless answer has the focus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, NamedTuple, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from seatrial.report.prose import plain

R = TypeVar("R")
REMARK_CHARACTERS_MAX = 2_000
ESCAPE = "esc"


class Answer(NamedTuple, Generic[R]):
    """One way to go on."""

    result: R
    key: str
    text: str
    detail: str = ""


def harmless(text: str) -> str:
    """Foreign text of a few lines, none of which drives the terminal."""
    return "\n".join(plain(line) for line in text.splitlines())


class Box(Vertical):
    """The frame around a question."""

    DEFAULT_CSS = """
    Box {
        width: 72; max-width: 92%; height: auto; max-height: 90%; overflow-y: auto;
        border: round $accent; border-title-color: $accent; background: $surface; padding: 1 2;
    }
    Box > .question { text-style: bold; margin-bottom: 1; }
    Box > .detail { color: $text-muted; margin-bottom: 1; }
    Box > .wrong { color: $text-error; height: auto; }
    """

    def on_mount(self) -> None:
        # On 80 columns two of them hide what the question is about.
        self.app.clear_notifications()


class Choice(ModalScreen[R], Generic[R]):
    """A question with a few answers, one below the other, each with its letter. The first has the focus and is what Esc means."""

    DEFAULT_CSS = """
    Choice { align: center middle; }
    Choice Button { width: 1fr; text-align: left; content-align: left middle; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "answer(0)", "Back", id="ask-back"),
        Binding("up,left,k", "app.focus_previous", "Previous answer", show=False, id="ask-up"),
        Binding("down,right,j", "app.focus_next", "Next answer", show=False, id="ask-down"),
    ]

    def __init__(self, question: str, answers: Sequence[Answer[R]], detail: str = "") -> None:
        super().__init__()
        self._question, self._answers, self._detail = question, answers, detail

    def compose(self) -> ComposeResult:
        with Box():
            yield Static(harmless(self._question), classes="question", markup=False)
            if self._detail:
                yield Static(harmless(self._detail), classes="detail", markup=False)
            for number, answer in enumerate(self._answers):
                label = f" {answer.key:>{len(ESCAPE)}}  {plain(answer.text)}" + (f": {answer.detail}" if answer.detail else "")
                yield Button(Content(label), id=f"answer-{number}", compact=True)

    def on_mount(self) -> None:
        self.query(Button).first().focus()

    def on_key(self, event: events.Key) -> None:
        """The letter before an answer chooses it."""
        for number, answer in enumerate(self._answers):
            if event.character == answer.key:
                event.stop()
                event.prevent_default()
                self.action_answer(number)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_answer([*self.query(Button)].index(event.button))

    def action_answer(self, number: int) -> None:
        self.dismiss(self._answers[number].result)


class Confirm(Choice[bool]):
    """Before something that cannot be taken back: ``yes`` names what will be done."""

    def __init__(self, question: str, yes: str, detail: str = "") -> None:
        super().__init__(question, (Answer(False, "n", "no"), Answer(True, "y", f"yes, {yes}")), detail)


class QuitChoice(Choice[str | None]):
    """How to leave a run that is ours and not over: ``leave``, ``stop``, ``stop-now``, or None to stay.

    ``stopping``: it was told to stop already, so only the harder way is left.
    """

    def __init__(self, *, stopping: bool = False) -> None:
        stop = (
            Answer[str | None]("stop-now", "e", "end it at once", "nothing more is verified")
            if stopping
            else Answer[str | None]("stop", "s", "stop the run", "it heals, verifies, reports, and this ends")
        )
        leave = Answer[str | None]("leave", "l", "leave it running", "`seatrial watch last` shows it again")
        question = "The run is stopping. Leave before it has ended?" if stopping else "The run is under way. What is to become of it?"
        super().__init__(question, (Answer(None, ESCAPE, "stay"), stop, leave))


class Prompt(ModalScreen[str | None]):
    """A line of text; None where nothing was said. ``check`` returns what is wrong with it, or nothing."""

    DEFAULT_CSS = "Prompt { align: center middle; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", id="ask-back")]

    def __init__(self, question: str, check: Callable[[str], str] = lambda _: "") -> None:
        super().__init__()
        self._question, self._check = question, check
        self._wrong = Static("", classes="wrong", markup=False)

    def compose(self) -> ComposeResult:
        with Box():
            yield Static(harmless(self._question), classes="question", markup=False)
            yield Input(max_length=REMARK_CHARACTERS_MAX)
            yield self._wrong
            yield Static("enter  send    esc  back", classes="detail", markup=False)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        wrong = self._check(text) if text else "there is nothing to send yet"
        self._wrong.update(harmless(wrong))
        if not wrong:
            self.dismiss(text)

    def action_back(self) -> None:
        self.dismiss(None)
