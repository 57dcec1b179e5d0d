"""A real terminal: one window of a tmux server of its own, with a shell in it. Keys go in as a person types them, the screen comes out."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.processes import alive
from tests.support.waiting import eventually

COMES_S = 60.0
"""For a text that is due, on a machine that is busy with other things."""
LOOK_AGAIN_S = 0.05
"""Each look is a process."""
PROMPT = "ready> "
_SHELL = ("bash", "--norc", "--noprofile", "-i")


class Terminal:
    """Threading: one thread. Close it: the server is a daemon, which would outlive the test and the shell with it."""

    def __init__(self, home: Path, place: Path, *, size: tuple[int, int], environment: Mapping[str, str]) -> None:
        """``size``: columns and lines. ``environment`` is all that the shell has, besides a prompt and the kind of terminal.

        ``place`` is for the socket, whose path must be short; what the shell's programs write is kept in ``home``.
        """
        self._home, self._socket = home, place / "tmux"
        self._written = home / "written"
        columns, lines = map(str, size)
        shell = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), f"PS1={PROMPT}", "TERM=screen-256color", *_SHELL]
        self._tmux("new-session", "-d", "-x", columns, "-y", lines, "-c", str(home), shlex.join(shell))
        self._server, self.shell = (psutil.Process(int(self.value(name))) for name in ("pid", "pane_pid"))
        self._tmux("pipe-pane", f"cat > {shlex.quote(str(self._written))}")

    # -- keys

    def enter(self, command: str) -> None:
        """Type a command line."""
        self.type(command)
        self.press("Enter")

    def type(self, text: str) -> None:
        """Type each character."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names: ``Escape``, ``C-c``, ``Enter``."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, lines: int) -> None:
        """As if somebody pulled at the window's corner."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def hang_up(self) -> None:
        """Close the window, as its cross does."""
        self._tmux("kill-session")

    # -- what is there

    @property
    def screen(self) -> str:
        """What stands on it now, without colours."""
        return self._tmux("capture-pane", "-p")

    @property
    def written(self) -> bytes:
        """All that programs have written to the terminal so far."""
        return self._written.read_bytes()

    @property
    def alternate(self) -> bool:
        """Whether it shows the screen that programs paint on, and not the shell's."""
        return self.value("alternate_on") == "1"

    @property
    def clean(self) -> bool:
        """Whether it is as a shell needs it: its own screen, a cursor, lines that wrap, no reports of the mouse."""
        return self.value("alternate_on,cursor_flag,wrap_flag,mouse_any_flag,mouse_sgr_flag") == "0,1,1,0,0"

    def value(self, names: str) -> str:
        """Variables of tmux, separated by commas."""
        return self._tmux("display-message", "-p", ",".join(f"#{{{name}}}" for name in names.split(","))).strip()

    def modes(self) -> str:
        """What ``stty`` says of the terminal while the shell runs a command, except for its size."""
        told = self._home / "stty"
        told.unlink(missing_ok=True)
        self.enter("stty -a > stty.new && mv stty.new stty")
        assert eventually(told.exists, COMES_S), self.screen
        return re.sub(r"rows \d+; columns \d+;", "", told.read_text())

    @property
    def program(self) -> psutil.Process:
        """What the shell has started, which is one process; what it has started before may take a moment to be gone."""
        found: list[psutil.Process] = []

        def alone() -> bool:
            found[:] = self.shell.children()
            return len(found) == 1

        assert eventually(alone, COMES_S, LOOK_AGAIN_S), (found, self.screen)
        return found[0]

    # -- waiting

    def wait_for(self, *texts: str, timeout_s: float = COMES_S) -> str:
        """Wait until all ``texts`` stand on the screen; the screen."""
        return self.wait_until(lambda screen: all(text in screen for text in texts), f"{texts} do not come", timeout_s)

    def wait_until_gone(self, *texts: str, timeout_s: float = COMES_S) -> str:
        """Wait until none of ``texts`` stands on the screen; the screen."""
        return self.wait_until(lambda screen: not any(text in screen for text in texts), f"{texts} do not go", timeout_s)

    def wait_until(self, condition: Callable[[str], object], complaint: str, timeout_s: float = COMES_S) -> str:
        """Wait until the screen is as it should be; the screen."""
        screen = ""

        def look() -> object:
            nonlocal screen
            screen = self.screen
            return condition(screen)

        assert eventually(look, timeout_s, LOOK_AGAIN_S), f"{complaint}:\n{screen}"
        return screen

    # -- the server

    def close(self) -> None:
        """End the server, which hangs up the shell and what runs in it. Idempotent."""
        if alive(self._server.pid):
            self._tmux("kill-server", check=False)
        assert eventually(lambda: not any(alive(process.pid) for process in (self._server, self.shell)), COMES_S)

    def _tmux(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-S", self._socket, "-f", "/dev/null", *command],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        assert done.returncode == 0 or not check, f"tmux {shlex.join(command)}: {done.stderr}"
        return done.stdout


@contextmanager
def terminal(home: Path, *, size: tuple[int, int] = (80, 24), environment: Mapping[str, str]) -> Iterator[Terminal]:
    """A terminal that is closed at the end. ``home`` is where its shell begins."""
    with tempfile.TemporaryDirectory(prefix="tmux-") as place:  # a test's own directory may be too long for a socket
        made = Terminal(home, Path(place), size=size, environment=environment)
        try:
            made.wait_for(PROMPT.strip())
            yield made
        finally:
            made.close()
