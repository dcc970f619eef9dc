"""The page of the configuration's keys."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from artifact_sync.config.keys import ALL, SECTIONS
from artifact_sync.domain import settings
from artifact_sync.runtime.docstrings import docstrings_in
from reference.key_table import keys, preamble
from reference.markdown import code, from_docstring, table
from reference.markdown import page as whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.key_table import Key

_ABOUT = """\
Which file is read, and how, stands in [how the configuration is
read](../concepts/configuration.md). `artifact-sync config init` writes a file with every key.
`artifact-sync config schema` prints [its JSON Schema](schemas/configuration.json), for editors."""


def page() -> str:
    """Make the page."""
    sections = (
        text
        for section, found in groupby(keys(), lambda key: key.section)
        for text in _section(section, list(found))
    )
    return whole("Configuration", _ABOUT, *preamble(), *sections)


def _section(section: str, found: list[Key]) -> Iterator[str]:
    told = docstrings_in(settings)[ALL[section].settings.__name__]
    mark = f"[[{section}]]" if section not in SECTIONS else f"[{section}]"
    yield f"## {section}"
    yield from_docstring(told) if told.startswith("``[") else f"`{mark}`"
    yield table(
        ["key", "type", "default"],
        [(code(key.name), key.type, _default(key)) for key in found],
    )
    for key in found:
        yield from _key(key)


def _key(key: Key) -> Iterator[str]:
    yield f"### {key.full_name}"
    yield key.reason
    lines = [f"Type: {key.type}.", f"Default: {_default(key)}.", f"Example: `{key.example}`."]
    if key.variable is not None:
        lines.append(f"Environment: `{key.variable}`.")
    if key.restart:
        lines.append("A change takes effect when the daemon is started again.")
    yield "\n".join(f"- {line}" for line in lines)


def _default(key: Key) -> str:
    if key.required:
        return "must be given"
    return "none" if key.default is None else code(key.default)
