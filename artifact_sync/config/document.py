"""Finds the TOML file, parses it and remembers the line of each key."""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifact_sync.config.secret_file import read_regular
from artifact_sync.config.value_types import expand_home
from artifact_sync.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONFIG = "ARTIFACT_SYNC_CONFIG"
"""Names the configuration file; see ``locate``."""

_FILE = "config.toml"
_MOST_BYTES = 4 * 2**20
_MOST_BAD_LINES = 20
_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = rf"\s*(\[\[?)\s*({_DOTTED})\s*\]"
_KEY = rf"\s*({_DOTTED})\s*="
_FENCE = r'"""|' + "'''"
_PLACE = r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$"

Lines = dict[tuple[str, int, str], int]
"""(table, which of its kind, key) → line; an empty key is the table's own header."""


def locate(option: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Find the file: ``--config``, ``$ARTIFACT_SYNC_CONFIG``, the user's, the site's.

    One that is named is the answer whether it is there or not; None when there is no file. The
    last two places are those of platformdirs, which looks at the process's own environment.
    """
    if option or environ.get(CONFIG):
        return named(option, environ)
    return next((path for path in _usual() if path is not None and _is_file(path)), None)


def named(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The named file, else the user's, to which ``config init`` writes. ``ConfigError``."""
    if option:
        return option
    if not environ.get(CONFIG):
        users, *_ = _usual()
        if users is None:
            raise ConfigError([f"no home folder is known: name the file by --config or {CONFIG}"])
        return users
    try:
        return expand_home(Path(environ[CONFIG]), environ)
    except ValueError as error:
        raise ConfigError([f"{CONFIG}: {error}"]) from None


def _usual() -> Sequence[Path | None]:
    """The user's file, None where no home is known (any uid in a container); the site's."""
    import platformdirs  # noqa: PLC0415 - slow to import, and needless when a file is named

    places = platformdirs.PlatformDirs("artifact-sync", appauthor=False, multipath=True)
    users = None
    with suppress(RuntimeError):  # it knows no home; older versions give a relative path
        users = places.user_config_path / _FILE
    sites = [Path(folder, _FILE) for folder in places.site_config_dir.split(os.pathsep)]
    return [users if users and users.is_absolute() else None, *sites]


def _is_file(path: Path) -> bool:
    """Whether the file exists; in a folder without access it does not."""
    try:
        return path.is_file()
    except OSError:
        return False


class Document:
    """A parsed file, from ``read_document``."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.tables = _parsed(path, text)
        self._text = text

    @cached_property
    def _lines(self) -> Lines:
        return _lines(self._text)

    def place(self, table: str, number: int = 0, key: str = "") -> str:
        """``FILE:LINE`` of a key, or of its table; ``FILE`` if the line is unknown."""
        line = self._lines.get((table, number, key)) or self._lines.get((table, number, ""))
        line = line or self._lines.get((table, 0, ""))
        return f"{self.path}:{line}" if line else str(self.path)


def read_document(path: Path, *, leniently: bool = False) -> Document:
    """Read and parse a file. ``ConfigError`` when it is no readable TOML.

    ``leniently``: without the lines that keep it from being TOML, if they are few.
    """
    try:
        raw, _ = read_regular(path, _MOST_BYTES + 1)
    except FileNotFoundError:
        hint = "artifact-sync config init writes one"
        raise ConfigError([f"{path}: there is no such file; {hint}"], path) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a usable name of a file"
        raise ConfigError([f"{path}: cannot be read: {why}"], path) from None
    if len(raw) > _MOST_BYTES:
        raise ConfigError([f"{path}: is too large for a configuration; name another file"], path)
    try:
        text = raw.decode("utf-8-sig")
        return Document(path, _without_bad_lines(text) if leniently else text)
    except UnicodeDecodeError as error:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            hint = "save it as UTF-8, which TOML must be"
            raise ConfigError([f"{path}: is UTF-16, as some editors save: {hint}"], path) from None
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8, which TOML must be"], path) from None


def _parsed(path: Path, text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where, why = _explained(str(error), text)
        raise ConfigError([f"{path}:{where}: not valid TOML: {why}"], path) from None
    except (ValueError, RecursionError):
        problem = f"{path}: not valid TOML: a number is too long, or lists are nested too deeply"
        raise ConfigError([problem], path) from None


def _without_bad_lines(text: str) -> str:
    lines = text.split("\n")
    for _ in range(_MOST_BAD_LINES):
        try:
            tomllib.loads("\n".join(lines))
        except (ValueError, RecursionError) as error:
            match = re.search(_PLACE, str(error))
            lines[int(match[1]) - 1 if match and match[1] else -1] = ""
        else:
            break
    return "\n".join(lines)


def _explained(message: str, text: str) -> tuple[str, str]:
    """Split a message of ``tomllib`` into ``LINE:COLUMN`` and the problem."""
    match = re.search(_PLACE, message)
    why = re.sub(_PLACE, "", message)
    if match and match[1]:
        return f"{match[1]}:{match[2]}", why
    lines = text.split("\n")
    return f"{len(lines)}:{len(lines[-1]) + 1}", why


def _lines(text: str) -> Lines:
    """Find the line of each key, looking at one line at a time."""
    found: Lines = {}
    counts: dict[str, int] = {}
    table, number = "", 0
    for line, content in _outside_fences(text):
        if header := re.match(_HEADER, content):
            table = ".".join(_names(header[2]))
            number = counts.get(table, 0)
            counts[table] = number + (header[1] == "[[")
            found.setdefault((table, number, ""), line)
            first, *rest = _names(header[2])
            found.setdefault((first, 0, ".".join(rest)), line)
        elif key := re.match(_KEY, content):
            names = [*([table] if table else []), *_names(key[1])]
            for place in ((names[0], number, names[1] if names[1:] else ""), (names[0], 0, "")):
                found.setdefault(place, line)
    return found


def _outside_fences(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that do not begin within a multi-line string."""
    fence = ""
    for line, content in enumerate(text.split("\n"), 1):
        if not fence:
            yield line, content
        for match in re.finditer(_FENCE, content):
            fence = "" if fence == match[0] else fence or match[0]


def _names(dotted: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, dotted)]
