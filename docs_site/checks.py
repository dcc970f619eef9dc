"""What must hold for the site, beyond what the generator checks."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from docs_site.build import SITE
from docs_site.html import built_pages
from docs_site.pages import headings, length_faults, navigation_faults, pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from docs_site.html import BuiltPage

_FOREIGN = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_STYLE_LOADS = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)
_LEAST_SHOWN = 0.8
"""The share of a page's words that its HTML has: links and comments lose some."""


def faults(project: Path) -> list[str]:
    """Every fault of a project's pages and of the site built from them, a line each.

    Those of the navigation alone, if it has any: each page of the site would repeat them.
    """
    if unlisted := list(navigation_faults(project)):
        return unlisted
    site = project / SITE
    built = built_pages(site)
    return [
        *length_faults(project),
        *link_faults(site, built),
        *foreign_faults(site, built),
        *hidden_faults(project, built),
    ]


def link_faults(site: Path, built: Mapping[Path, BuiltPage]) -> Iterator[str]:
    """Links and loaded files that are not there, and anchors that a page lacks."""
    for path, page in built.items():
        for address in dict.fromkeys(chain(page.links, page.loaded)):
            if problem := _problem(site, path, address, built):
                yield f"{path.relative_to(site)}: {address}: {problem}"


def _problem(site: Path, path: Path, address: str, built: Mapping[Path, BuiltPage]) -> str:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return ""
    target = _target(site, path, unquote(parts.path))
    if not target.is_file():
        return "no such page"
    anchor = unquote(parts.fragment)
    if anchor and target in built and anchor not in built[target].anchors:
        return "no such anchor"
    return ""


def _target(site: Path, path: Path, address: str) -> Path:
    if not address:
        return path
    base = site if address.startswith("/") else path.parent
    target = (base / address.lstrip("/")).resolve()
    return target / "index.html" if target.is_dir() else target


def foreign_faults(site: Path, built: Mapping[Path, BuiltPage]) -> Iterator[str]:
    """What a browser would fetch from another host."""
    for path, page in built.items():
        for address in filter(_FOREIGN.match, page.loaded):
            yield f"{path.relative_to(site)}: loads {address}"
        if "mermaid" in page.classes:  # its script comes from another host
            yield f"{path.relative_to(site)}: a diagram that needs a script"
    for style in sorted(site.rglob("*.css")):
        for address in _STYLE_LOADS.findall(style.read_text(encoding="utf-8")):
            yield f"{style.relative_to(site)}: loads {address}"


def hidden_faults(project: Path, built: Mapping[Path, BuiltPage]) -> Iterator[str]:
    """Pages whose text is not in their HTML, so that they need JavaScript to be read."""
    for name, text in pages(project).items():
        page = built.get(built_path(project / SITE, name))
        if page is None:
            yield f"docs/{name}: not built"
            continue
        shown = " ".join(page.words)
        words = sum(any(map(str.isalnum, word)) for word in text.split())
        if len(page.words) < _LEAST_SHOWN * words:
            yield f"docs/{name}: its HTML has {len(page.words)} of its {words} words"
        for heading in headings(text):
            if _plain(heading) not in _plain(shown):
                yield f"docs/{name}: its HTML lacks the heading {heading!r}"


def built_path(site: Path, page: str) -> Path:
    """Where a page of ``docs`` is built: a folder each, but for an index."""
    stem = page.removesuffix(".md")
    stem = "" if stem == "index" else stem.removesuffix("/index")
    return site / stem / "index.html"


def _plain(text: str) -> str:
    """Letters and digits only, since Markdown marks and quotes differ."""
    linked = re.sub(r"\]\([^)]*\)", "]", text)
    return "".join(filter(str.isalnum, linked))
