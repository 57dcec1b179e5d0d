"""Words of OpenSSH's configuration files."""

from __future__ import annotations

from pathlib import Path


def quoted(text: str) -> str:
    """As one word."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def path_word(path: Path) -> str:
    """A path where the option knows ``%`` tokens."""
    return quoted(str(path).replace("%", "%%"))
