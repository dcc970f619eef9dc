"""The command line.

``commands``: a file each, imported when the command is called. ``logs``: formats and handlers. The
rest is shared by commands. Not here: the work itself, which ``app`` assembles. Only ``__main__``
imports it.

A command returns its exit code (None: 0), or raises an error of ``domain.errors``, from which
``errors`` makes a message and a code. A new one needs a file ``commands/NAME.py`` with a click
command named ``command``, and a line in ``COMMANDS``.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from artifact_sync.cli.options import config_file, verbosity
from artifact_sync.cli.session import Session
from artifact_sync.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from click.shell_completion import CompletionItem

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "sync": "Mirror the artifacts of finished runs, once.",
        "daemon": "Keep the mirrors current until it is stopped.",
        "worker": "Keep the mirrors current together with other workers.",
        "status": "What the ledger holds, a line a repository.",
        "ls": "The artifacts in the ledger: state, size, evidence, last error.",
        "du": "What mirrored files take, by repository, run or path.",
        "path": "Where mirrored files are: an absolute path a line, for scripts.",
        "get": "Copy mirrored files to a folder, or unpack them there.",
        "why": "One artifact: its rule, tries, evidence, what comes next.",
        "show": "One run: who, why, how long, what failed, what is here.",
        "verify": "Hash the mirror's files again and compare them with the ledger.",
        "forget": "Let go of artifacts, runs or a repository: no failures any more.",
        "remember": "Take back what was forgotten.",
        "prune": "Remove the runs that no rule keeps, and say why.",
        "pin": "Never prune a run.",
        "unpin": "Take the pin of a run away.",
        "pins": "The runs that are never pruned, and why.",
        "adopt": "Make a lost ledger again from the files of a mirror.",
        "move": "Take a mirror to another folder, object store or database.",
        "displaced": "List, put back and remove files that were in the way.",
        "hooks": "What hooks are still to be told; tell it now, or drop it.",
        "config": "Write, check and show the configuration.",
        "demo": "Try it against a simulator on this machine; needs no account.",
        "simulate": "Run the simulator alone, for a trial of your own.",
        "completion": "Print the completion script of a shell.",
    }
)
"""Every command and its line in ``--help``, which imports no command."""

_EXAMPLES = """\b
Examples:
  artifact-sync demo
  artifact-sync config init
  artifact-sync sync ORG/REPO --root ~/artifacts --dry-run
  artifact-sync sync ORG/REPO --root ~/artifacts --since 7d
  artifact-sync verify --repair

\b
Exit codes: 0 complete, 1 incomplete, 2 usage or configuration,
3 credentials refused, 4 service unreachable, 5 integrity, 6 disk full or
refusing, 7 the mirror is in use, 130 interrupted."""


class LazyGroup(click.Group):
    """A group of commands that are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown one."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{__name__}.commands.{cmd_name}"
        try:
            command: click.Command = importlib.import_module(name).command
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            ctx.fail(f"{cmd_name} is not part of this installation")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; suggest one for an unknown word."""
        word = args[0]
        if word not in COMMANDS and not word.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches  # noqa: PLC0415 - only for this answer

            close = get_close_matches(word, COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"commands: {', '.join(COMMANDS)}"
            ctx.fail(f"no such command {word!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands from the table, and options."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for completion

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=COMMANDS[name]) for name in names]
        return commands + click.Command.shell_complete(self, ctx, incomplete)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if wanted and not ctx.resilient_parsing:
        click.echo(f"artifact-sync {VERSION}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
@config_file
@verbosity
@click.pass_context
def group(ctx: click.Context, config_file: Path | None) -> None:
    """Mirror the CI artifacts of SourceCraft before they vanish: verified and resumable."""
    ctx.ensure_object(Session).config_file = config_file
