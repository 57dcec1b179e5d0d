"""Where the data that rides along is found: ``config.toml`` and ``themes/``.

In a checkout the checkout's own files come first, because an editable install's copy goes stale; an installed wheel carries them in
``seatrial/_data``.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The root of the checkout this package runs from; None for an installed one."""
    root = _PACKAGE.parents[1]
    return root if root / "core" / "seatrial" == _PACKAGE and (root / "pyproject.toml").is_file() else None


def builtin(*parts: str) -> Traversable:
    """A built-in file or folder, such as ``builtin("config.toml")`` or ``builtin("themes")``."""
    root = checkout()
    return root.joinpath(*parts) if root else files("seatrial").joinpath("_data", *parts)
