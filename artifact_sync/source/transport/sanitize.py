"""Make text from a server fit for a message: one short line without secrets."""

from __future__ import annotations

import re

from artifact_sync.runtime.text import printable

_LINK = r"(?i)[a-z][a-z0-9+.-]{0,30}://\S+"
_QUERY = r"\?\S*=\S*"
_CREDENTIAL = r"(?i)(\bbearer\s+)\S+|\bpv1_\S+"
_SUSPECT = ("://", "?", "bearer", "pv1_")
"""Without one of these nothing of the above is in a text."""
_READ = 4096
"""Characters looked at; what comes later would be cut off anyway."""


def one_line(text: str, limit: int = 200, secret: str = "") -> str:
    """Remove links, queries, tokens and unprintable characters, and cut to ``limit``.

    ``secret`` (our token) is masked wherever it stands: a server may echo what it was sent.
    """
    text = text[:_READ]
    if secret:
        text = text.replace(secret, "***")
    lowered = text.lower()
    if any(mark in lowered for mark in _SUSPECT):
        text = re.sub(_CREDENTIAL, lambda match: (match[1] or "") + "***", text)
        text = re.sub(_QUERY, "?…", re.sub(_LINK, "<link>", text))
    line = " ".join(printable(text, " ").split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def some_lines(text: str, limit: int, secret: str = "") -> str:
    """Make a longer text fit to be kept: as ``one_line``, with its lines.

    A text that is too long is cut between words, so that no half of a token is left.
    """
    longest = 2 * limit
    if len(text) > longest:
        text = text[:longest].rsplit(maxsplit=1)[0]
    lines = (one_line(line, limit, secret) for line in text.splitlines())
    told = "\n".join(lines).strip("\n")
    return told if len(told) <= limit else told[: limit - 1] + "…"
