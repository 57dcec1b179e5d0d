"""The borg target holds what every target must."""

from __future__ import annotations

import pytest

from seatrial.targets.borg.target import BorgTarget
from seatrial.testing import TargetConformance


@pytest.mark.slow
@pytest.mark.needs_program("borg", "sshd")
class TestBorg(TargetConformance):
    target = BorgTarget()
