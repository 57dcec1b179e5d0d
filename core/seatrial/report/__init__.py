"""Reports: recomputed from the journal of a run directory, never from memory of the run.

``write_all`` leaves ``report.txt`` and ``report.json`` beside the journal.
"""

from __future__ import annotations

import os
from pathlib import Path

from seatrial.errors import HarnessError
from seatrial.report.document import render_json
from seatrial.report.summary import Summary, summarise
from seatrial.report.text import render_text

__all__ = ["Summary", "render_json", "render_text", "summarise", "write_all"]


def write_all(run_dir: Path) -> Summary:
    """Judge the run and write its reports into its directory, each whole or not at all. Raises ``HarnessError``."""
    summary = summarise(run_dir)
    for name, content in (("report.txt", render_text(summary)), ("report.json", render_json(summary))):
        _write(run_dir / name, content)
    return summary


def _write(path: Path, content: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(content, encoding="utf-8", errors="backslashreplace")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise HarnessError(
            f"the report cannot be written: {error.strerror}", where=str(path), remedy="`seatrial report` prints it once there is room"
        ) from error
