"""Globs over slugs and paths, as regular expressions. Pure.

A glob here is what people know from ignore files, with one difference: ``*`` and ``?`` also match
``/``, so that ``*.xml`` and ``reports/*`` reach every depth.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = (
    r"(?s)(?P<any_depth>/\*\*(?=/|\Z))"
    r"|(?P<star>\*+)"
    r"|(?P<one>\?)"
    r"|\[(?P<negated>[!^]?)(?P<members>\][^]]*|[^]]+)\]"
    r"|(?P<literal>.)"
)
_MEMBER = r"(?s)(?P<first>.)-(?P<last>.)|(?P<single>.)"
_FOLDER_END = r"(?=/|\Z)"


def plain_path(path: str) -> str:
    """The normal form of a path: NFC, no empty or dot parts.

    Composed Unicode: the same Cyrillic name is typed in one form and listed in the other.
    """
    parts = (part for part in path.split("/") if part not in {"", "."})
    return unicodedata.normalize("NFC", "/".join(parts))


def path_regex(glob: str) -> str:
    """The regular expression of a path's glob, for ``/`` and a normal path."""
    plain = plain_path(glob)
    if not plain:
        return "" if glob else r"(?!)"  # "./" is the folder of everything; "" is no glob
    anywhere = "/" not in plain and not glob.startswith("/")
    return _regex(f"/**/{plain}" if anywhere else f"/{plain}", _FOLDER_END)


def slug_regex(glob: str) -> str:
    """The regular expression of a slug's glob, for the whole slug."""
    return _regex(glob, r"\Z")


def glob_problem(glob: str) -> str:
    """What is wrong with a glob, a sentence; empty: nothing."""
    for token in re.finditer(_PIECE, glob):
        if token["literal"] == "[":
            what = "has a [ that is never closed: close it, or write [[] for the character itself"
            return f"the glob {glob!r} {what}"
        members = re.finditer(_MEMBER, token["members"] or "")
        if any(it["first"] and it["first"] > it["last"] for it in members):
            return f"the glob {glob!r} has a range that runs backwards, {token[0]}: turn it around"
    return ""


def _regex(glob: str, end: str) -> str:
    """A regular expression for a glob that matches in linear time.

    Between two stars stand pieces of fixed length. If the rest fits at all then it fits behind the
    first place where a piece does, since the star behind the piece takes up the difference: so each
    piece is looked for once, in an atomic group, and never again.
    """
    first, *others = _pieces(glob, end)
    return "(?s:" + first + "".join(f"(?>.*?{piece})" for piece in others) + ")"


def _pieces(glob: str, end: str) -> Iterator[str]:
    """The expressions between the stars; the last one is closed by ``end``."""
    piece = ""
    for token in re.finditer(_PIECE, glob):
        if token["any_depth"]:
            yield piece + _FOLDER_END
            piece = ""
        elif token["star"]:
            yield piece
            piece = ""
        else:
            piece += _one_character(token)
    yield piece + end


def _one_character(token: re.Match[str]) -> str:
    if token["one"]:
        return "."
    if token["literal"]:
        return re.escape(token["literal"])
    return _character_class(token["members"], negated=bool(token["negated"]))


def _character_class(members: str, *, negated: bool) -> str:
    """``[...]`` of a glob. A range that runs backwards holds nothing."""
    inside = "".join(_member(member) for member in re.finditer(_MEMBER, members))
    if not inside:
        return "." if negated else r"(?!)"
    return f"[{'^' if negated else ''}{inside}]"


def _member(member: re.Match[str]) -> str:
    if member["single"]:
        return re.escape(member["single"])
    first, last = member["first"], member["last"]
    return f"{re.escape(first)}-{re.escape(last)}" if first <= last else ""
