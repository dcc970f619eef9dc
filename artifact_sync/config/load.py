"""Builds a ``Config`` from a file and the environment, collecting all problems."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.config.document import read_document
from artifact_sync.config.environment import KNOWN
from artifact_sync.config.expansion import ExpansionScope
from artifact_sync.config.keys import ALL, SECTIONS
from artifact_sync.config.layers import Table, WrittenValue, gather, over
from artifact_sync.config.value_types import toml_text
from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.settings import Config, RepoSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from artifact_sync.config.layers import WrittenTables

LayoutCheck = Callable[[str], Sequence[str]]
"""``mirror.layout.layout_problems``, passed in: ``config`` may not import ``mirror``."""


class Loaded(Struct, frozen=True):
    """A configuration and the origin of each value that is not a default."""

    config: Config
    origins: Mapping[str, str]
    """``mirror.root`` or ``repo.ORG/REPO.since`` → ``FILE:LINE``, or the environment variable."""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    layout_problems: LayoutCheck = lambda _: (),
) -> Config:
    """Load a file (None: defaults) under the environment's overrides.

    ``ConfigError`` holds every problem: ``FILE:LINE: section.key: what is wrong; hint``, and for
    an override its variable's name. Does nothing but read the file.
    """
    return load_traced(path, environ, layout_problems).config


def load_traced(
    path: Path | None,
    environ: Mapping[str, str],
    layout_problems: LayoutCheck = lambda _: (),
) -> Loaded:
    """Load a configuration with the origin of each value; see ``load``."""
    written = gather(read_document(path) if path else None, environ)
    reading = _Reader(environ, written.problems)
    values = {name: reading.values(name, table) for name, table in written.sections.items()}
    if "layout" in values["mirror"]:
        layout = written.sections["mirror"]["layout"]
        reading.blame(layout, layout_problems(values["mirror"]["layout"]))
    repos = reading.repositories(written)
    if reading.problems:
        raise ConfigError(_sorted(reading.problems, path), path)
    sections: dict[str, Any] = {
        name: SECTIONS[name].settings(**content) for name, content in values.items()
    }
    return Loaded(Config(repo=repos, path=path, **sections), reading.origins)


def repository(name: str, environ: Mapping[str, str]) -> RepoSettings:
    """Settings of a repository that only the command line names.

    Defaults under overrides. ``ConfigError`` when the name or an override is wrong.
    """
    written = gather(None, environ)
    reading = _Reader(environ, ())
    repo = reading.repository(
        over("repo", {"name": WrittenValue(name, "", "repository", Path())}, written.everywhere)
    )
    if repo is None or reading.problems:
        raise ConfigError(reading.problems)
    return repo


class _Reader:
    """Reads tables into values; collects problems and origins."""

    def __init__(self, environ: Mapping[str, str], problems: Iterable[str]) -> None:
        self._environ = environ
        self.problems = list(problems)
        self.origins: dict[str, str] = {}

    def blame(self, given: WrittenValue, problems: Iterable[object]) -> None:
        """Add the problems of one value."""
        self.problems.extend(f"{given.label}: {problem}" for problem in problems)

    def values(self, name: str, table: Table) -> dict[str, Any]:
        """Read the values of a table; those that cannot be read become problems."""
        values = {}
        for key, given in table.items():
            try:
                scope = ExpansionScope(self._environ, given.folder)
                values[key] = ALL[name].keys[key].read(given.value, scope)
            except ValueError as error:
                self.blame(given, error.args)
            else:
                self.origins[f"{name}.{key}"] = given.origin
        return values

    def repository(self, table: Table) -> RepoSettings | None:
        """Read a repository's settings; None when it has no usable name."""
        values = self.values("repo", table)
        name = values.get("name")
        for key in table:
            if origin := self.origins.pop(f"repo.{key}", None):
                self.origins[f"repo.{name}.{key}"] = origin
        self._check_schedule(table)
        return RepoSettings(**values) if name else None

    def _check_schedule(self, table: Table) -> None:
        """Check ``interval``, ``cron`` and ``time_zone`` together."""
        interval, cron, zone = (table.get(key) for key in ("interval", "cron", "time_zone"))
        if cron and interval:
            other = f"interval ({interval.origin})"
            self.blame(cron, [f"does not go together with {other}; keep one of the two"])
        if zone and not cron and zone.origin not in KNOWN:  # an override is for those with cron
            hint = "remove it, or set daemon.time_zone for all repositories"
            self.blame(zone, [f"is the time zone of cron, which this [[repo]] lacks; {hint}"])

    def repositories(self, written: WrittenTables) -> tuple[RepoSettings, ...]:
        """The repositories of the file, or those that the environment lists.

        One of the list that stands in the file keeps what the file says of it.
        """
        everywhere = over("repo", {}, written.everywhere)
        self.values("repo", everywhere)  # collects its problems, used or not
        of_file = self._unique(written.repos)
        if written.names is None:
            return tuple(of_file.values())
        listed = [{"name": given} for given in _split(written.names)]
        named = self._unique([over("repo", table, written.everywhere) for table in listed])
        return tuple(of_file.get(name, repo) for name, repo in named.items())

    def _unique(self, tables: Iterable[Table]) -> dict[str, RepoSettings]:
        """Repositories by name, in order; a repeated one is a problem."""
        repos: dict[str, RepoSettings] = {}
        for table in tables:
            repo = self.repository(table)
            if repo and repo.name in repos:
                self.blame(
                    table["name"], [f"{toml_text(repo.name)} is there already; name it once"]
                )
            elif repo:
                repos[repo.name] = repo
        return repos


def _sorted(problems: Iterable[str], path: Path | None) -> list[str]:
    """Each problem once: the file's by line, the environment's after them."""

    def line(problem: str) -> int:
        number = problem.removeprefix(f"{path}:").partition(":")[0]
        return int(number) if number.isdecimal() else sys.maxsize

    return sorted(dict.fromkeys(problems), key=line)


def _split(names: WrittenValue) -> Iterable[WrittenValue]:
    """The single names of a list from the environment."""
    words = str(names.value).split(",")
    return [replace(names, value=word.strip()) for word in words if word.strip()]
