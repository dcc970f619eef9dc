"""Markdown pages and their place in the navigation."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from docs_site.build import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_WORDS = 1200
_LONGER = ("reference/", "decisions/")
"""Folders whose pages may have more words."""

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2\s*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: *#*| +\{#[a-z-]+\})$", re.MULTILINE)


def pages(project: Path) -> dict[str, str]:
    """Every Markdown page below ``docs``, by its path there."""
    docs = project / "docs"
    found = sorted(docs.rglob("*.md"))
    return {page.relative_to(docs).as_posix(): page.read_text(encoding="utf-8") for page in found}


def listed(project: Path) -> list[str]:
    """Every page of the navigation, in its order."""
    settings = tomllib.loads((project / CONFIG).read_text(encoding="utf-8"))
    return list(_leaves(settings["project"]["nav"]))


def _leaves(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        yield from _leaves(list(entry.values()))
    elif isinstance(entry, list):
        for each in entry:
            yield from _leaves(each)


def navigation_faults(project: Path) -> Iterator[str]:
    """Pages that the navigation lacks or has twice, and entries without a page."""
    there, named = pages(project).keys(), listed(project)
    for page in sorted(there - set(named)):
        yield f"docs/{page}: not in the nav of {CONFIG}"
    for page in sorted(set(named) - there):
        yield f"{CONFIG}: no page docs/{page}"
    for page in sorted({page for page in named if named.count(page) > 1}):
        yield f"{CONFIG}: docs/{page} is listed twice"


def length_faults(project: Path) -> Iterator[str]:
    """Pages of too many words."""
    for page, text in pages(project).items():
        words = len(_COMMENT.sub("", text).split())
        if words > MOST_WORDS and not page.startswith(_LONGER):
            yield f"docs/{page}: {words} words, at most {MOST_WORDS}"


def headings(text: str) -> list[str]:
    """The headings of a page, as they are written, without the anchors that some name."""
    return _HEADING.findall(_FENCE.sub("", _COMMENT.sub("", text)))
