"""Applies the environment's overrides to a file's tables; each value has its origin.

Unknown tables and keys are reported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.config import environment, value_types
from artifact_sync.config.keys import ALL, SECTIONS, misplaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from artifact_sync.config.document import Document


class WrittenValue(Struct, frozen=True):
    """A value as it was written, and its origin."""

    value: object
    origin: str
    """``FILE:LINE``, or the environment variable."""
    label: str
    """Begins the message of a problem: the origin, and for a file the key."""
    folder: Path
    """The base of a relative path."""


Table = dict[str, WrittenValue]


class WrittenTables(Struct, frozen=True):
    """All tables as they were written, overrides applied."""

    sections: Mapping[str, Table]
    repos: tuple[Table, ...]
    """The file's ``[[repo]]``."""
    everywhere: Table
    """The environment's values for every repository."""
    names: WrittenValue | None
    """The environment's list of repositories, which replaces the file's."""
    problems: tuple[str, ...]


def gather(document: Document | None, environ: Mapping[str, str]) -> WrittenTables:
    """Collect what a file and the environment say."""
    problems: list[str] = []
    overrides = {name: _overrides(name, environ) for name in ALL}
    everywhere = {key: given for key, given in overrides["repo"].items() if key != "name"}
    sections: dict[str, Table] = {name: {} for name in SECTIONS}
    repos: list[Table] = []
    if document:
        problems.extend(_unknown_tables(document))
        sections = {name: _section(document, name, problems) for name in SECTIONS}
        repos = list(_repos(document, problems))
    problems.extend(environment.unknown(environ))
    return WrittenTables(
        {name: over(name, table, overrides[name]) for name, table in sections.items()},
        tuple(over("repo", table, everywhere) for table in repos),
        everywhere,
        overrides["repo"].get("name"),
        tuple(problems),
    )


def over(name: str, table: Table, overrides: Table) -> Table:
    """Apply overrides to a table; an empty one removes an optional key."""
    optional = ALL[name].optional
    merged = {**table, **overrides}
    dropped = {key for key, given in overrides.items() if given.value == "" and key in optional}
    return {key: given for key, given in merged.items() if key not in dropped}


def _overrides(name: str, environ: Mapping[str, str]) -> Table:
    table = {}
    for section, key, variable in environment.overrides(environ):
        if section == name:
            value = environment.value(section, key, environ[variable])
            table[key] = WrittenValue(value, variable, variable, Path())
    return table


def _unknown_tables(document: Document) -> Iterator[str]:
    for name in document.tables:
        if name not in ALL:
            hint = (
                misplaced(name) or value_types.did_you_mean(name, ALL) or f"known: {', '.join(ALL)}"
            )
            yield f"{document.place(name)}: {value_types.bare(name)}: unknown section; {hint}"


def _section(document: Document, name: str, problems: list[str]) -> Table:
    return _table(document, (name, 0), document.tables.get(name, {}), problems)


def _repos(document: Document, problems: list[str]) -> Iterator[Table]:
    tables = document.tables.get("repo", [])
    if not isinstance(tables, list):
        problems.append(f"{document.place('repo')}: repo: write [[repo]], with two brackets")
        return
    for number, content in enumerate(tables):
        yield _table(document, ("repo", number), content, problems)


def _table(
    document: Document, which: tuple[str, int], content: object, problems: list[str]
) -> Table:
    """The known keys of a file's table; anything else is added to the problems."""
    name, number = which
    place = document.place(name, number)
    if not isinstance(content, dict):
        problems.append(
            f"{place}: {name}: expected a table of keys, got {value_types.toml_text(content)}"
        )
        return {}
    known = ALL[name].keys
    for key in content:
        if key not in known:
            label = f"{document.place(name, number, key)}: {name}.{value_types.bare(key)}"
            problems.append(f"{label}: unknown key; {_hint(key, name)}")
    if name == "repo" and "name" not in content:
        problems.append(f'{place}: repo.name: is missing; write name = "ORG/REPO"')
    return {key: _given(document, which, key, content[key]) for key in known if key in content}


def _given(document: Document, which: tuple[str, int], key: str, value: object) -> WrittenValue:
    place = document.place(*which, key)
    return WrittenValue(value, place, f"{place}: {which[0]}.{key}", document.path.parent)


def _hint(key: str, section: str) -> str:
    known = ALL[section].keys
    near = misplaced(key) or value_types.did_you_mean(key, known)
    return near or f"known in [{section}]: {', '.join(known)}"
