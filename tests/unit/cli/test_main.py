"""The command itself: help, errors, exit codes, and what it leaves to the terminal."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from seatrial.cli import main as command
from seatrial.cli.crash import redact, write_crash_report
from seatrial.cli.params import Directory, Duration
from seatrial.errors import SeatrialError, TargetError, UsageError
from seatrial.verdicts import ExitCode

COMMAND = (sys.executable, "-m", "seatrial.cli.main")


def ended_by(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code of the command when one of its commands raises."""

    def raises(**_: object) -> None:
        raise error

    monkeypatch.setattr(command.cli, "main", raises)
    with pytest.raises(SystemExit) as ended:
        command.main([])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("name", command.COMMANDS)
def test_the_table_of_commands_tells_what_the_command_itself_tells(name: str) -> None:
    module, _, attribute = command.COMMANDS[name].where.partition(":")
    loaded = getattr(import_module(module), attribute)
    assert isinstance(loaded, click.Command)
    assert loaded.name == name
    assert loaded.get_short_help_str(200) == command.COMMANDS[name].help


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(command.cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: cli {name}")


def test_no_arguments_print_the_help_on_standard_output() -> None:
    result = CliRunner().invoke(command.cli, [])
    assert result.exit_code == 0
    assert "Commands:" in result.stdout
    assert not result.stderr


def test_an_unknown_command_names_the_nearest() -> None:
    result = CliRunner().invoke(command.cli, ["repot"])
    assert result.exit_code == ExitCode.USAGE
    assert "'report'" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("unknown key", where="config.toml", remedy="try clients"), 2, "seatrial: config.toml: unknown key (try clients)"),
        (
            TargetError("the server did not come up:\nlast line \x1b[31mred"),
            4,
            "seatrial: the server did not come up:\nlast line \\x1b[31mred",
        ),
        (click.UsageError("bad"), 2, "Error: bad"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_one_message_and_the_code_of_its_class(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    assert ended_by(monkeypatch, error) == code
    captured = capsys.readouterr()
    assert captured.err.strip() == said
    assert not captured.out


def test_a_defect_of_ours_leaves_its_traceback_in_a_file_and_not_on_the_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ended_by(monkeypatch, ZeroDivisionError("by nought")) == ExitCode.BROKEN
    said = capsys.readouterr().err
    (kept,) = tmp_path.iterdir()
    assert str(kept) in said
    assert "ZeroDivisionError: by nought" in said
    assert "Traceback" not in said
    assert "Traceback" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_no_place_for_the_crash_report_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert ended_by(monkeypatch, ZeroDivisionError()) == ExitCode.BROKEN
    assert "could not be written" in capsys.readouterr().err


def test_secrets_do_not_reach_a_crash_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = write_crash_report(SeatrialError("https://anna:geheim@host/x"), ["seatrial", "--server", "https://anna:geheim@host"])
    assert "geheim" not in Path(path).read_text()
    assert redact("repository_password=geheim rest") == "repository_password=… rest"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0), ("250ms", 0.25)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "five", "-3", "5x", "m", "٣"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 90s, 5m or 1h30m"):
        Duration().convert(text, None, None)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(click.BadParameter, match="is not a directory"):
        Directory().convert(str(tmp_path / "file"), None, None)
    assert Directory().convert(str(tmp_path / "new"), None, None) == tmp_path / "new"


def seatrial(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath, **environment},
    )


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from seatrial.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('msgspec', 'zstandard', 'cryptography', 'psutil', 'urllib3') if name in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert out.stdout.endswith("[]\n")


def test_a_reader_who_leaves_early_is_no_error() -> None:
    with seatrial("--help") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() in (ExitCode.PASS, ExitCode.INTERRUPTED)


def test_help_on_a_terminal_encoding_of_ascii_and_without_a_home_works() -> None:
    with seatrial("--help", PYTHONIOENCODING="ascii") as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.PASS
    assert "Usage: seatrial" in out
    assert not err


class GoneTerminal:
    """Standard output whose reader has left, or whose disk is full."""

    def __init__(self, number: int, descriptor: int) -> None:
        self._number, self._descriptor = number, descriptor

    def flush(self) -> None:
        raise OSError(self._number, os.strerror(self._number))

    def fileno(self) -> int:
        return self._descriptor


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_an_output_that_nobody_reads_ends_it_without_a_word(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", GoneTerminal(number, out.fileno()))
        assert command._finish(ExitCode.PASS) is ExitCode.INTERRUPTED
        assert command._finish(ExitCode.ROBUSTNESS_FAILURE) is ExitCode.ROBUSTNESS_FAILURE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("arguments", "where"), [(["presets"], "standard output: "), (["presets", "--json"], "")], ids=["at-the-end", "in-the-midst"]
)
def test_an_output_that_cannot_be_written_is_not_passed_over(arguments: list[str], where: str, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    with open("/dev/full", "w") as full:  # noqa: PTH123 - no file
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert done.returncode == ExitCode.BROKEN
    assert done.stderr == f"seatrial: {where}No space left on device (free some space, or choose another place)\n"
    assert not [*tmp_path.glob("*crash*")]


def test_a_closed_output_is_no_defect(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    for closed in ("<&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        shell = ["sh", "-c", f'"$@" {closed}', "sh", *COMMAND, "presets", "--json"]
        done = subprocess.run(shell, capture_output=True, text=True, check=False, env=environment)
        assert (done.returncode, done.stderr) == (ExitCode.PASS, "")
