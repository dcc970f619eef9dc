"""Every key of the configuration, as the program and its example file have it."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.config.difference import RESTART
from artifact_sync.config.keys import ALL
from artifact_sync.config.load import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEADER = r"\[+(\w+)\]+"
_ENTRY = r"(?:# )?(\w+) = (.*)"


class Key(Struct, frozen=True):
    """A key of a table."""

    section: str
    name: str
    type: str
    default: str | None
    """As TOML; None: it has none."""
    required: bool
    reason: str
    """The comment in the example file, on one line."""
    example: str
    """``jobs = 8``."""
    variable: str | None
    """Overrides it; None: no variable does."""
    restart: bool
    """Whether a change takes effect at the daemon's start only."""

    @property
    def full_name(self) -> str:
        """``download.jobs``."""
        return f"{self.section}.{self.name}"


class _Note(Struct, frozen=True):
    reason: str
    example: str


def preamble() -> list[str]:
    """Paragraphs that hold for all keys, from the head of the example file."""
    before, _, _ = _example().partition("\n[")
    _, *paragraphs = before.split("\n#\n")  # the first one is about the file
    return [" ".join(it.removeprefix("# ").replace("\n# ", " ").split()) for it in paragraphs]


def keys() -> Iterator[Key]:
    """Every key, in the order of the example file."""
    notes, variables = _notes(), {key: variable for variable, key in KNOWN.items()}
    for section, table in ALL.items():
        for name, kind in table.keys.items():
            default = table.defaults.get(name)
            note = notes[section, name]
            yield Key(
                section=section,
                name=name,
                type=kind.name,
                default=None if default is None else _toml(kind.write(default)),
                required=name not in table.defaults,
                reason=note.reason,
                example=f"{name} = {note.example}",
                variable=variables.get((section, name)),
                restart=name in RESTART.get(section, ()),
            )


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _example() -> str:
    return files("artifact_sync.config").joinpath("example.toml").read_text("utf-8")


def _notes() -> Mapping[tuple[str, str], _Note]:
    """Comment and example of each key; keys without a comment share the one above."""
    notes: dict[tuple[str, str], _Note] = {}
    section, comment, fresh = "", list[str](), True
    for line in _lines():
        if header := re.fullmatch(_HEADER, line):
            section = header[1]
        elif not line:
            comment, fresh = [], True
        elif (entry := re.fullmatch(_ENTRY, line)) and _is_key(section, entry[1]):
            notes[section, entry[1]] = _Note(" ".join(comment), entry[2])
            fresh = False
        else:
            comment = [*(comment if fresh else []), line.removeprefix("# ")]
            fresh = True
    return notes


def _lines() -> Iterator[str]:
    """Lines of the example file; from ``[[repo]]`` on, which is a comment, without its marks."""
    commented = False
    for line in _example().splitlines():
        commented = commented or line == "# [[repo]]"
        yield re.sub(r"^# ?", "", line) if commented else line


def _is_key(section: str, name: str) -> bool:
    return section in ALL and name in ALL[section].keys
