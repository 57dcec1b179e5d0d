"""The restic program holds what every target must, whatever serves it."""

from __future__ import annotations

from typing import ClassVar

import pytest

from seatrial.config.model import Preset, ResticSettings
from seatrial.targets.restic.own import OwnClient
from seatrial.targets.restic.target import ResticTarget
from seatrial.testing import TargetConformance
from seatrial.testing.stage import Player, Stage

pytestmark = pytest.mark.needs_program("restic")


class ResticConformance(TargetConformance):
    """And what is particular to it."""

    target = ResticTarget()

    def test_a_restore_is_one_command_whatever_lies_at_the_root(self, stage: Stage, first: Player) -> None:
        source, directory = stage.new_source(), stage.place / "ours"
        (source / "only").mkdir(parents=True)
        directory.mkdir()
        ours = OwnClient(stage.around, directory)
        ours.connect(first.within(), first.access)
        try:
            by_path, _ = ours.create(first.within(), source, stage.new_op())
        finally:
            ours.cleanup()
        of_content = first.create(source, stage.new_op())
        before, since = stage.print_of(source), len(stage.children.commands)
        for snapshot in (by_path, of_content):
            assert stage.differences(before, first.restore_cold(snapshot)) == []
        assert len(stage.children.commands) - since == 2


@pytest.mark.slow
class TestOverEmbedded(ResticConformance):
    preset: ClassVar[Preset] = Preset(restic=ResticSettings(server="embedded"))


@pytest.mark.slow
@pytest.mark.needs_program("rclone")
class TestOverRclone(ResticConformance):
    preset: ClassVar[Preset] = Preset(restic=ResticSettings(server="rclone"))


@pytest.mark.slow
@pytest.mark.needs_program("rest-server")
class TestOverRestServer(ResticConformance):
    preset: ClassVar[Preset] = Preset(restic=ResticSettings(server="rest-server"))
