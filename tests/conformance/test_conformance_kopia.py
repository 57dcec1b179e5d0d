"""The kopia target holds what every target must."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.targets.kopia.target import KopiaTarget
from seatrial.testing import TargetConformance
from seatrial.testing.sample import damage_largest


@pytest.mark.needs_program("kopia")
class TestKopia(TargetConformance):
    target = KopiaTarget()

    def damage(self, repository: Path) -> str:
        return damage_largest(repository / "p")  # where data packs are: the largest file of a small repository is another
