"""Pieces of Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MADE = "<!-- Made by `make reference` from the program. Change the program, not this file. -->"


def page(title: str, *blocks: str) -> str:
    """Join blocks to a page."""
    return "\n\n".join([_MADE, f"# {title}", *filter(None, blocks)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table; a line break in a cell becomes a space."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def block(text: str, language: str = "") -> str:
    """Fence a text."""
    return f"```{language}\n{text.rstrip()}\n```"


def code(text: str) -> str:
    """Mark a text as code."""
    return f"`{text}`"


def from_docstring(text: str) -> str:
    """A docstring as Markdown: two backticks mark code in one, one in the other."""
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
