"""Docstrings begin with a short line that says what a thing does, and point at no other module."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import artifact_sync

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(artifact_sync.__file__).parent
DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
MOST_WORDS = 14


def docstrings() -> Iterator[tuple[str, str]]:
    """The docstrings of modules, public classes and public functions, and where they stand."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "name", "")
            if isinstance(node, (ast.Module, *DEFINITIONS)) and not name.startswith("_"):
                yield f"{path.relative_to(PACKAGE)}: {name}", ast.get_docstring(node) or ""


def test_the_first_line_is_short() -> None:
    lines = ((place, text.partition("\n")[0]) for place, text in docstrings())
    assert [it for it in lines if len(it[1].split()) > MOST_WORDS] == []


def test_none_says_what_is_the_business_of_something_else() -> None:
    """As "reading the file is ``document``'s"."""
    pointer = re.compile(r"``'s?(?!\w)")
    assert [place for place, text in docstrings() if pointer.search(text)] == []
