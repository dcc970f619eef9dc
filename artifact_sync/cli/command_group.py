"""A command that has commands of its own."""

from __future__ import annotations

import click


class CommandGroup(click.Group):
    """Lists its commands with whole sentences, at any width."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the table of commands."""
        with formatter.section("Commands"):
            whole = [(name, it.get_short_help_str(999)) for name, it in self.commands.items()]
            formatter.write_dl(whole)
