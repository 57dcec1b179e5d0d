"""What ``seatrial run`` was asked for on its command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """The command line of ``seatrial run``; None or empty where an option was not given."""

    preset_name: str | None
    target: str | None
    exe: str | None
    server: str | None
    repo: str | None
    clients: int | None
    duration: float | None
    seed: int | None
    sets: tuple[str, ...]
    config_file: Path | None
    dry_run: bool
    fail_fast: bool
    repeat: int | None
    until_fail: bool
    runs_dir: Path | None
    repo_path_prefix: Path | None
    as_json: bool
    quiet: bool
    verbose: bool
    theme: str | None = None
    no_ui: bool = False
    tied_to: int | None = None
    """The descriptor of the tie to a dashboard, see ``cli/tether.py``."""

    @property
    def wants_screen(self) -> bool:
        """Whether one run is to be shown, and nothing asks for lines. Whether it can be shown is for the terminal to say."""
        lines = self.no_ui or self.as_json or self.quiet or self.dry_run or self.tied_to is not None
        return not (lines or self.until_fail or self.repeat is not None)


def settings_of(options: RunOptions) -> list[str]:
    """``--set`` and the options that are short forms of it, which win."""
    settings = list(options.sets)
    if options.target is not None:
        names = [name.strip() for name in options.target.split(",")]
        settings += [f"target={names[0]}", f"targets={names if len(names) > 1 else []}"]
    if options.exe is not None:
        settings.append(f"exe={options.exe}")
    if options.server is not None:
        settings.append(f"server={options.server}")
    if options.clients is not None:
        settings.append(f"clients={options.clients}")
    if options.duration is not None:
        settings.append(f"duration_s={options.duration:g}")
    return settings


def again(options: RunOptions, name: str, seed: int, target: str | None = None) -> tuple[str, ...]:
    """The command that runs the same plan again, once; on ``target`` where it was one of several."""
    return ("seatrial", *arguments(replace(options, preset_name=name, seed=seed, verbose=False, target=target or options.target)))


def arguments(options: RunOptions) -> list[str]:
    """The command line of one run with these options, without the name of the program."""
    command = ["run"] if options.preset_name is None else ["run", options.preset_name]
    for option, value in (
        ("--seed", options.seed),
        ("--target", options.target),
        ("--exe", options.exe),
        ("--server", options.server),
        ("--repo", options.repo),
        ("--clients", options.clients),
        ("--duration", None if options.duration is None else f"{options.duration:g}s"),
        ("--config", options.config_file and options.config_file.absolute()),
        ("--runs-dir", options.runs_dir),
        ("--repo-path-prefix", options.repo_path_prefix),
    ):
        if value is not None:
            command += [option, str(value)]
    for setting in options.sets:
        command += ["--set", setting]
    for flag, given in (("--fail-fast", options.fail_fast), ("--verbose", options.verbose)):
        command += [flag] if given else []
    return command
