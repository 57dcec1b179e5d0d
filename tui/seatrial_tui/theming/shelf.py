"""All themes there are: those that ride along and the user's own, and what is wrong with the others."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

import platformdirs
from textual.theme import Theme

from seatrial.config.data import builtin
from seatrial.errors import SeatrialError, UsageError
from seatrial_tui.theming.theme_file import read_theme

DEFAULT = "seatrial-dark"
_STEP_MS = 200
"""How often it is seen whether a file has changed, or nobody wants to know any more."""
FILE_BYTES = 64 << 10
"""A longer file is no theme."""


def user_folder() -> Path:
    """Where the user's own themes are; need not be there."""
    return platformdirs.user_config_path("seatrial") / "themes"


class Themes(NamedTuple):
    """What a look at the folders has found."""

    themes: Mapping[str, Theme]
    """By name; a theme of the user's takes the place of a built-in one of its name."""
    problems: Sequence[str]
    """Of files that are no themes: file, line, reason and remedy, a line each."""


def no_theme(name: str, themes: Themes) -> str:
    """What is said where the theme that was asked for is not there."""
    return f"there is no theme {name!r}; there are: {', '.join(sorted(themes.themes))}"


def load_themes(folders: Sequence[Traversable]) -> Themes:
    """Read every ``*.toml`` in ``folders``, the later ones taking precedence. Never raises: what is broken is told and left out."""
    themes: dict[str, Theme] = {}
    problems: list[str] = []
    for folder in folders:
        for file in _files(folder, problems):
            try:
                theme = read_theme(_text(file), str(file))
                themes[theme.name] = theme
            except SeatrialError as error:
                problems.append(f"theme left out: {error.where}: {error.what}; {error.remedy}")
    return Themes(themes, problems)


def _files(folder: Traversable, problems: list[str]) -> list[Traversable]:
    try:
        return sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"themes left out: {folder}: {error.strerror}")
        return []


def _text(file: Traversable) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise UsageError(f"longer than {FILE_BYTES:,} bytes", where=str(file), remedy="a theme is a name and some colours")
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError("not UTF-8", where=str(file), remedy="save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(file), remedy="make it readable") from error


class Shelf:
    """The themes, read again when one of their files changes.

    Threading: ``take`` from any thread; one thread of its own watches the folders that there are, and ends with ``close``.
    """

    def __init__(self, folders: Sequence[Traversable] | None = None) -> None:
        """``folders`` are the built-in one and the user's where not given. Reads at once, watches from ``watch`` on."""
        self._folders = [builtin("themes"), user_folder()] if folders is None else list(folders)
        self.current = load_themes(self._folders)
        self._unsure, self._changed, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self) -> None:
        """Notice changes from now on."""
        places = [folder for folder in self._folders if isinstance(folder, Path) and folder.is_dir()]
        if places and self._thread is None:
            self._thread = threading.Thread(target=self._watch, args=(places,), name="themes", daemon=True)
            self._thread.start()

    def take(self) -> Themes | None:
        """The themes, where a file has changed since the last call."""
        changed = self._changed.is_set()
        if not changed and not self._unsure.is_set():
            return None
        self._changed.clear()
        self._unsure.clear()
        former, self.current = self.current, load_themes(self._folders)
        return self.current if changed or self.current != former else None

    def close(self) -> None:
        """Watch no longer. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, places: Sequence[Path]) -> None:
        from watchfiles import watch  # noqa: PLC0415 (no first frame waits for it)

        unsure = True
        for changes in watch(
            *places,
            recursive=False,
            step=_STEP_MS,
            rust_timeout=_STEP_MS,
            yield_on_timeout=True,
            stop_event=self._stop,
            ignore_permission_denied=True,
        ):
            if changes:
                self._changed.set()
            elif unsure:  # what has changed between the reading and now was seen by nobody
                self._unsure.set()
            unsure = False
