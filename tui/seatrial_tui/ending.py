"""How an application of ours ends or goes away for a while: whoever asks for it, the terminal is as it was before."""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import ClassVar, TypeVar

from textual.app import App
from textual.binding import Binding, BindingType

R = TypeVar("R")
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TAKEN = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
"""By Textual, which never gives them back."""


class Ending(App[R]):
    """Ends cleanly when it is told to by a signal, and keeps a defect for the command. Threading: Textual's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+z", "suspend_process", "To the shell, fg comes back", show=False, id="suspend"),
    ]

    crash: Exception | None = None
    """What ended it, where it was a defect of ours."""

    def on_load(self) -> None:
        """Before the terminal is taken: a signal from here on must give it back."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self.exit)

    def on_ready(self) -> None:
        self.call_after_refresh(gc.enable)  # see ``command.py``

    def on_unmount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.remove_signal_handler(number)

    def action_help_quit(self) -> None:
        """Ctrl-C: who presses it wants to leave."""
        self.call_later(self.action_quit)

    def _handle_exception(self, error: Exception) -> None:
        """Keep the defect for the crash report instead of painting it with all local values. Textual has no public hook for this."""
        self.crash = self.crash or error
        super()._handle_exception(error)
        self._exit_renderables.clear()


def run_to_end(app: Ending[R]) -> R | None:
    """Show it until it ends; what it returns. Main thread only. Raises what a defect of ours has raised, once the terminal is clean.

    What Textual does on Ctrl-Z and ``fg`` needs a running application: without one it would be our defect.
    """
    before = {number: signal.getsignal(number) for number in _TAKEN}
    try:
        result = app.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if app.crash is not None:
        raise app.crash
    return result
