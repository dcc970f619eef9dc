"""Make text from a server fit for a message: one short line without secrets."""

from __future__ import annotations

import re

from artifact_sync.runtime.text import printable

_LINK = re.compile(r"[a-z][a-z0-9+.-]{0,30}://\S+", re.IGNORECASE)
_QUERY = re.compile(r"\?\S*=\S*")
_CREDENTIAL = re.compile(r"(\bbearer\s+)\S+|\bpv1_\S+", re.IGNORECASE)
_PLAIN = re.compile(r"(?!.*(?:pv1_|bearer))[a-z0-9_.:+-]{0,60}", re.IGNORECASE)
"""Nothing to do, which is what nearly all texts are."""
_READ = 4096
"""Characters looked at; what comes later would be cut off anyway."""


def one_line(text: str, limit: int = 200, secret: str = "") -> str:
    """Remove links, queries, tokens and unprintable characters, and cut to ``limit``.

    ``secret`` (our token) is masked wherever it stands: a server may echo what it was sent.
    """
    if not secret and len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    text = text[:_READ]
    if secret:
        text = text.replace(secret, "***")
    text = _CREDENTIAL.sub(lambda match: (match[1] or "") + "***", text)
    text = _QUERY.sub("?…", _LINK.sub("<link>", text))
    line = " ".join(printable(text, " ").split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
