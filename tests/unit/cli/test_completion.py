"""What a shell is offered: commands, runs, presets, themes; and that it is never shown an error."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from seatrial.cli import main as command
from seatrial.verdicts import ExitCode
from tests.support.processes import SOURCE_ROOT
from tests.unit.report.story import OTTER, Story

OLDER, NEWER = "20260101-000000-smoke-aaaa", "20260102-000000-smoke-bbbb"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    for name in (OLDER, NEWER):
        story = Story(runs / name)
        story.set_up()
        story.did(OTTER, "snapshot-root", snapshot="aa11")
        story.finish()
        story.close()
    (tmp_path / "config.toml").write_text('[run]\nruns_dir = "runs"\n[presets.mine]\ndescription = "my own\\nkind of run"\n')
    mine = tmp_path / "config" / "seatrial" / "themes"
    mine.mkdir(parents=True)
    (mine / "mine.toml").write_text('name = "of-mine"\n')
    (mine / "broken.toml").write_text("name = \n")
    return tmp_path


def offered(home: Path, words: str, shell: str = "bash") -> list[str]:
    """What comes of TAB after these words, by asking the command as the shell's script does."""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), "_SEATRIAL_COMPLETE": f"{shell}_complete"}
    process = subprocess.run(
        [sys.executable, "-m", "seatrial.cli.main"],
        cwd=home,
        env={"PATH": os.defpath, "PYTHONPATH": SOURCE_ROOT, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    lines = [line for line in process.stdout.splitlines() if line]
    return [line.partition(",")[2] for line in lines] if shell == "bash" else lines


def test_commands_complete_with_their_help(home: Path) -> None:
    assert offered(home, "seatrial re") == ["resume", "remove-client", "remark", "report"]
    assert "Let a paused run go on." in offered(home, "seatrial resu", "zsh")


@pytest.mark.parametrize("words", ["seatrial watch ", "seatrial report ", "seatrial stop ", "seatrial watch last "])
def test_runs_complete_the_newest_first(home: Path, words: str) -> None:
    assert offered(home, words) == ["last", NEWER, OLDER]
    assert offered(home, f"{words}202601") == [NEWER, OLDER]
    assert offered(home, f"{words}20260101") == [OLDER]


def test_runs_complete_from_the_place_that_was_named(home: Path) -> None:
    assert offered(home, f"seatrial watch --runs-dir {home / 'absent'} ") == ["last"]


def test_presets_complete_with_those_of_the_configuration(home: Path) -> None:
    assert offered(home, "seatrial run mi") == ["mine"]
    assert "my own kind of run" in offered(home, "seatrial run mi", "zsh")
    assert {"mine", "smoke"} <= set(offered(home, "seatrial run "))


def test_themes_complete_with_the_users_own_and_a_broken_one_is_passed_over(home: Path) -> None:
    assert offered(home, "seatrial run --theme of") == ["of-mine"]
    assert {"of-mine", "seatrial-dark"} <= set(offered(home, "seatrial watch --theme "))


def test_a_broken_configuration_offers_nothing_and_says_nothing(home: Path) -> None:
    (home / "config.toml").write_text("[run\n")
    assert offered(home, "seatrial run ") == []
    assert offered(home, "seatrial watch ") == ["last"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_the_shells_own(shell: str) -> None:
    result = CliRunner().invoke(command.cli, ["completion", shell])
    assert (result.exit_code, f"_SEATRIAL_COMPLETE={shell}_complete" in result.stdout) == (0, True)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=result.stdout, text=True, check=True)


def test_without_a_name_it_is_the_shell_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/local/bin/zsh")
    assert "_SEATRIAL_COMPLETE=zsh_complete" in CliRunner().invoke(command.cli, ["completion"]).stdout


def test_a_shell_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SHELL", "/bin/elvish")
    with pytest.raises(SystemExit) as ended:
        command.main(["completion"])
    assert ended.value.code == ExitCode.USAGE
    assert "no completion for elvish" in capsys.readouterr().err
