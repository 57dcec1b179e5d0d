"""An empty home and an empty working directory, so that nobody's own configuration is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory. The user's configuration directory is ``alone / "home" / "seatrial"``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_config_path", lambda name: tmp_path / "home" / name)
    return tmp_path


@pytest.fixture
def write(alone: Path) -> Callable[[str, str], Path]:
    """Writes a file below the working directory."""

    def _write(name: str, text: str) -> Path:
        path = alone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return _write
