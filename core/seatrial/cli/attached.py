"""``seatrial run`` on a terminal: the engine in a process of its own, the dashboard here, and what is said when it has closed."""

from __future__ import annotations

import shlex
import signal
import sys
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path

import click

from seatrial.cli.dashboard import dashboard
from seatrial.cli.engine_process import EngineEndedError, EngineProcess
from seatrial.cli.run_options import RunOptions, arguments, settings_of
from seatrial.cli.tether import ENGINE_LOG
from seatrial.config.loader import load_config
from seatrial.config.model import UiSettings
from seatrial.errors import SeatrialError
from seatrial.report.prose import plain
from seatrial.verdicts import ExitCode, worst_exit_code

SOON_S = 1.0
"""For an engine whose run is over to be gone; one that takes longer still runs."""
JUDGED = frozenset({ExitCode.PASS, ExitCode.ROBUSTNESS_FAILURE, ExitCode.INCONCLUSIVE})
"""Of an engine that has said all there is to say in its verdict."""


def run_shown(options: RunOptions) -> ExitCode:
    """Start the engine, show its run until the dashboard closes, then tell how it ended or how to come back to it.

    However the dashboard ends, an engine that is not detached has ended when this returns.
    """
    with closing(EngineProcess.start(arguments(options))) as engine:
        try:
            shown = _show(engine, options)
        except EngineEndedError as ended:
            _say(ended.output.rstrip() or f"seatrial: {ended}")
            return ended.code
        except BaseException:
            _await_end(engine)
            with suppress(SeatrialError):  # what the dashboard ended with is the one to show
                _tell_the_end(engine)
            raise
        if engine.detached:
            _tell_the_way_back(engine.directory, options)
            return shown
        ended_with = _await_end(engine)
        _tell_the_end(engine)
        return worst_exit_code((ended_with, shown))


def over_several_targets(options: RunOptions) -> bool:
    """Whether there will be a run on each of several targets, which one dashboard cannot show."""
    loaded = load_config(config_file=options.config_file, sets=settings_of(options), preset=options.preset_name)
    return len(loaded.preset(options.preset_name or loaded.config.default_preset).all_targets) > 1


def ui_settings(options: RunOptions) -> UiSettings:
    """The dashboard's part of the configuration; what is to be said of the whole of it the engine says."""
    sets = settings_of(options) + ([f"ui.theme={options.theme}"] if options.theme else [])
    return load_config(config_file=options.config_file, sets=sets, preset=options.preset_name).config.ui


def _show(engine: EngineProcess, options: RunOptions) -> ExitCode:
    show = dashboard()  # imported while the engine begins
    directory = engine.await_directory()
    return show((directory,), engine, ui_settings(options))


def _await_end(engine: EngineProcess) -> ExitCode:
    """Cut the tie where the run still goes on, and wait; Ctrl-C ends it at once."""
    patience_s: float | None = SOON_S
    while True:
        try:
            code = engine.wait(patience_s)
            if code is not None:
                return code
            engine.close()
            patience_s = None
            _say("the run stops: heal, verify, report; Ctrl-C ends it at once")
        except KeyboardInterrupt:
            engine.close()
            _say("the run is ended at once")
            engine.end_at_once()


def _tell_the_end(engine: EngineProcess) -> None:
    """The closing lines, as without a screen; then why it could not be carried through, where that is so."""
    lines, report = import_module("seatrial.cli.lines"), import_module("seatrial.report")
    terminal = import_module("seatrial.cli.terminal")
    summary = report.summarise(engine.directory)
    lines.Lines(terminal.Screen(sys.stdout), summary.view.header.seed).finish(summary)
    if engine.killed_by:
        log = engine.directory / ENGINE_LOG
        _say(plain(f"seatrial: the engine was killed by {signal.Signals(engine.killed_by).name}; what it said is in {log}"))
    elif engine.returncode not in JUDGED:
        for line in engine.complaint().splitlines():
            _say(plain(line))


def _tell_the_way_back(directory: Path, options: RunOptions) -> None:
    place = ("--runs-dir", str(options.runs_dir)) if options.runs_dir else ()
    _say(f"run {plain(directory.name)} goes on", err=False)
    for what, command in (("watch it", "watch"), ("stop it", "stop")):
        _say(f"{what:<10} {plain(shlex.join(('seatrial', command, directory.name, *place)))}", err=False)


def _say(text: str, *, err: bool = True) -> None:
    with suppress(OSError):  # a window that was closed hears nothing; the run still stops, and the exit code tells
        click.echo(text, err=err)
