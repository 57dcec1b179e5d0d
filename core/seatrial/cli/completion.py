"""``seatrial completion``."""

from __future__ import annotations

from pathlib import PurePath

import click
from click.shell_completion import get_completion_class

from seatrial.config.loader import user_shell
from seatrial.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_SEATRIAL_COMPLETE"
"""By which a shell asks; click's own name for a program called seatrial."""


@click.command(short_help="The script that completes commands, runs, presets and themes in your shell.")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the completion script of SHELL (the one you use, where none is given).

    \b
    bash: seatrial completion bash >> ~/.bashrc
    zsh:  seatrial completion zsh >> ~/.zshrc
    fish: seatrial completion fish > ~/.config/fish/completions/seatrial.fish
    """
    name = shell or PurePath(user_shell()).name
    known = get_completion_class(name) if name in SHELLS else None
    if known is None:
        raise UsageError(f"no completion for {name or 'an unknown shell'}", where="SHELL", remedy=f"name one of {', '.join(SHELLS)}")
    click.echo(known(ctx.find_root().command, {}, "seatrial", VARIABLE).source())
