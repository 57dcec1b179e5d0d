"""What others use to test with seatrial: the pytest plugin, and the conformance suite for targets of their own.

The suite is loaded when it is asked for: the plugin, which every pytest loads, must not cost that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seatrial.testing.conformance import TargetConformance as TargetConformance

__all__ = ["TargetConformance"]


def __getattr__(name: str) -> Any:
    if name != "TargetConformance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("seatrial.testing.conformance").TargetConformance
