"""Reads overrides from the environment: ``ARTIFACT_SYNC_SECTION__KEY``."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from artifact_sync.config import value_types
from artifact_sync.config.keys import ALL, misplaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "ARTIFACT_SYNC_"
CONFIG = f"{PREFIX}CONFIG"
"""Names the configuration file; see ``locate``."""
_OURS_FOR_TESTS = f"{PREFIX}TEST_"

KNOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        f"{PREFIX}{section}__{key}".upper(): (section, key)
        for section, table in ALL.items()
        for key in table.keys
    }
)
"""Every override and the key it stands for."""


def overrides(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(section, key, variable) of each override that is set."""
    for variable, (section, key) in KNOWN.items():
        if variable in environ:
            yield section, key, variable


def value(section: str, key: str, text: str) -> object:
    """Convert an override's text to the TOML value that it means."""
    return ALL[section].keys[key].parse(text.strip())


def unknown(environ: Mapping[str, str]) -> Iterator[str]:
    """Report variables that look like overrides and are none, without their values."""
    for variable in sorted(environ):
        exempt = variable == CONFIG or variable.startswith(_OURS_FOR_TESTS)
        if variable.startswith(PREFIX) and variable not in KNOWN and not exempt:
            yield f"{value_types.bare(variable)}: no such override; {_hint(variable)}"


def _hint(variable: str) -> str:
    wanted = variable.removeprefix(PREFIX).replace("__", "_")
    for name, (_, key) in KNOWN.items():
        if wanted in {key.upper(), name.removeprefix(PREFIX).replace("__", "_")}:
            return f"did you mean {name}?"
    if wanted == "TOKEN":
        return "the token is read from SOURCECRAFT_TOKEN"
    if wanted.endswith(("SECRET", "SECRETS")):
        return misplaced("secret")
    return value_types.did_you_mean(variable, KNOWN) or f"they are spelt {PREFIX}SECTION__KEY"
