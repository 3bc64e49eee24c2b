"""Shell completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
Examples:
  vbsbatch completion bash > ~/.local/share/bash-completion/completions/vbsbatch
  vbsbatch completion zsh > ~/.zfunc/_vbsbatch     # a folder of your $fpath
  vbsbatch completion fish > ~/.config/fish/completions/vbsbatch.fish
"""
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the completion script for SHELL."""
    from vbsbatch.cli.app import app

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(app, {}, "vbsbatch", "_VBSBATCH_COMPLETE").source())
