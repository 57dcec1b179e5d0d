"""What deserves a toast: a run that cannot be read, and what happens while somebody looks: new findings, a server that died, the end."""

from __future__ import annotations

from typing import NamedTuple

from seatrial.report.prose import plural
from seatrial.verdicts import Verdict, exit_status
from seatrial_tui.source.moment import Moment

MOST_AT_ONCE = 3


class Item(NamedTuple):
    """One piece of news."""

    text: str
    grave: bool


class News:
    """Compares each moment of one run with what was told before. Threading: one owner."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._known: set[str] = set()
        self._died_ns = 0
        self._ended = False
        self._problem = ""

    def of(self, moment: Moment) -> list[Item]:
        """What is new in this moment; nothing for what happened before the first one, or in a run that is played."""
        view = moment.view
        if not self._since_ns:
            self._since_ns = moment.now_ns
            self._ended = view.end is not None
        told: list[Item] = []
        if moment.problem != self._problem:
            self._problem = moment.problem
            told = [Item(moment.problem, grave=True)]
        if moment.live or not self._ended:
            fresh = [group for group in view.findings if group.group not in self._known and group.first_ns >= self._since_ns]
            told += [Item(f"{group.verdict.name}: {group.first.message}", group.verdict is Verdict.FAIL) for group in fresh[:MOST_AT_ONCE]]
            if len(fresh) > MOST_AT_ONCE:
                told.append(Item(f"and {plural(len(fresh) - MOST_AT_ONCE, 'further finding')}", grave=True))
        self._known = {group.group for group in view.findings}
        server = view.server
        if server.state == "died" and self._died_ns != server.since_ns and server.since_ns >= self._since_ns:
            self._died_ns = server.since_ns
            # The detail holds the last lines of its log, which are in a pane of their own.
            how = f": {server.detail}" if server.exit_code is None else f" with {exit_status(server.exit_code)}"
            told.append(Item(f"the server died{how}", grave=True))
        if view.end is not None and not self._ended:
            self._ended = True
            told.append(Item(f"the run has ended: {view.verdict.name}", view.verdict is Verdict.FAIL))
        return told
