"""What the shell offers for RUN, PRESET and themes. Whatever goes wrong offers nothing: nobody asked for a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path

import click
from click.shell_completion import CompletionItem

OFFERED_RUNS = 50
"""The newest; the others are found by the prefix that is typed."""


def run_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest runs that begin so, with what became of them, and ``last``."""
    found = [CompletionItem("last", help="the newest run")] if "last".startswith(incomplete) else []
    with suppress(Exception):
        found += islice(_runs(ctx.params.get("runs_dir"), incomplete), OFFERED_RUNS)
    return found


def preset_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The presets of the configuration, with their descriptions."""
    with suppress(Exception):
        loaded = import_module("seatrial.config.loader").load_config(config_file=ctx.params.get("config_file"))
        return [
            CompletionItem(name, help=" ".join(preset.description.split()))
            for name, preset in loaded.config.presets.items()
            if name.startswith(incomplete)
        ]
    return []


def theme_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The built-in themes and the user's own."""
    with suppress(Exception):
        return [CompletionItem(name) for name in sorted(set(_themes())) if name.startswith(incomplete)]
    return []


def _runs(given: Path | None, incomplete: str) -> Iterator[CompletionItem]:
    runs, loader = import_module("seatrial.history.runs"), import_module("seatrial.config.loader")
    state_of = import_module("seatrial.report.listing").state_of
    place = given or runs.runs_root(loader.place(loader.load_config().config.run.runs_dir) or "")
    for run in runs.list_runs(place, incomplete):
        yield CompletionItem(run.run_id, help=f"{run.preset} {state_of(run)}")


def _themes() -> Iterator[str]:
    tomli, platformdirs = import_module("tomli"), import_module("platformdirs")
    built_in = import_module("seatrial.config.data").builtin("themes")
    for folder in (built_in, platformdirs.user_config_path("seatrial") / "themes"):
        for file in folder.iterdir() if folder.is_dir() else ():
            with suppress(Exception):
                yield tomli.loads(file.read_text(encoding="utf-8"))["name"]
