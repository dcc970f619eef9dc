"""What was written → ``Config``, with every problem at once. Finding the file is ``place``'s."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.config.document import read
from artifact_sync.config.environment import KNOWN
from artifact_sync.config.expansion import ExpansionScope
from artifact_sync.config.keys import ALL, SECTIONS
from artifact_sync.config.layers import Given, Table, gather, over
from artifact_sync.config.value_types import shown
from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.settings import Config, RepoSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from artifact_sync.config.layers import WrittenValue

LayoutCheck = Callable[[str], Sequence[str]]
"""``mirror.layout.layout_problems``, handed in: this layer may not import ``mirror``."""


class Loaded(Struct, frozen=True):
    """A configuration, and where each value that is no default was written."""

    config: Config
    origins: Mapping[str, str]
    """``mirror.root`` or ``repo.ORG/REPO.since`` → ``FILE:LINE``, or the environment variable."""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    layout_problems: LayoutCheck = lambda _: (),
) -> Config:
    """The configuration of a file (None: defaults) under the environment's overrides.

    ``ConfigError`` holds every problem: ``FILE:LINE: section.key: what is wrong; hint``, and for
    an override its variable's name. Does nothing but read the file.
    """
    return load_traced(path, environ, layout_problems).config


def load_traced(
    path: Path | None,
    environ: Mapping[str, str],
    layout_problems: LayoutCheck = lambda _: (),
) -> Loaded:
    """``load``, and where each value came from."""
    written = gather(read(path) if path else None, environ)
    reading = _Reading(environ, written.problems)
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
    """The settings of a repository that only the command line names: defaults under overrides.

    ``ConfigError`` when the name or an override is wrong.
    """
    written = gather(None, environ)
    reading = _Reading(environ, ())
    repo = reading.repository(
        over("repo", {"name": Given(name, "", "repository", Path())}, written.everywhere)
    )
    if repo is None or reading.problems:
        raise ConfigError(reading.problems)
    return repo


class _Reading:
    """Reads tables into values; keeps what is wrong with them, and where the others came from."""

    def __init__(self, environ: Mapping[str, str], problems: Iterable[str]) -> None:
        self._environ = environ
        self.problems = list(problems)
        self.origins: dict[str, str] = {}

    def blame(self, given: Given, problems: Iterable[object]) -> None:
        """Keep problems of one value."""
        self.problems.extend(f"{given.label}: {problem}" for problem in problems)

    def values(self, name: str, table: Table) -> dict[str, Any]:
        """The values of a table that can be read; the others are blamed."""
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
        """One repository's settings, or None when it has no usable name."""
        values = self.values("repo", table)
        name = values.get("name")
        for key in table:
            if origin := self.origins.pop(f"repo.{key}", None):
                self.origins[f"repo.{name}.{key}"] = origin
        self._judge_rhythm(table)
        return RepoSettings(**values) if name else None

    def _judge_rhythm(self, table: Table) -> None:
        """Keep what is wrong with how ``interval``, ``cron`` and ``time_zone`` stand together."""
        interval, cron, zone = (table.get(key) for key in ("interval", "cron", "time_zone"))
        if cron and interval:
            other = f"interval ({interval.origin})"
            self.blame(cron, [f"does not go together with {other}; keep one of the two"])
        if zone and not cron and zone.origin not in KNOWN:  # an override is for those with cron
            hint = "remove it, or set daemon.time_zone for all repositories"
            self.blame(zone, [f"is the time zone of cron, which this [[repo]] lacks; {hint}"])

    def repositories(self, written: WrittenValue) -> tuple[RepoSettings, ...]:
        """The file's repositories or, where the environment lists them, those.

        One of the list that stands in the file keeps what the file says of it.
        """
        everywhere = over("repo", {}, written.everywhere)
        self.values("repo", everywhere)  # tells what is wrong with it, used or not
        of_file = self._unique(written.repos)
        if written.names is None:
            return tuple(of_file.values())
        listed = [{"name": given} for given in _split(written.names)]
        named = self._unique([over("repo", table, written.everywhere) for table in listed])
        return tuple(of_file.get(name, repo) for name, repo in named.items())

    def _unique(self, tables: Iterable[Table]) -> dict[str, RepoSettings]:
        """Repositories by name, in order; one that comes again is blamed."""
        repos: dict[str, RepoSettings] = {}
        for table in tables:
            repo = self.repository(table)
            if repo and repo.name in repos:
                self.blame(table["name"], [f"{shown(repo.name)} is there already; name it once"])
            elif repo:
                repos[repo.name] = repo
        return repos


def _sorted(problems: Iterable[str], path: Path | None) -> list[str]:
    """Each problem once: the file's by line, the environment's after them."""

    def line(problem: str) -> int:
        number = problem.removeprefix(f"{path}:").partition(":")[0]
        return int(number) if number.isdecimal() else sys.maxsize

    return sorted(dict.fromkeys(problems), key=line)


def _split(names: Given) -> Iterable[Given]:
    """The single names of a list from the environment."""
    words = str(names.value).split(",")
    return [replace(names, value=word.strip()) for word in words if word.strip()]
