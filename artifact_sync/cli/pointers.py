"""Where a person reads on about a message: a page and its section.

A call ends with them, each once, on stderr, also where the messages are a report on stdout. A log
line has the field ``see``. No ``message`` of ``--json`` has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.troubleshooting import section_of, sections_of
from artifact_sync.version import DOCS_URL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FOLDER = "troubleshooting"
_EXPLAINED = ("why", "event", "problem")
"""Fields of a log line that are looked up, in this order: a cause says most of what to do."""


def pointers(messages: Iterable[tuple[str, Reason]]) -> list[str]:
    """The lines to print behind messages, one for each section: ``see docs: …``."""
    begin = "see" if DOCS_URL else "see docs:"
    return [f"{begin} {address_of(section)}" for section in sections_of(messages)]


def pointer_of_log(fields: Mapping[str, Any]) -> str | None:
    """The address for the fields of a log line, its message among them."""
    texts = [str(fields[name]) for name in _EXPLAINED if fields.get(name)]
    found = next(filter(None, map(section_of, texts)), None)
    reason = fields.get("reason")
    if found is None and isinstance(reason, str) and reason in set(Reason):
        found = section_of("", Reason(reason))
    return address_of(found) if found is not None else None


def address_of(section: str, base_url: str = DOCS_URL) -> str:
    """``troubleshooting/disk#no-space``, or its URL where the documentation is published."""
    page, _, anchor = section.partition("#")
    if not base_url:
        return f"{_FOLDER}/{section}"
    return f"{base_url.rstrip('/')}/{_FOLDER}/{page}/#{anchor}"
