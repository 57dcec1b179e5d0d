"""One finding explained: what was expected, what came back, what went on in between, how to run it again."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from seatrial.history.view import FindingGroup
from seatrial.report.prose import plain
from seatrial_tui.lines.page import Page, Paragraph
from seatrial_tui.lines.tones import Tone
from seatrial_tui.messages import CopyText, JumpToLog, OpenShell
from seatrial_tui.screens.keys import KeysFirst, footer
from seatrial_tui.screens.story import Story, story_paragraphs, story_text
from seatrial_tui.source.moment import Moment, RunSource


class FindingScreen(KeysFirst[None]):
    """Threading: the screen's thread only. The application calls ``show`` a few times a second."""

    TITLE = "Finding"
    HELP: ClassVar[str] = (
        "One defect, told as the report tells it. Of the bytes, those in the row `expected` are what was snapshotted, those in the row "
        "`actual` what came back; wrong ones are marked by ^^ below them.\n"
        "Last good is when the snapshot was last restored and found equal, first bad when this defect was first seen: what is to blame "
        "happened between the two."
    )
    DEFAULT_CSS = "FindingScreen > Page { border: round $accent; border-title-color: $accent; padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "leave", "Back", id="finding-back"),
        Binding("left_square_bracket", "step(-1)", "Prev", id="finding-previous"),
        Binding("right_square_bracket", "step(1)", "Next", id="finding-next"),
        Binding("l", "log", "Log", id="finding-log"),
        Binding("y", "copy", "Copy", id="finding-copy"),
        Binding("e", "copy_evidence", "Copy evidence path", show=False, id="finding-evidence"),
        Binding("o", "shell", "Shell in evidence", show=False, id="finding-shell"),
        Binding("r", "copy_command", "Command", id="finding-command"),
    ]

    def __init__(self, run: RunSource, group: str) -> None:
        super().__init__()
        self.run, self.group = run, group
        self._page = Page()
        self._shown: FindingGroup | None = None
        self._of: tuple[FindingGroup, ...] = ()
        self._story: Story | None = None

    def compose(self) -> ComposeResult:
        yield self._page
        yield footer()

    def on_mount(self) -> None:
        self._page.focus()
        self.show(self.run.moment())

    def show(self, moment: Moment) -> None:
        """Tell what is known at this moment."""
        view = moment.view
        group = next((each for each in view.findings if each.group == self.group), None)
        if group is not None and group is self._shown and view.findings is self._of:
            return
        self._shown, self._of = group, view.findings
        if group is None:
            self._story = None
            self._page.border_title = self.TITLE
            self._page.show([Paragraph(((f"{plain(self.group)} has not been found at this moment of the run.", Tone.FAINT),))])
            return
        around = {each.group: known for each in view.findings if (known := self.run.circumstances(each.group)) is not None}
        self._story = Story(view, group, self.run.directory, around, self.run.findings(group.group))
        self._page.border_title = Content(plain(f"{group.check}/{group.first.damage}"))
        self._page.border_subtitle = f"{view.findings.index(group) + 1} of {len(view.findings)}"
        self._page.show(story_paragraphs(self._story))

    def action_leave(self) -> None:
        self.dismiss()

    def action_step(self, by: int) -> None:
        """To another finding, in the order of the report."""
        names = [each.group for each in self._of]
        at = (names.index(self.group) if self.group in names else -by) + by
        if 0 <= at < len(names):
            self.group = names[at]
            self.show(self.run.moment())
            self._page.scroll_home(animate=False)
        else:
            self.app.bell()

    def action_log(self) -> None:
        if self._shown is not None:
            self.post_message(JumpToLog(self._shown.first.server_log_offset))

    def action_copy(self) -> None:
        if self._story is not None:
            self.post_message(CopyText(story_text(self._story), "the finding"))

    def action_copy_command(self) -> None:
        if self._story is not None and self._story.again:
            self.post_message(CopyText(self._story.again, self._story.again))
        else:
            self.notify("the journal names no command", timeout=2, markup=False)

    def action_copy_evidence(self) -> None:
        if evidence := self._evidence():
            self.post_message(CopyText(str(evidence), str(evidence)))

    def action_shell(self) -> None:
        if evidence := self._evidence():
            self.post_message(OpenShell(evidence))

    def _evidence(self) -> Path | None:
        """Where it lies; the person is told where there is none."""
        evidence = self._story.evidence if self._story is not None else None
        if evidence is None:
            self.notify("no evidence was kept of this finding", timeout=2, markup=False)
        return evidence
