"""``celeriac completion``: print the script that a shell needs to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from celeriac.cli.errors import Failure
from celeriac.cli.group import Command


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    bash: add eval "$(celeriac completion bash)" to ~/.bashrc; zsh: the same with zsh to ~/.zshrc;
    fish: celeriac completion fish > ~/.config/fish/completions/celeriac.fish
    """
    script = get_completion_class(shell)
    if script is None:
        raise Failure(f"This version of click writes no script for {shell}.")
    click.echo(script(context.find_root().command, {}, "celeriac", "_CELERIAC_COMPLETE").source())
