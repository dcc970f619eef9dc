"""The page of commands and options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.markdown import block, code, table
from reference.markdown import page as whole
from reference.program import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.program import Command

_ABOUT = (
    "What the commands have in common stands in [a page of its own](../concepts/commands.md),"
    " the codes that they end with in [exit codes](exit-codes.md), and what `--json` prints in"
    " [JSON](json.md). Every command has a manual page as well: `man artifact-sync-sync`."
)


_TESTED = "<!-- tested by tests/unit/reference/test_reference.py -->"


def page() -> str:
    """Make the page."""
    return whole("Commands", _ABOUT, *(text for it in commands() for text in _section(it)))


def _section(command: Command) -> Iterator[str]:
    yield f"{'#' * min(len(command.path) + 1, 3)} {command.name}"
    yield block(command.usage, "text")
    yield command.summary
    yield from command.text
    yield table(
        ["option", "what it does"],
        [(", ".join(map(code, option.typed)), option.help) for option in command.options],
    )
    if command.examples:
        yield f"{_TESTED}\n{block(chr(10).join(command.examples), 'sh')}"
    yield from command.notes
