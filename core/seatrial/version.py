"""Which seatrial this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def seatrial_version() -> str:
    """Of the installed distribution; ``unknown`` in a checkout that is only on the path."""
    try:
        return version("seatrial")
    except PackageNotFoundError:
        return "unknown"
