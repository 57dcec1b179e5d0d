"""What panes ask of the application. A pane knows neither its neighbours nor the run's engine."""

from __future__ import annotations

from pathlib import Path

from textual.message import Message


class Drive(Message):
    """Steer the run: a command of ``seatrial.harness.control`` and its argument."""

    def __init__(self, command: str, argument: str = "") -> None:
        super().__init__()
        self.command, self.argument = command, argument


class OpenClient(Message):
    """Show one client: timeline, snapshots, directory, errors."""

    def __init__(self, client: str) -> None:
        super().__init__()
        self.client = client


class OpenFinding(Message):
    """Explain one group of findings."""

    def __init__(self, group: str) -> None:
        super().__init__()
        self.group = group


class CopyText(Message):
    """Put text on the clipboard and say so; ``what`` names it in the toast."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text, self.what = text, what


class OpenShell(Message):
    """Open the user's shell in a directory, which may be missing on this host."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


class JumpToLog(Message):
    """Show the server's log where it stood at some moment: an offset in bytes into ``server.log``."""

    def __init__(self, offset: int) -> None:
        super().__init__()
        self.offset = offset
