"""``artifact-sync completion``: print the completion script of a shell."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from artifact_sync.cli.options import verbosity

if TYPE_CHECKING:
    from collections.abc import Mapping

_INSTALL: Mapping[str, str] = MappingProxyType(
    {
        "bash": "artifact-sync completion bash >> ~/.bashrc",
        "zsh": "artifact-sync completion zsh >> ~/.zshrc",
        "fish": "artifact-sync completion fish > ~/.config/fish/completions/artifact-sync.fish",
    }
)

_BEFORE = {"zsh": "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }\n"}
"""What a new account's shell needs before the script: zsh completes nothing until told to."""


@click.command(
    epilog="\b\nExamples:\n"
    + "\n".join(f"  {line}" for line in _INSTALL.values())
    + "\nThen open a new shell."
)
@click.argument("shell", type=click.Choice(list(_INSTALL)))
@verbosity
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, options, repositories and runs."""
    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - click has all three
        ctx.fail(f"click has no completion for {shell}")
    script = kind(ctx.find_root().command, {}, "artifact-sync", "_ARTIFACT_SYNC_COMPLETE").source()
    click.echo(f"# To install: {_INSTALL[shell]}; then open a new shell.")
    click.echo(_BEFORE.get(shell, "") + script)
