"""Every generated file, by its path in the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference import (
    commands,
    configuration,
    environment,
    exit_codes,
    files_on_disk,
    index,
    json_objects,
    manual,
    metrics,
    web,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDERS = ("docs/reference", "docs/man")
"""Where the generated files are."""

_BY_HAND = frozenset({"docs/reference/python.md"})

_PAGES = {
    "index": index.page,
    "commands": commands.page,
    "configuration": configuration.page,
    "exit-codes": exit_codes.page,
    "json": json_objects.page,
    "http": web.http_page,
    "webhook": web.webhook_page,
    "metrics": metrics.page,
    "files": files_on_disk.page,
    "environment": environment.page,
}


def written_by_hand(name: str) -> bool:
    """Whether a file in ``FOLDERS`` is not generated."""
    return name in _BY_HAND


def generated() -> Mapping[str, str]:
    """Text by path."""
    pages = {f"docs/reference/{name}.md": make() for name, make in _PAGES.items()}
    schemas = {
        f"docs/reference/schemas/{name}.json": text for name, text in json_objects.schema_files()
    }
    manuals = {f"docs/man/{name}": text for name, text in manual.pages()}
    return pages | schemas | manuals
