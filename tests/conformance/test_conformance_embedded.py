"""The embedded target holds what every target must."""

from __future__ import annotations

from seatrial.targets.embedded.target import EmbeddedTarget
from seatrial.testing import TargetConformance


class TestEmbedded(TargetConformance):
    target = EmbeddedTarget()
