"""Builds a ``Config`` from a file and the environment, collecting all problems.

The environment's overrides (``ARTIFACT_SYNC_SECTION__KEY``) go over the file's values.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.config.document import CONFIG, Document, read_document
from artifact_sync.config.keys import ALL, REPO, SECTIONS, misplaced
from artifact_sync.config.value_types import ExpansionScope, bare, did_you_mean, toml_text
from artifact_sync.domain.errors import ConfigError
from artifact_sync.domain.hooks import hook_name
from artifact_sync.domain.settings import Config, HookSettings, RepoSettings
from artifact_sync.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_log = get_logger(__name__)

LayoutCheck = Callable[[str], Sequence[str]]
"""``mirror.layout.layout_problems``, passed in: ``config`` may not import ``mirror``."""

PREFIX = "ARTIFACT_SYNC_"
_OF_TESTS, _OF_HOOKS = f"{PREFIX}TEST_", f"{PREFIX}HOOK_"
"""Variables that are none of ours to read: a program that a hook calls may call us."""

_OF_KUBERNETES = (
    rf"{PREFIX}(?:[A-Z0-9]+_)*(?:SERVICE_HOST=.*|SERVICE_PORT(?:_[A-Z0-9_]+)?=\d+"
    r"|PORT(?:_\d+_[A-Z]+)?=[a-z]+://.*|PORT_\d+_[A-Z]+_(?:PROTO|PORT|ADDR)=.*)"
)
"""What Kubernetes puts into every pod for a service that is named artifact-sync, or so begins."""

KNOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        f"{PREFIX}{section}__{key}".upper(): (section, key)
        for section, table in {**SECTIONS, "repo": REPO}.items()
        for key in table.keys
    }
)
"""Every override and the key it stands for."""


class Loaded(Struct, frozen=True):
    """A configuration and the origin of each value that is not a default."""

    config: Config
    origins: Mapping[str, str]
    """``mirror.root`` or ``repo.ORG/REPO.since`` → ``FILE:LINE``, or the environment variable."""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    layout_problems: LayoutCheck = lambda _: (),
) -> Loaded:
    """Load a file (None: defaults) under the environment's overrides.

    ``ConfigError`` holds every problem: ``FILE:LINE: section.key: what is wrong; hint``, and for
    an override its variable's name. Does nothing but read the file.
    """
    loaded, problems = _read(path, environ, layout_problems)
    if problems:
        raise ConfigError(_sorted(problems, path), path)
    return loaded


def load_what_is_right(
    path: Path | None,
    environ: Mapping[str, str],
    layout_problems: LayoutCheck = lambda _: (),
) -> Config:
    """Load a configuration that may be wrong, without what is wrong. ``ConfigError``: no file."""
    return _read(path, environ, layout_problems, leniently=True)[0].config


def _read(
    path: Path | None,
    environ: Mapping[str, str],
    layout_problems: LayoutCheck,
    *,
    leniently: bool = False,
) -> tuple[Loaded, list[str]]:
    document = read_document(path, leniently=leniently) if path else Document(Path(), "")
    reading = _Reading(environ, document)
    reading.problems.extend((*_unknown_tables(document), *_unknown_variables(environ)))
    written = {name: reading.table(name, document.tables.get(name, {})) for name in SECTIONS}
    values = {name: reading.values(name, table) for name, table in written.items()}
    if "layout" in values["mirror"]:
        problems = layout_problems(values["mirror"]["layout"])
        reading.blame(written["mirror"]["layout"], problems)
        if problems:
            del values["mirror"]["layout"]
    repos, hooks = reading.repositories(), read_hooks(reading, document)
    sections: dict[str, Any] = {
        name: SECTIONS[name].settings(**content) for name, content in values.items()
    }
    loaded = Loaded(Config(repo=repos, hook=hooks, path=path, **sections), reading.origins)
    return loaded, reading.problems


def repository(name: str, environ: Mapping[str, str]) -> RepoSettings:
    """Settings of a repository that only the command line names.

    Defaults under overrides. ``ConfigError`` when the name or an override is wrong.
    """
    reading = _Reading(environ, Document(Path(), ""))
    given = WrittenValue(name, "", "repository", Path())
    repo = reading.repository(reading.overridden("repo", {"name": given}))
    if repo is None or reading.problems:
        raise ConfigError(reading.problems)
    return repo


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


class _Reading:
    """Reads a file's tables under overrides into values; collects problems and origins."""

    def __init__(self, environ: Mapping[str, str], document: Document) -> None:
        self._environ = environ
        self._document = document
        self._overrides: dict[str, Table] = {name: {} for name in ALL}
        for variable, (section, key) in KNOWN.items():
            if variable in environ:
                value = ALL[section].keys[key].parse(environ[variable].strip())
                self._overrides[section][key] = WrittenValue(value, variable, variable, Path())
        self._names = self._overrides["repo"].pop("name", None)
        self.problems: list[str] = []
        self.origins: dict[str, str] = {}

    def blame(self, given: WrittenValue, problems: Iterable[object]) -> None:
        """Add the problems of one value."""
        self.problems.extend(f"{given.label}: {problem}" for problem in problems)

    def table(self, name: str, content: object, number: int = 0) -> Table:
        """The known keys of a file's table, overridden; anything else becomes a problem."""
        place, known = self._document.place(name, number), ALL[name].keys
        if not isinstance(content, dict):
            problem = f"{place}: {name}: expected a table of keys, got {toml_text(content)}"
            self.problems.append(problem)
            return self.overridden(name, {})
        for key in content:
            if key not in known:
                label = f"{self._document.place(name, number, key)}: {name}.{bare(key)}"
                hint = misplaced(key) or did_you_mean(key, known)
                hint = hint or f"known in [{name}]: {', '.join(known)}"
                self.problems.append(f"{label}: unknown key; {hint}")
        if name == "repo" and "name" not in content:
            self.problems.append(f'{place}: repo.name: is missing; write name = "ORG/REPO"')
        given = {key: content[key] for key in known if key in content}
        return self.overridden(name, {k: self._given(name, number, k, v) for k, v in given.items()})

    def _given(self, name: str, number: int, key: str, value: object) -> WrittenValue:
        place = self._document.place(name, number, key)
        return WrittenValue(value, place, f"{place}: {name}.{key}", self._document.path.parent)

    def overridden(self, name: str, table: Table) -> Table:
        """Apply overrides to a table; an empty one removes an optional key."""
        overrides, optional = self._overrides[name], ALL[name].optional
        dropped = {key for key, given in overrides.items() if given.value == "" and key in optional}
        merged = {**table, **overrides}
        return {key: given for key, given in merged.items() if key not in dropped}

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

    def many(self, name: str) -> list[object]:
        """The tables of a name that may occur many times."""
        contents = self._document.tables.get(name, [])
        if isinstance(contents, list):
            return contents
        place = self._document.place(name)
        self.problems.append(f"{place}: {name}: write [[{name}]], with two brackets")
        return []

    def repositories(self) -> tuple[RepoSettings, ...]:
        """The repositories of the file, or those that the environment lists.

        One of the list that stands in the file keeps what the file says of it.
        """
        contents = self.many("repo")
        self.values("repo", self.overridden("repo", {}))  # collects its problems, used or not
        of_file = self._unique(self.table("repo", it, number) for number, it in enumerate(contents))
        if self._names is None:
            return tuple(of_file.values())
        words = [word.strip() for word in str(self._names.value).split(",")]
        listed = [replace(self._names, value=word) for word in words if word]
        named = self._unique(self.overridden("repo", {"name": given}) for given in listed)
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


def read_hooks(reading: _Reading, document: Document) -> tuple[HookSettings, ...]:
    """The hooks of the file, each with a name of its own."""
    hooks: dict[str, HookSettings] = {}
    for number, content in enumerate(reading.many("hook")):
        hook = _hook(reading, document.place("hook", number), content, number)
        if hook is not None and (name := hook_name(hook)) in hooks:
            hint = "give each a name of its own" if hook.name is None else "name it otherwise"
            place = document.place("hook", number, "name")
            reading.problems.append(f"{place}: hook {name}: is there already; {hint}")
        elif hook is not None:
            hooks[hook_name(hook)] = hook
    return tuple(hooks.values())


def _hook(reading: _Reading, place: str, content: object, number: int) -> HookSettings | None:
    """Read a hook; None when it is of no use."""
    before = len(reading.problems)
    table = reading.table("hook", content, number)
    values = reading.values("hook", table)
    problems = _hook_problems(table, values)
    reading.problems += [f"{place}: hook: {problem}" for problem in problems]
    hook = HookSettings(**values) if len(reading.problems) == before else None
    for key in table:
        if (origin := reading.origins.pop(f"hook.{key}", None)) and hook is not None:
            reading.origins[f"hook.{hook_name(hook)}.{key}"] = origin
    return hook


def _hook_problems(table: Table, values: Mapping[str, Any]) -> Iterator[str]:
    if "on" not in table or values.get("on") == ():
        yield 'on: is missing; write on = ["run.complete"], or what else it is to be told'
    if ("command" in table) == ("url" in table):
        yield "expected one of command and url"
    elif "command" in table and "secret_file" in table:
        yield "secret_file: signs what is posted to a url, and a command is given no secret"


def _sorted(problems: Iterable[str], path: Path | None) -> list[str]:
    """Each problem once: the file's by line, the environment's after them."""

    def line(problem: str) -> int:
        number = problem.removeprefix(f"{path}:").partition(":")[0]
        return int(number) if number.isdecimal() else sys.maxsize

    return sorted(dict.fromkeys(problems), key=line)


def _unknown_tables(document: Document) -> Iterator[str]:
    for name in document.tables:
        if name not in ALL:
            hint = misplaced(name) or did_you_mean(name, ALL) or f"known: {', '.join(ALL)}"
            yield f"{document.place(name)}: {bare(name)}: unknown section; {hint}"


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Report variables that look like overrides and are none, without their values."""
    for variable in sorted(environ):
        exempt = variable == CONFIG or variable.startswith((_OF_TESTS, _OF_HOOKS))
        if not variable.startswith(PREFIX) or variable in KNOWN or exempt:
            continue
        if re.fullmatch(_OF_KUBERNETES, f"{variable}={environ[variable]}"):
            _log.debug("no override, but what Kubernetes tells of a service", variable=variable)
        else:
            yield f"{bare(variable)}: no such override; {_hint(variable)}"


def _hint(variable: str) -> str:
    wanted = variable.removeprefix(PREFIX).replace("__", "_")
    for name, (_, key) in KNOWN.items():
        if wanted in {key.upper(), name.removeprefix(PREFIX).replace("__", "_")}:
            return f"did you mean {name}?"
    if wanted == "TOKEN":
        return "the token is read from SOURCECRAFT_TOKEN"
    if wanted.endswith(("SECRET", "SECRETS")):
        return misplaced("secret")
    return did_you_mean(variable, KNOWN) or f"they are spelt {PREFIX}SECTION__KEY"
