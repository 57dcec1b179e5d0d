"""The restic program holds what every target must, whatever serves it."""

from __future__ import annotations

from typing import ClassVar

import pytest

from seatrial.config.model import Preset, ResticSettings
from seatrial.targets.restic.target import ResticTarget
from seatrial.testing import TargetConformance

pytestmark = pytest.mark.needs_program("restic")


@pytest.mark.slow
class TestOverEmbedded(TargetConformance):
    target = ResticTarget()
    preset: ClassVar[Preset] = Preset(restic=ResticSettings(server="embedded"))


@pytest.mark.slow
@pytest.mark.needs_program("rclone")
class TestOverRclone(TargetConformance):
    target = ResticTarget()
    preset: ClassVar[Preset] = Preset(restic=ResticSettings(server="rclone"))


@pytest.mark.slow
@pytest.mark.needs_program("rest-server")
class TestOverRestServer(TargetConformance):
    target = ResticTarget()
    preset: ClassVar[Preset] = Preset(restic=ResticSettings(server="rest-server"))
