"""Values of options that click does not know: durations, directories."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from seatrial.config.quantities import duration_s


class Duration(click.ParamType[float]):
    """``90`` (seconds), ``90s``, ``5m``, ``1h30m``; the value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            return float(text) if text.isascii() and text.isdigit() else duration_s(text)
        except ValueError as error:
            self.fail(f"{error}; write 90s, 5m or 1h30m", param, ctx)


class Program(click.ParamType[str]):
    """A program: a name that PATH leads to, or a path, which is made absolute, with ``~`` expanded."""

    name = "program"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if os.sep not in text:
            return text
        try:
            return str(Path(text).expanduser().absolute())
        except RuntimeError:
            self.fail(f"{text!r}: there is no home directory to stand for ~; give the whole path", param, ctx)


class Directory(click.ParamType[Path]):
    """A directory that exists or can be made; absolute, with ``~`` expanded."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            path = Path(value).expanduser().absolute()
        except RuntimeError:
            self.fail(f"{value!r}: there is no home directory to stand for ~; give the whole path", param, ctx)
        if path.exists() and not path.is_dir():
            self.fail(f"{str(path)!r} is not a directory", param, ctx)
        return path
