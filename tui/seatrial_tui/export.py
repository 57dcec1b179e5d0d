"""Tables as files: CSV for spreadsheets, JSON for programs. No file is ever overwritten."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

from seatrial.clock import SYSTEM_CLOCK, Clock, stamp
from seatrial.errors import HarnessError
from seatrial.report.prose import plain
from seatrial_tui.panes.pane import Exported, Value

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""A text that begins like this is a formula to a spreadsheet (CWE-1236), also in the wide forms of East Asian input."""
_STRANGE = re.compile(r"[^\w.-]+", re.ASCII)
_NUMBERED_MAX = 1000


def fresh_path(directory: Path, run_id: str, name: str, form: str, clock: Clock = SYSTEM_CLOCK) -> Path:
    """``<run-id>-<name>-<time>.<form>`` in ``directory``, with a number where that is taken already."""
    stem = _STRANGE.sub("_", f"{run_id}-{name}-{stamp(clock.now_ns())}")
    for number in range(1, _NUMBERED_MAX):
        path = directory / (f"{stem}-{number}.{form}" if number > 1 else f"{stem}.{form}")
        if not path.exists():
            return path
    raise HarnessError("no file name is free for an export", where=str(directory / stem), remedy="remove what is no longer needed there")


def write_csv(table: Exported, path: Path) -> None:
    """Write UTF-8 with a line of column names (RFC 4180). Raises ``HarnessError`` where it cannot, also where the file is there already.

    Texts are on one line and harmless to a terminal; a text that a spreadsheet would compute stands behind an apostrophe, as is the custom.
    """

    def write(file: IO[str]) -> None:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        writer.writerows([_csv_value(value) for value in row] for row in table.rows)

    _write(path, write)


def write_json(table: Exported, path: Path) -> None:
    """Write one document: the table's name, its columns, and its rows as objects by column. Errors as in ``write_csv``."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    document = {"table": table.name, "columns": list(table.columns), "rows": rows}
    # ASCII only: a file name that is not UTF-8 has no other form here.
    _write(path, lambda file: file.write(json.dumps(document, indent=1) + "\n"))


def _csv_value(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def _write(path: Path, write: Callable[[IO[str]], object]) -> None:
    made = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as file:
            made = True
            write(file)
    except OSError as error:
        if made:
            with contextlib.suppress(OSError):
                path.unlink()
        raise HarnessError(
            f"the table cannot be written: {error.strerror or error}",
            where=plain(str(path)),
            remedy="see that its directory can be written to and has room",
        ) from error
