"""Pieces of a manual page, in man(7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from artifact_sync.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def head(name: str, section: int, summary: str) -> str:
    """The title line and the section NAME."""
    title = (
        f'.TH {_quoted(name.upper())} {section} "" "artifact-sync {VERSION}" "artifact-sync manual"'
    )
    return f"{title}\n.nh\n.ad l\n.SH NAME\n{text(name)} \\- {text(_lower(summary))}"


def section(title: str, *blocks: str) -> str:
    """A section; empty when it has no content."""
    content = [it for it in blocks if it]
    return "\n".join([f".SH {title}", *content]) if content else ""


def paragraphs(texts: Iterable[str]) -> str:
    """Paragraphs of running text."""
    return "\n.PP\n".join(_marked(it) for it in texts)


def entries(pairs: Iterable[tuple[str, str]]) -> str:
    """Terms, each with an indented text."""
    return "\n".join(f".TP\n\\fB{text(term)}\\fR\n{_marked(told)}" for term, told in pairs)


def example(lines: Sequence[str]) -> str:
    """Lines as they are typed."""
    if not lines:
        return ""
    return "\n".join([".EX", *(_guarded(text(line)) for line in lines), ".EE"])


def joined(*parts: str) -> str:
    """The text of a page."""
    return "\n".join(filter(None, parts)) + "\n"


def text(plain: str) -> str:
    """Escape what roff would read; hyphens are to be copied as they are."""
    escaped = plain.replace("\\", "\\e").replace("-", "\\-")
    return escaped.replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")


def _marked(markdown: str) -> str:
    """Running text with its code in bold and its links as their words."""
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", " ".join(markdown.split()))
    parts = re.split(r"`([^`]+)`", plain)
    bold = [f"\\fB{text(it)}\\fR" if number % 2 else text(it) for number, it in enumerate(parts)]
    return _guarded("".join(bold))


def _guarded(line: str) -> str:
    """A line that is no request, though it may begin with a dot."""
    return f"\\&{line}" if line.startswith((".", "'", "\\(aq")) else line


def _quoted(name: str) -> str:
    return f'"{name}"'


def _lower(summary: str) -> str:
    """A summary as it stands behind a name: no capital, no full stop."""
    return summary[:1].lower() + summary[1:].removesuffix(".")
