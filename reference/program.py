"""Commands, arguments and options of the program, read from click."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from artifact_sync import cli

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "artifact-sync"
_EXAMPLES = "Examples:"


class Option(Struct, frozen=True):
    """An option as it is typed, and what it does."""

    typed: Sequence[str]
    """``--root DIR``; several spellings where there are."""
    help: str


class Command(Struct, frozen=True):
    """A command, or the program as a whole."""

    path: Sequence[str]
    """``("artifact-sync", "config", "check")``."""
    arguments: Sequence[str]
    summary: str
    """What it does, in one line."""
    text: Sequence[str]
    """Paragraphs that say more."""
    options: Sequence[Option]
    examples: Sequence[str]
    notes: Sequence[str]
    """Paragraphs behind the examples."""
    commands: Sequence[str]
    """Names of its own commands."""

    @property
    def name(self) -> str:
        """How it is called."""
        return " ".join(self.path)

    @property
    def usage(self) -> str:
        """The line that shows how to call it."""
        behind = ["COMMAND", "…"] if self.commands else self.arguments
        return " ".join([self.name, "[OPTION]…", *behind])


def commands() -> Iterator[Command]:
    """Every command: the program, then each with those below it."""
    yield from _walk((NAME,), cli.group, None)


def _walk(
    path: Sequence[str], command: click.Command, above: click.Context | None
) -> Iterator[Command]:
    settings = command.context_settings
    context = click.Context(command, info_name=path[-1], parent=above, **settings)
    below = command.list_commands(context) if isinstance(command, click.Group) else []
    yield _described(path, command, context, below)
    if isinstance(command, click.Group):
        for name in below:
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _walk((*path, name), inner, context)


def _described(
    path: Sequence[str], command: click.Command, context: click.Context, below: Sequence[str]
) -> Command:
    summary, *text = _paragraphs(command.help or "")
    examples, notes = _epilog(command.epilog or "")
    parameters = command.get_params(context)
    return Command(
        path=path,
        arguments=[it.make_metavar(context) for it in parameters if isinstance(it, click.Argument)],
        summary=summary,
        text=text,
        options=[
            _option(it, context)
            for it in parameters
            if isinstance(it, click.Option) and not it.hidden
        ],
        examples=examples,
        notes=notes,
        commands=below,
    )


def _option(option: click.Option, context: click.Context) -> Option:
    names = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    typed = [f"{name}{value}" for name in sorted(names, key=len)]
    bounds = _bounds(option.type)
    return Option(typed, " ".join([(option.help or "").strip(), *bounds]))


def _bounds(kind: click.ParamType[Any]) -> Iterator[str]:
    if isinstance(kind, click.IntRange) and kind.min is not None and kind.max is not None:
        yield f"{kind.min} to {kind.max}."


def _paragraphs(text: str) -> list[str]:
    """Paragraphs of a help text, each on one line."""
    found = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return [" ".join(it.replace("\b", "").split()) for it in found if it.strip("\b \n")]


def _epilog(text: str) -> tuple[list[str], list[str]]:
    """The examples of an epilog, and the paragraphs behind them."""
    examples: list[str] = []
    notes = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = [line for line in paragraph.replace("\b", "").splitlines() if line.strip()]
        if lines and lines[0].strip() == _EXAMPLES:
            examples += [line.strip() for line in lines[1:] if line.startswith("  ")]
            lines = [line for line in lines[1:] if not line.startswith("  ")]
        if lines:
            notes.append(" ".join(" ".join(lines).split()))
    return examples, notes
