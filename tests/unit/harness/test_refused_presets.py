"""A preset that cannot be run is refused before anything is made for it, by the command and by the API."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.config.model import EmbeddedSettings, Preset, ResticSettings
from seatrial.errors import UsageError
from seatrial.harness.harness import HarnessSettings

FAULTS = [EmbeddedSettings(store="cluster", stop_nodes=1), EmbeddedSettings(store="cluster", drain_nodes=1, split_nodes=1)]


@pytest.mark.parametrize("embedded", FAULTS)
@pytest.mark.parametrize(
    ("preset", "remedy"),
    [
        (Preset(server="https://me@example.org/"), "leave out --server"),
        (Preset(target="restic", restic=ResticSettings(server="rclone")), 'restic.server = "embedded"'),
        (Preset(target="borg"), "--target embedded"),
    ],
)
def test_faults_of_nodes_that_are_not_there_are_refused(tmp_path: Path, embedded: EmbeddedSettings, preset: Preset, remedy: str) -> None:
    fields = {name: getattr(preset, name) for name in ("server", "target", "restic")}
    settings = HarnessSettings(runs_dir=tmp_path / "runs", preset=Preset(**fields, embedded=embedded), preset_name="mine")
    with pytest.raises(UsageError, match=r"^mine: embedded\.(stop|drain)_nodes = 1: ") as caught:
        settings.plan()
    assert remedy in caught.value.remedy
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("embedded", FAULTS)
@pytest.mark.parametrize("preset", [Preset(), Preset(target="restic", restic=ResticSettings(server="embedded"))])
def test_faults_of_the_embedded_servers_nodes_are_not(tmp_path: Path, embedded: EmbeddedSettings, preset: Preset) -> None:
    wanted = Preset(target=preset.target, restic=preset.restic, embedded=embedded)
    assert HarnessSettings(runs_dir=tmp_path, preset=wanted, seed=1).plan().preset == wanted
