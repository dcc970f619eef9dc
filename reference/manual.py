"""The manual pages: one for the program and each command, one for the configuration."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from artifact_sync.cli import COMMANDS
from reference import roff
from reference.environment import LIBRARIES, READ
from reference.exit_codes import meanings
from reference.files_on_disk import BESIDE, OWN
from reference.key_table import keys, preamble
from reference.program import NAME, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.key_table import Key
    from reference.program import Command

_TOML = f"{NAME}.toml"


def pages() -> Iterator[tuple[str, str]]:
    """Name and text of each manual page."""
    known = list(commands())
    for command in known:
        yield f"{_name(command)}.1", _page(command, known)
    yield f"{_TOML}.5", _configuration()


def _name(command: Command) -> str:
    return "-".join(command.path)


def _page(command: Command, known: list[Command]) -> str:
    return roff.joined(
        roff.head(_name(command), 1, command.summary),
        roff.section("SYNOPSIS", f"\\fB{roff.text(command.name)}\\fR {_behind(command)}"),
        roff.section("DESCRIPTION", roff.paragraphs([command.summary, *command.text])),
        roff.section("COMMANDS", roff.entries(_below(command, known))),
        roff.section(
            "OPTIONS", roff.entries((", ".join(it.typed), it.help) for it in command.options)
        ),
        roff.section("EXAMPLES", roff.example(command.examples)),
        roff.section("NOTES", roff.paragraphs(command.notes)),
        roff.section("EXIT STATUS", roff.entries((str(int(it)), told) for it, told in meanings())),
        *(_of_program() if len(command.path) == 1 else ()),
        roff.section("SEE ALSO", _also(command, known)),
    )


def _behind(command: Command) -> str:
    return roff.text(command.usage.removeprefix(command.name).strip())


def _below(command: Command, known: list[Command]) -> Iterator[tuple[str, str]]:
    for it in known:
        if it.path[:-1] == command.path:
            first = len(it.path) == len((NAME, "command"))
            yield it.path[-1], COMMANDS[it.path[-1]] if first else it.summary


def _of_program() -> Iterator[str]:
    yield roff.section("ENVIRONMENT", roff.entries([*READ.items(), *LIBRARIES.items()]))
    yield roff.section("FILES", roff.entries([*BESIDE.items(), *_own()]))


def _own() -> Iterator[tuple[str, str]]:
    for name, told in OWN.items():
        yield f".artifact-sync/{name}", told


def _also(command: Command, known: list[Command]) -> str:
    """References: what is above, what is below, and the configuration."""
    names = [
        _name(it) for it in known if it.path == command.path[:-1] or it.path[:-1] == command.path
    ]
    return _references([*((name, 1) for name in names), (_TOML, 5)])


def _references(known: list[tuple[str, int]]) -> str:
    return ",\n".join(f"\\fB{roff.text(name)}\\fR({number})" for name, number in known)


def _configuration() -> str:
    about = preamble()
    sections = (
        roff.section(section.upper(), roff.entries(map(_entry, found)))
        for section, found in groupby(keys(), lambda key: key.section)
    )
    return roff.joined(
        roff.head(_TOML, 5, "Configuration of artifact-sync"),
        roff.section("DESCRIPTION", roff.paragraphs(about)),
        *sections,
        roff.section("SEE ALSO", _references([(NAME, 1), (f"{NAME}-config", 1)])),
    )


def _entry(key: Key) -> tuple[str, str]:
    default = "Must be given." if key.required else f"Default: `{key.default or 'none'}`."
    restart = " A change takes effect when the daemon is started again." if key.restart else ""
    told = f"{key.reason} Type: {key.type}. {default} Example: `{key.example}`.{restart}"
    return key.name, told
