"""Whether a command printed what its page shows.

In what is shown, ``…`` stands for anything in its line, and alone in a line for any lines. Ages,
dates, process numbers, ports and free space are compared by their form, white space by its being
there.
"""

from __future__ import annotations

import re

_FORMS = (
    r"\d+(?:ms|[smhd]) ago",
    r"in \d+(?:ms|[smhd])\b",
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)?)?",
    r"\b\d{8}T\d{6}Z",
    r"\b\d\d:\d\d:\d\d(?:\.\d+)?Z?",
    r"\bprocess \d+",
    r"[\d.]+ [KMGT]iB free",
    r"127\.0\.0\.1:\d+",
    r"\b\d+\.\d+ s\b",
)
_PIECE = re.compile("|".join([*(f"(?P<_{n}>{form})" for n, form in enumerate(_FORMS)), r"…|\s+"]))


def matches(shown: str, printed: str) -> bool:
    """Whether the printed text is what is shown."""
    lines = [_line(line) for line in shown.strip().split("\n")]
    return re.fullmatch("".join(lines), printed.strip() + "\n") is not None


def _line(shown: str) -> str:
    if shown.strip() == "…":
        return r"(?:.*\n)*?"
    parts, at = [r"[ \t]*"], 0
    shown = shown.strip()
    for found in _PIECE.finditer(shown):
        parts += [re.escape(shown[at : found.start()]), _form(found)]
        at = found.end()
    return "".join([*parts, re.escape(shown[at:]), r"[ \t]*\n"])


def _form(found: re.Match[str]) -> str:
    if found.lastgroup:
        return _FORMS[int(found.lastgroup[1:])]
    return ".*?" if found[0] == "…" else r"[ \t]+"
