"""The ``seatrial`` command: its table of commands, and how it ends.

Whatever goes wrong ends in one clear message on standard error and an exit code of ``ExitCode``; a traceback goes to a file. Nothing
heavy is imported here: ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import click

from seatrial.cli.dashboard import has_screen, launch
from seatrial.cli.lazy import LazyCommand, LazyGroup
from seatrial.errors import SeatrialError
from seatrial.verdicts import ExitCode

COMMANDS = {
    "run": LazyCommand("seatrial.cli.run:run", "Run a preset: in the dashboard on a terminal, in lines elsewhere."),
    "watch": LazyCommand("seatrial.cli.watch:watch", "The dashboard over runs that are under way or over."),
    "demo": LazyCommand("seatrial.cli.demo:demo", "Half a minute: a planted defect caught and explained, then a clean pass."),
    "stop": LazyCommand("seatrial.cli.steer:stop", "Stop a run cleanly: heal, verify, report."),
    "pause": LazyCommand("seatrial.cli.steer:pause", "Let no further action of a run begin."),
    "resume": LazyCommand("seatrial.cli.steer:resume", "Let a paused run go on."),
    "gc": LazyCommand("seatrial.cli.steer:gc", "Collect garbage in a run, now."),
    "snapshot": LazyCommand("seatrial.cli.steer:snapshot", "Have one client of a run take a snapshot, now."),
    "add-client": LazyCommand("seatrial.cli.steer:add_client", "Have one more client join a run."),
    "remove-client": LazyCommand("seatrial.cli.steer:remove_client", "Have a client leave a run."),
    "status": LazyCommand("seatrial.cli.steer:status", "Where a run stands, in a line."),
    "remark": LazyCommand("seatrial.cli.steer:remark", "Leave a remark in the journal of a run."),
    "report": LazyCommand("seatrial.cli.report:report", "Judge a run again from its journal, and report."),
    "runs": LazyCommand("seatrial.cli.runs:runs", "List the runs; remove old ones."),
    "presets": LazyCommand("seatrial.cli.presets:presets", "List the presets."),
    "doctor": LazyCommand("seatrial.cli.doctor:doctor", "What this machine can run, and what is missing."),
    "config": LazyCommand("seatrial.cli.config:config", "Show or validate the configuration."),
    "completion": LazyCommand(
        "seatrial.cli.completion:completion", "The script that completes commands, runs, presets and themes in your shell."
    ),
}


_GONE = frozenset({errno.EPIPE, errno.EIO})
"""Nobody reads any more: a pipe that was closed, a terminal that hung up."""


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        version = import_module("seatrial.version")
        click.echo(f"seatrial {version.seatrial_version()}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="RUN is a directory, an id, a unique prefix of it, or `last`. Exit codes: 0 pass, 1 robustness failure, 2 usage or "
    "configuration, 3 inconclusive, 4 harness or target broke, 130 interrupted.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit.")
@click.pass_context
def cli(ctx: click.Context) -> ExitCode:
    """Take a repository server to sea before your data does.

    Many clients at once write, snapshot, restore, delete and collect garbage on one backup repository server; what comes back is
    proved to be what went in. Without a command, a terminal shows what can be run and starts it.
    """
    if ctx.invoked_subcommand is not None:
        return ExitCode.PASS
    if has_screen():
        return _launch()
    click.echo(ctx.get_help())
    return ExitCode.PASS


def _launch() -> ExitCode:
    """Show what can be run, and run what is chosen."""
    chosen = launch()
    if chosen is None:
        return ExitCode.PASS
    code: ExitCode = cli.main(args=list(chosen), prog_name="seatrial", standalone_mode=False)
    return code


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry point: run the command and end the process."""
    _open_streams()
    _harden_streams()
    sys.exit(_finish(_guarded(argv)))


def _open_streams() -> None:
    """A standard stream that our caller closed leads nowhere from here on: the next file opened would get its number, and our lines."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free, which is this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - open as long as we are


def _harden_streams() -> None:
    """Make standard output and error show what they cannot encode, instead of raising in the middle of a run."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _guarded(argv: Sequence[str] | None) -> ExitCode:
    try:
        code = cli.main(args=argv, prog_name="seatrial", standalone_mode=False)
        return ExitCode(code) if isinstance(code, int) else ExitCode.PASS
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except SeatrialError as error:
        _complain(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as end:  # what click makes of a broken pipe, and how it ends after it has answered a shell
        return _reader_left() if end.code else ExitCode.PASS
    except Exception as error:  # noqa: BLE001  # the last frame: the traceback goes to a file
        refusal = import_module("seatrial.resources").refusal_of(error) if isinstance(error, OSError) else None
        if refusal is None:
            return _crashed(error)
        _complain(str(refusal))
        return ExitCode(refusal.exit_code)


def _complain(text: str) -> None:
    """On standard error, with what others wrote (server lines, paths) made harmless line by line."""
    plain = import_module("seatrial.report.prose").plain
    with suppress(OSError):  # a terminal that hung up: the exit code still tells
        click.echo("\n".join(map(plain, f"seatrial: {text}".splitlines())), err=True)


def _crashed(error: Exception) -> ExitCode:
    where = import_module("seatrial.cli.crash").write_crash_report(error, sys.argv)
    _complain(
        f"a defect of seatrial itself: {type(error).__name__}: {error}\n"
        f"  {f'the details are in {where}' if where else 'the details could not be written to a file'}; please report it with them"
    )
    return ExitCode.BROKEN


def _reader_left() -> ExitCode:
    """Whoever read our output has gone (``seatrial runs | head``): end without a word, and without one at shutdown either."""
    _silence()
    return ExitCode.INTERRUPTED


def _silence() -> None:
    """What is still buffered goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unwritten() -> OSError | None:
    """Why what is still buffered cannot be written to standard output; None where it can."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _finish(code: ExitCode) -> ExitCode:
    """What is still buffered may find the pipe closed, the terminal gone or the disk full; said here, not by the interpreter at its end."""
    error = _unwritten()
    if error is None:
        return code
    if error.errno in _GONE:
        left = _reader_left()
    else:
        _complain(f"standard output: {error.strerror} (free some space, or choose another place)")
        _silence()
        left = ExitCode.BROKEN
    return left if code is ExitCode.PASS else code


if __name__ == "__main__":
    main()
